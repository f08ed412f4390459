/** Messages as their recipients see them, one face a channel. */
import { h, icon } from "./dom.js";
import { avatar } from "./people.js";
import { getJson } from "./store.js";
import { STATUSES, fullTime, longDay, number, plural, timeOfDay, when } from "./words.js";

const BESIDE = 30;

const phone = (platform, screen) => h("div", { cls: `phone ${platform}` }, screen);
const kept = (message) => message.content !== null;

/** The same person's messages of a channel up to this one, newest first. */
async function beside(message) {
  const query = new URLSearchParams({ user: message.user, channel: message.channel, status: "any", content: true, limit: BESIDE, before: message.seq + 1 });
  const page = await getJson(`/sent?${query}`);
  return (page?.messages ?? [message]).filter(kept);
}

function card(message, chosen, onOpen) {
  const { title, body, app, subtitle, urgent } = message.content;
  return h("button", { type: "button", cls: `card ${chosen ? "chosen" : "other"}`, "aria-current": chosen, onclick: () => onOpen(message.seq) },
    h("span", { cls: "app" }, icon("bell")),
    h("span", { cls: "words" },
      h("span", { cls: "line" }, h("b", {}, title || app || "Notification"), h("time", {}, when(message.at_ms))),
      subtitle && h("small", {}, subtitle),
      h("span", { cls: "said" }, body),
      chosen && urgent && h("small", { cls: "urgent" }, "Time-sensitive")));
}

async function push(message, onOpen) {
  const shown = (await beside(message)).filter((other) => other.status === "accepted" && other.recipient === message.recipient && !other.content.silent);
  const cards = shown.filter((other) => other.seq !== message.seq).slice(0, 6).map((other) => card(other, false, onOpen));
  const own = message.content.silent
    ? h("p", { cls: "silent" }, "This push shows nothing: it only wakes the app.")
    : card(message, true, onOpen);
  const screen = h("div", { cls: "screen lock" },
    h("p", { cls: "day" }, longDay(message.at_ms)),
    h("p", { cls: "clock" }, timeOfDay(message.at_ms)),
    h("div", { cls: "cards" }, own, cards),
    h("div", { cls: "home" }));
  return message.content.platform === "web" ? h("div", { cls: "browser" }, screen) : phone(message.content.platform === "ios" ? "ios" : "android", screen);
}

function meter({ segments, units, encoding }) {
  const part = encoding === "GSM-7" ? (segments > 1 ? 153 : 160) : (segments > 1 ? 67 : 70);
  return h("span", { cls: "meter", "aria-hidden": "true" }, Array.from({ length: Math.min(segments, 8) }, (_, at) =>
    h("i", {}, h("b", { vars: { width: `${Math.min(100, Math.max(0, (units - at * part) / part * 100))}%` } }))));
}

function bubble(message, chosen, onOpen) {
  const { body, encoding, segments, units, media, template, variables } = message.content;
  const chat = message.channel === "whatsapp";
  const values = Object.entries(variables ?? {}).map(([name, value]) => h("span", { cls: "value" }, h("b", {}, `{{${name}}}`), ` ${value}`));
  const refused = message.status === "refused";
  return h("button", { type: "button", cls: `bubble ${chosen ? "chosen" : ""} ${refused ? "refused" : ""}`, "aria-current": chosen, onclick: () => onOpen(message.seq) },
    h("p", {}, template ? [h("span", { cls: "template" }, "Approved template"), ...values] : body, media.map((url) => `\n${url}`)),
    h("small", {}, timeOfDay(message.at_ms),
      chat ? h("span", {}, template ? "" : "Free text") : [meter(message.content), `${encoding} · ${plural(segments, "segment", "segments")} · ${number(units)}`],
      refused && h("span", { cls: "bad" }, `${STATUSES.refused} ${message.code}`)));
}

async function sms(message, onOpen) {
  const thread = (await beside(message)).reverse();
  let day = "";
  const lines = thread.flatMap((text) => {
    const now = longDay(text.at_ms);
    const date = now === day ? [] : [h("p", { cls: "date" }, now)];
    day = now;
    return [...date, bubble(text, text.seq === message.seq, onOpen)];
  });
  const sender = message.content.sender;
  const screen = h("div", { cls: `screen texts ${message.channel}` },
    h("header", {}, avatar(sender), h("b", {}, sender)),
    h("div", { cls: "thread", tabindex: "0", "aria-label": "Texts, oldest first" }, lines),
    h("p", { cls: "reply", "aria-hidden": "true" }, message.channel === "whatsapp" ? "Message" : "Text message"),
    h("div", { cls: "home" }));
  const face = phone("ios", screen);
  requestAnimationFrame(() => { const shown = screen.querySelector(".thread"); shown.scrollTop = shown.scrollHeight; });
  return face;
}

