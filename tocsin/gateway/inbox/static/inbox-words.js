// The words of <tocsin-inbox>. `element.labels = {...}` replaces some of them, or all for another language.

const STEPS = [[60, "second", 1], [3_600, "minute", 60], [86_400, "hour", 3_600], [7 * 86_400, "day", 86_400]];

function times(language) {
  const near = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  const far = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
  const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });
  return {
    time(date, now) {
      const seconds = (date - now) / 1_000;
      const step = STEPS.find(([most]) => Math.abs(seconds) < most);
      return step ? near.format(Math.round(seconds / step[2]), step[1]) : far.format(date);
    },
    fullTime: (date) => full.format(date),
  };
}

const WORDS = {
  en: {
    title: "Notifications",
    bell: (count) => (count ? `Notifications, ${count} unread` : "Notifications"),
    added: (title) => `New notification: ${title}`,
    filter: "Show",
    all: "All",
    unreadOnly: "Unread",
    archived: "Archived",
    unread: "Unread",
    read: "Mark as read",
    readAll: "Mark all as read",
    archive: "Archive",
    unarchive: "Move back",
    more: "Show older ones",
    close: "Close",
    loading: "Loading…",
    empty: "Nothing here yet.",
    noUnread: "You have read everything.",
    noArchived: "You have archived nothing.",
    error: "Your notifications cannot be loaded right now.",
    again: "Try again",
    failed: "That did not work. Try again.",
    offline: "Reconnecting…",
  },
  de: {
    title: "Mitteilungen",
    bell: (count) => (count ? `Mitteilungen, ${count} ungelesen` : "Mitteilungen"),
    added: (title) => `Neue Mitteilung: ${title}`,
    filter: "Anzeigen",
    all: "Alle",
    unreadOnly: "Ungelesen",
    archived: "Archiv",
    unread: "Ungelesen",
    read: "Als gelesen markieren",
    readAll: "Alle als gelesen markieren",
    archive: "Archivieren",
    unarchive: "Zurückholen",
    more: "Ältere anzeigen",
    close: "Schließen",
    loading: "Wird geladen…",
    empty: "Noch nichts da.",
    noUnread: "Alles gelesen.",
    noArchived: "Nichts archiviert.",
    error: "Ihre Mitteilungen lassen sich gerade nicht laden.",
    again: "Nochmals versuchen",
    failed: "Das ging nicht. Bitte nochmals versuchen.",
    offline: "Verbindung wird wiederhergestellt…",
  },
  fr: {
    title: "Notifications",
    bell: (count) => (count ? `Notifications, ${count} non lues` : "Notifications"),
    added: (title) => `Nouvelle notification : ${title}`,
    filter: "Afficher",
    all: "Toutes",
    unreadOnly: "Non lues",
    archived: "Archivées",
    unread: "Non lue",
    read: "Marquer comme lue",
    readAll: "Tout marquer comme lu",
    archive: "Archiver",
    unarchive: "Désarchiver",
    more: "Afficher les plus anciennes",
    close: "Fermer",
    loading: "Chargement…",
    empty: "Rien pour l’instant.",
    noUnread: "Vous avez tout lu.",
    noArchived: "Rien n’est archivé.",
    error: "Vos notifications ne peuvent pas être chargées pour le moment.",
    again: "Réessayer",
    failed: "Cela n’a pas fonctionné. Réessayez.",
    offline: "Reconnexion…",
  },
};

/** The words of a language; English where there are none. */
export function wordsFor(language) {
  const found = String(language).toLowerCase().split("-")[0];
  let spelled = "en";
  try {
    spelled = Intl.getCanonicalLocales(language)[0] ?? "en";
  } catch {
    // An unknown spelling of a language.
  }
  return { ...times(WORDS[found] ? spelled : "en"), ...(WORDS[found] ?? WORDS.en) };
}
