"""Reads replies to text messages: a word that stops messages to a number, or starts them again. Pure."""

import re
import unicodedata
from typing import Literal

ReplyKind = Literal["opted_out", "resubscribed", ""]

STOP = frozenset(
    {
        "stop", "stopall", "stop all", "stopp", "unsubscribe", "cancel", "end", "quit", "optout", "opt out",
        "opt-out", "revoke", "remove", "arret", "arrêt", "alto", "parar", "baja", "abmelden", "annulla",
        "abbestellen", "beenden", "arrêter", "arreter", "désabonner", "desabonner", "désinscription",
        "desinscription", "cancelar", "detener", "sair", "pare", "ferma", "basta", "stoppen", "afmelden",
    }
)  # fmt: skip
"""Words that carriers and vendors take for a stop, and those of the languages around them."""
START = frozenset(
    {
        "start", "unstop", "resume", "subscribe", "anmelden", "fortsetzen", "reprendre", "alta", "iniciar",
        "reanudar", "voltar", "riprendi", "aanmelden", "hervatten",
    }
)  # fmt: skip
"""Words that lift a stop, in the same languages. `YES` is none: people answer questions with it."""

_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


def reply_kind(text: str) -> ReplyKind:
    """Return the kind of receipt that a reply is; empty where it is neither a stop nor a start.

    Only a reply that is such a word and nothing else counts: "please stop by at noon" stops nothing.

    >>> reply_kind(" Stop. "), reply_kind("START"), reply_kind("stop by at noon")
    ('opted_out', 'resubscribed', '')

    Signs, emoji and blanks around it do not count. A question stops, but starts nothing.

    >>> reply_kind("¡Alto!"), reply_kind("Stop?"), reply_kind("Start?")
    ('opted_out', 'opted_out', '')
    """
    word = " ".join(_EDGES.sub("", unicodedata.normalize("NFC", text)).lower().split())
    if word in STOP:
        return "opted_out"
    return "resubscribed" if word in START and "?" not in text else ""
