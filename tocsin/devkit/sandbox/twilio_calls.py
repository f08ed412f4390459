"""Reads calls as Twilio's `Calls.json` does: numbers, TwiML with <Say>, and events to report."""

import re
from urllib.parse import urlsplit
from xml.etree import ElementTree

from tocsin.devkit.sandbox.content import Speech, encode, preview
from tocsin.devkit.sandbox.sent import Call, user_key
from tocsin.devkit.sandbox.wire import Form, form_of

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_LANGUAGE = re.compile(r"[a-z]{2,3}-[A-Z]{2}|[a-z]{2,3}")
_EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
MAX_TWIML = 4000

MAGIC_TO = {
    "+15005550001": "21217",
    "+15005550002": "21214",
    "+15005550003": "21215",
    "+15005550004": "21216",
}
MAGIC_FROM = {"+15005550001": "21212", "+15005550000": "21210"}


def read(form: Form) -> tuple[str, Call | None]:
    """Read a call, or give Twilio's code of what is wrong with it."""
    code = _numbers(form) or _options(form)
    if code:
        return code, None
    speech = _speech(form)
    return ("12100", None) if speech is None else ("", _call(form, speech))


def resource(form: Form, account: str, sid: str) -> dict[str, object]:
    """Give the call as Twilio shows it at first."""
    return {
        "sid": sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "direction": "outbound-api",
        "status": "queued",
        "to": _first(form, "To"),
        "from": _first(form, "From"),
        "duration": None,
        "price": None,
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{sid}.json",
    }


def _first(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _numbers(form: Form) -> str:
    to, sender = _first(form, "To"), _first(form, "From")
    if not to:
        return "21201"
    if not sender:
        return "21213"
    if not _NUMBER.fullmatch(to):
        return "21211"
    if not _NUMBER.fullmatch(sender):
        return "21212"
    return MAGIC_TO.get(to) or MAGIC_FROM.get(sender) or ""


def _options(form: Form) -> str:
    if not _first(form, "Twiml"):
        return "21205"
    timeout = _first(form, "Timeout") or "60"
    if not (timeout.isdecimal() and timeout.isascii() and 1 <= int(timeout) <= 600):
        return "21208"
    callback = urlsplit(_first(form, "StatusCallback") or "https://x")
    if callback.scheme not in ("http", "https") or not callback.hostname or "_" in callback.hostname:
        return "21609"
    if not _EVENTS.issuperset(form.get("StatusCallbackEvent", ())):
        return "20001"
    if _first(form, "MachineDetection") not in ("", "Enable", "DetectMessageEnd"):
        return "20001"
    return ""


def _speech(form: Form) -> Speech | None:
    """Read the TwiML; None if it is no document with something to say."""
    twiml = _first(form, "Twiml")
    try:
        root = ElementTree.fromstring(twiml)  # noqa: S314 - expat of today bounds what entities become
    except (ElementTree.ParseError, ValueError):
        return None
    said = root.findall("Say")
    known = {each.tag for each in root} <= {"Say", "Pause"} and root.tag == "Response"
    spoken = all((each.text or "").strip() for each in said)
    if len(twiml) > MAX_TWIML or not (said and known and spoken):
        return None
    language = said[0].get("language", "en-US")
    if not _LANGUAGE.fullmatch(language):
        return None
    return Speech(
        text=said[0].text or "",
        sender=_first(form, "From"),
        language=language,
        voice=said[0].get("voice", ""),
        times=len(said),
        ring_s=int(_first(form, "Timeout") or 60),
    )


def _call(form: Form, speech: Speech) -> Call:
    asked = form_of(urlsplit(_first(form, "StatusCallback")).query)
    return Call(
        provider="twilio",
        channel="voice",
        recipient=_first(form, "To"),
        message_id=_first(asked, "message_id"),
        mark=_first(asked, "tocsin_mark"),
        user=user_key(_first(asked, "tenant"), _first(asked, "user")),
        title=preview(speech.text),
        content=encode(speech),
    )
