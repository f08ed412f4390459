"""What the pages for people say, in each of their languages."""

from collections.abc import Mapping
from typing import Final

from tocsin.model.locales import family

LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español"}
"""Each language by its own name."""
_LAST: Final = "en"

TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "title": "Notification settings",
        "intro": "Choose what {brand} may send you, and how.",
        "saved": "Your settings are saved.",
        "stale": "Your settings had changed since you opened this page. Nothing was saved: this is how"
        " they are now.",
        "busy": "This cannot be saved right now. Please try again in a minute.",
        "skip": "Skip to the settings",
        "all": "All notifications",
        "all_label": "Send me notifications",
        "all_hint": "If you switch this off, you only get what is necessary.",
        "pause": "Pause",
        "pause_label": "Pause notifications",
        "pause_hint": "During a pause you only get what is necessary.",
        "pause_none": "No pause",
        "pause_keep": "Until {until}",
        "pause_1h": "For one hour",
        "pause_1d": "For one day",
        "pause_1w": "For one week",
        "kinds": "What you get",
        "required": "Always sent. You need these messages to use the service, so they cannot be switched"
        " off.",
        "save": "Save settings",
        "language": "Language",
        "expired_title": "This link has expired",
        "expired": "Open the link in a newer message from us, or ask {brand} for a new one.",
        "unknown_title": "This link is not valid",
        "unknown": "It may have been cut off. Open it again from the message in which you found it.",
        "us": "us",
        "stop_title": "Unsubscribe",
        "stop_question": "Do you want no more messages of the kind “{category}” from {brand}?",
        "stop_everything": "Do you want no more messages from {brand}?",
        "stop_button": "Unsubscribe",
        "stopped_title": "You are unsubscribed",
        "stopped": "You will get no more messages of the kind “{category}” from {brand}.",
        "stopped_everything": "You will get no more messages from {brand}, except what is necessary.",
        "again_button": "Undo",
        "again_title": "You are subscribed again",
        "again": "You will get messages of the kind “{category}” from {brand} again.",
        "again_everything": "You will get messages from {brand} again.",
        "again_off_title": "Notifications are still switched off",
        "again_off": "You will get messages of the kind “{category}” from {brand} again once you switch on"
        " notifications in the settings.",
        "fixed_title": "These messages cannot be switched off",
        "manage": "All notification settings",
        "email": "E-mail",
        "sms": "Text message (SMS)",
        "push": "App on your phone",
        "webpush": "Browser",
        "inapp": "Inbox in the app",
        "whatsapp": "WhatsApp",
        "voice": "Phone call",
        "slack": "Slack",
        "webhook": "Webhook",
    },
    "de": {
        "title": "Benachrichtigungen einstellen",
        "intro": "Wählen Sie, was {brand} Ihnen senden darf, und auf welchem Weg.",
        "saved": "Ihre Einstellungen sind gespeichert.",
        "stale": "Ihre Einstellungen haben sich geändert, seit Sie diese Seite geöffnet haben. Es wurde"
        " nichts"
        " gespeichert: So sind sie jetzt.",
        "busy": "Das lässt sich gerade nicht speichern. Bitte versuchen Sie es in einer Minute noch einmal.",
        "skip": "Zu den Einstellungen springen",
        "all": "Alle Benachrichtigungen",
        "all_label": "Benachrichtigungen erhalten",
        "all_hint": "Wenn Sie das ausschalten, erhalten Sie nur noch, was notwendig ist.",
        "pause": "Pause",
        "pause_label": "Benachrichtigungen anhalten",
        "pause_hint": "Während einer Pause erhalten Sie nur, was notwendig ist.",
        "pause_none": "Keine Pause",
        "pause_keep": "Bis {until}",
        "pause_1h": "Für eine Stunde",
        "pause_1d": "Für einen Tag",
        "pause_1w": "Für eine Woche",
        "kinds": "Was Sie erhalten",
        "required": "Wird immer gesendet. Ohne diese Nachrichten lässt sich der Dienst nicht nutzen,"
        " deshalb kann man"
        " sie nicht abschalten.",
        "save": "Einstellungen speichern",
        "language": "Sprache",
        "expired_title": "Dieser Link ist abgelaufen",
        "expired": "Öffnen Sie den Link in einer neueren Nachricht, oder bitten Sie {brand} um einen neuen.",
        "unknown_title": "Dieser Link ist ungültig",
        "unknown": "Vielleicht ist er abgeschnitten. Öffnen Sie ihn noch einmal aus der Nachricht heraus.",
        "us": "uns",
        "stop_title": "Abbestellen",
        "stop_question": "Möchten Sie von {brand} keine Nachrichten der Art „{category}“ mehr?",
        "stop_everything": "Möchten Sie von {brand} keine Nachrichten mehr?",
        "stop_button": "Abbestellen",
        "stopped_title": "Sie haben abbestellt",
        "stopped": "Sie erhalten von {brand} keine Nachrichten der Art „{category}“ mehr.",
        "stopped_everything": "Sie erhalten von {brand} keine Nachrichten mehr, außer was notwendig ist.",
        "again_button": "Rückgängig machen",
        "again_title": "Sie sind wieder angemeldet",
        "again": "Sie erhalten von {brand} wieder Nachrichten der Art „{category}“.",
        "again_everything": "Sie erhalten wieder Nachrichten von {brand}.",
        "again_off_title": "Benachrichtigungen sind noch ausgeschaltet",
        "again_off": "Sie erhalten von {brand} wieder Nachrichten der Art „{category}“, sobald Sie in den"
        " Einstellungen Benachrichtigungen einschalten.",
        "fixed_title": "Diese Nachrichten lassen sich nicht abschalten",
        "manage": "Alle Einstellungen",
        "email": "E-Mail",
        "sms": "SMS",
        "push": "App auf dem Telefon",
        "webpush": "Browser",
        "inapp": "Postfach in der App",
        "whatsapp": "WhatsApp",
        "voice": "Anruf",
        "slack": "Slack",
        "webhook": "Webhook",
    },
    "fr": {
        "title": "Réglages des notifications",
        "intro": "Choisissez ce que {brand} peut vous envoyer, et par quel moyen.",
        "saved": "Vos réglages sont enregistrés.",
        "stale": "Vos réglages ont changé depuis que vous avez ouvert cette page. Rien n’a été"
        " enregistré : les voici"
        " tels qu’ils sont maintenant.",
        "busy": "L’enregistrement est impossible pour le moment. Réessayez dans une minute.",
        "skip": "Aller aux réglages",
        "all": "Toutes les notifications",
        "all_label": "Recevoir des notifications",
        "all_hint": "Si vous désactivez ceci, vous ne recevrez que le nécessaire.",
        "pause": "Pause",
        "pause_label": "Suspendre les notifications",
        "pause_hint": "Pendant une pause, vous ne recevez que le nécessaire.",
        "pause_none": "Pas de pause",
        "pause_keep": "Jusqu’au {until}",
        "pause_1h": "Pendant une heure",
        "pause_1d": "Pendant un jour",
        "pause_1w": "Pendant une semaine",
        "kinds": "Ce que vous recevez",
        "required": "Toujours envoyé. Ces messages sont nécessaires au service et ne peuvent pas être"
        " désactivés.",
        "save": "Enregistrer les réglages",
        "language": "Langue",
        "expired_title": "Ce lien a expiré",
        "expired": "Ouvrez le lien d’un message plus récent, ou demandez-en un nouveau à {brand}.",
        "unknown_title": "Ce lien n’est pas valide",
        "unknown": "Il a peut-être été coupé. Ouvrez-le de nouveau depuis le message où vous l’avez trouvé.",
        "us": "nous",
        "stop_title": "Se désabonner",
        "stop_question": "Ne voulez-vous plus recevoir de messages de type « {category} » de {brand} ?",
        "stop_everything": "Ne voulez-vous plus recevoir de messages de {brand} ?",
        "stop_button": "Se désabonner",
        "stopped_title": "Vous êtes désabonné",
        "stopped": "Vous ne recevrez plus de messages de type « {category} » de {brand}.",
        "stopped_everything": "Vous ne recevrez plus de messages de {brand}, sauf le nécessaire.",
        "again_button": "Annuler",
        "again_title": "Vous êtes de nouveau abonné",
        "again": "Vous recevrez de nouveau les messages de type « {category} » de {brand}.",
        "again_everything": "Vous recevrez de nouveau les messages de {brand}.",
        "again_off_title": "Les notifications sont encore désactivées",
        "again_off": "Vous recevrez de nouveau les messages de type « {category} » de {brand} dès que vous"
        " activerez les notifications dans les réglages.",
        "fixed_title": "Ces messages ne peuvent pas être désactivés",
        "manage": "Tous les réglages",
        "email": "E-mail",
        "sms": "SMS",
        "push": "Application sur le téléphone",
        "webpush": "Navigateur",
        "inapp": "Messagerie de l’application",
        "whatsapp": "WhatsApp",
        "voice": "Appel téléphonique",
        "slack": "Slack",
        "webhook": "Webhook",
    },
    "es": {
        "title": "Ajustes de notificaciones",
        "intro": "Elija qué puede enviarle {brand} y por qué medio.",
        "saved": "Sus ajustes están guardados.",
        "stale": "Sus ajustes han cambiado desde que abrió esta página. No se ha guardado nada: así"
        " están ahora.",
        "busy": "Ahora mismo no se puede guardar. Inténtelo de nuevo dentro de un minuto.",
        "skip": "Ir a los ajustes",
        "all": "Todas las notificaciones",
        "all_label": "Recibir notificaciones",
        "all_hint": "Si lo desactiva, solo recibirá lo necesario.",
        "pause": "Pausa",
        "pause_label": "Pausar las notificaciones",
        "pause_hint": "Durante una pausa solo recibe lo necesario.",
        "pause_none": "Sin pausa",
        "pause_keep": "Hasta el {until}",
        "pause_1h": "Durante una hora",
        "pause_1d": "Durante un día",
        "pause_1w": "Durante una semana",
        "kinds": "Lo que recibe",
        "required": "Se envía siempre. Estos mensajes son necesarios para el servicio y no se pueden"
        " desactivar.",
        "save": "Guardar los ajustes",
        "language": "Idioma",
        "expired_title": "Este enlace ha caducado",
        "expired": "Abra el enlace de un mensaje más reciente, o pida uno nuevo a {brand}.",
        "unknown_title": "Este enlace no es válido",
        "unknown": "Puede que esté cortado. Ábralo otra vez desde el mensaje en que lo encontró.",
        "us": "nosotros",
        "stop_title": "Cancelar la suscripción",
        "stop_question": "¿Ya no quiere recibir mensajes del tipo «{category}» de {brand}?",
        "stop_everything": "¿Ya no quiere recibir mensajes de {brand}?",
        "stop_button": "Cancelar la suscripción",
        "stopped_title": "Suscripción cancelada",
        "stopped": "Ya no recibirá mensajes del tipo «{category}» de {brand}.",
        "stopped_everything": "Ya no recibirá mensajes de {brand}, salvo lo necesario.",
        "again_button": "Deshacer",
        "again_title": "Vuelve a estar suscrito",
        "again": "Volverá a recibir mensajes del tipo «{category}» de {brand}.",
        "again_everything": "Volverá a recibir mensajes de {brand}.",
        "again_off_title": "Las notificaciones siguen desactivadas",
        "again_off": "Volverá a recibir mensajes del tipo «{category}» de {brand} en cuanto active las"
        " notificaciones en los ajustes.",
        "fixed_title": "Estos mensajes no se pueden desactivar",
        "manage": "Todos los ajustes",
        "email": "Correo electrónico",
        "sms": "SMS",
        "push": "Aplicación del teléfono",
        "webpush": "Navegador",
        "inapp": "Buzón de la aplicación",
        "whatsapp": "WhatsApp",
        "voice": "Llamada",
        "slack": "Slack",
        "webhook": "Webhook",
    },
}


def language_of(*wanted: str) -> str:
    """Return the first of these locales that the pages have a language for, else English.

    >>> language_of("", "pt-BR", "de-AT")
    'de'
    """
    tags = (tag for locale in wanted for tag in family(locale))
    return next((tag for tag in tags if tag in TEXTS), _LAST)


def accepted(header: str) -> list[str]:
    """Return the languages that a browser asks for, the one it likes best first (RFC 9110, 12.5.4).

    >>> accepted("fr;q=0.5, de-AT, en;q=0")
    ['de-AT', 'fr']
    """
    found = []
    for place, part in enumerate(header[:_MOST_CHARS].split(",")):
        tag, _, weight = part.strip().partition(";")
        quality = _quality(weight)
        if tag and quality > 0:
            found.append((-quality, place, tag.strip()))
    return [tag for _, _, tag in sorted(found)]


_MOST_CHARS: Final = 256


def _quality(weight: str) -> float:
    try:
        return float(weight.strip().removeprefix("q=")) if weight else 1.0
    except ValueError:
        return 0.0