async function voice(message) {
  const { text, sender, language, voice: voiceName, times, ring_s: rings } = message.content;
  const refused = message.status === "refused";
  const screen = h("div", { cls: "screen call" },
    h("p", { cls: "from" }, refused ? `${STATUSES.refused} ${message.code}` : "Incoming call"),
    h("p", { cls: "number" }, sender),
    avatar(sender),
    h("blockquote", { lang: language, tabindex: "0", "aria-label": "What is read" }, text),
    h("p", { cls: "how" }, [language, voiceName, plural(times, "time", "times"), `rings ${number(rings)} s`].filter(Boolean).join(" · ")),
    h("div", { cls: "answer", "aria-hidden": "true" }, h("i", { cls: "decline" }, icon("voice")), h("i", { cls: "accept" }, icon("voice"))),
    h("div", { cls: "home" }));
  return phone("ios", screen);
}

const VIEWS = {
  html: ["HTML", (message) => message.content.html
    ? h("iframe", { src: `/mail/${message.seq}`, sandbox: "", title: "The mail as HTML" })
    : h("p", { cls: "note" }, "This mail has no HTML part.")],
  text: ["Text", (message) => message.content.text
    ? h("pre", { tabindex: "0" }, message.content.text)
    : h("p", { cls: "note" }, "This mail has no text part.")],
  headers: ["Headers", (message) => message.content.headers.length
    ? h("table", {}, h("tbody", {}, message.content.headers.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))))
    : h("p", { cls: "note" }, "This mail has no headers of its own.")],
};
let view = "html";

const attached = (files) => files?.length
  ? h("p", {}, `with ${files.map((file) => `${file.name} (${file.cid ? "shown in the HTML, " : ""}${number(file.size)} bytes)`).join(", ")}`)
  : "";

async function email(message) {
  const { subject, sender, sender_name: name } = message.content;
  const panel = h("div", { cls: "panel", role: "tabpanel", id: "panel" });
  const tabs = Object.entries(VIEWS).map(([key, [label]]) => h("button", { type: "button", role: "tab", id: `tab-${key}`, "aria-controls": "panel", onclick: () => show(key) }, label));
  const show = (key) => {
    view = key;
    for (const tab of tabs) {
      const on = tab.id === `tab-${key}`;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
    }
    panel.setAttribute("aria-labelledby", `tab-${key}`);
    panel.replaceChildren(VIEWS[key][1](message));
  };
  const keys = Object.keys(VIEWS);
  const step = (by) => { show(keys[(keys.indexOf(view) + by + keys.length) % keys.length]); };
  const face = h("article", { cls: "letter" },
    h("header", {},
      h("h3", {}, subject || "(no subject)"),
      h("div", { cls: "from" }, avatar(name || sender),
        h("div", {}, h("p", {}, h("b", {}, name || sender), name && h("span", {}, ` ${sender}`)), h("p", {}, `to ${message.content.to}`), attached(message.content.attachments)),
        h("time", {}, fullTime(message.at_ms))),
      h("div", { cls: "tabs", role: "tablist", "aria-label": "Views of the mail", onkeydown: (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        event.preventDefault();
        step(by);
        tabs[keys.indexOf(view)].focus();
      } }, tabs)),
    panel);
  show(view);
  face.nextView = () => step(1);
  return face;
}

async function inapp(message) {
  const inbox = await getJson(`/inbox?${new URLSearchParams({ user: message.user })}`);
  const fallback = async () => (await beside(message)).map((other) => ({ ...other.content, message_id: other.message_id, at_ms: other.at_ms, unread: false }));
  const entries = inbox?.entries ?? await fallback();
  const unread = inbox?.unread ?? 0;
  return h("article", { cls: "inbox" },
    h("header", {}, h("h3", {}, "Inbox"), h("span", { cls: "tag" }, unread ? `${number(unread)} unread` : "All read"),
      h("span", { cls: "bellbox" }, icon("bell"), unread > 0 && h("b", { "aria-hidden": "true" }, unread > 99 ? "99+" : String(unread)))),
    h("ul", {}, entries.map((entry) => h("li", { cls: `${entry.unread ? "unread" : ""} ${entry.message_id === message.message_id ? "chosen" : ""}` },
      h("div", {}, h("b", {}, entry.title, entry.unread && h("span", { cls: "hidden" }, ", unread")), h("time", { title: fullTime(entry.at_ms) }, when(entry.at_ms))),
      h("p", {}, entry.body), entry.url && h("code", {}, entry.url)))));
}

/** A short text on any other channel, such as a chat. */
async function note(message) {
  const { title, body, url } = message.content;
  return h("article", { cls: "inbox" }, h("ul", {}, h("li", { cls: "chosen" },
    h("div", {}, h("b", {}, title || "Message"), h("time", { title: fullTime(message.at_ms) }, when(message.at_ms))),
    h("p", {}, body), url && h("code", {}, url))));
}

const FACES = { push, webpush: push, sms, email, inapp, whatsapp: sms, voice, slack: note, webhook: note };

/** Draw a message; one whose content is gone says so. */
export async function face(message, onOpen) {
  const draw = FACES[message.channel];
  if (!message.content || !draw) return h("p", { cls: "gone" }, "The text of this message was not kept: the sandbox has been restarted.");
  return draw(message, onOpen);
}

