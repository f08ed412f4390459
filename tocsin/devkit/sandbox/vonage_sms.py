"""Stands in for Vonage's `POST /sms/json` and `GET /account/get-balance`: refusals come with HTTP 200."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from itertools import count
from typing import NoReturn
from urllib.parse import urlsplit

from tocsin.devkit.sandbox.content import Text, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.segments import GSM7, Billing, bill
from tocsin.devkit.sandbox.sent import Call, user_key
from tocsin.devkit.sandbox.wire import Form, Refusal, Reply, Request, form_of, json_reply

SIGNATURE_SECRET = "sandbox-signature-secret"  # noqa: S105 - no secret
MAX_TEXT = 3200
MAX_CLOCK_S = 300
_KEY = re.compile(r"[A-Za-z0-9]{8}")
_NUMBER = re.compile(r"[1-9][0-9]{6,14}")
_SENDER = re.compile(r"[0-9]{3,15}|(?=.*[A-Za-z])[A-Za-z0-9 ._-]{1,11}")
_KINDS = ("text", "unicode", "binary", "wappush", "vcal", "vcard")
_UNSAFE = str.maketrans({"&": "_", "=": "_"})

TEXTS = {
    "1": "Throughput Rate Exceeded",
    "2": "Missing parameter",
    "3": "Invalid parameter",
    "4": "Bad Credentials",
    "5": "Internal Error",
    "6": "Unroutable message - rejected",
    "7": "Number barred",
    "8": "Partner account barred",
    "9": "Partner quota violation",
    "12": "Message too long",
    "14": "Invalid Signature",
    "15": "Illegal Sender Address - rejected",
    "23": "Invalid callback URL",
    "29": "Non White-listed Destination",
    "32": "Signature And API Secret Disallowed",
    "33": "Number De-activated",
}
_BY_HTTP = {401: "4", 429: "1", 500: "5", 503: "5"}


def refusal(status: str, text: str = "") -> Refusal:
    """Build Vonage's answer to what it does not take."""
    part = {"status": status, "error-text": text or TEXTS.get(status, "An ordered failure")}
    return Refusal(json_reply({"message-count": "1", "messages": [part]}), status)


def refuse(status: str, text: str = "") -> NoReturn:
    """Refuse the request."""
    raise refusal(status, text)


class Vonage:
    """The SMS endpoint. Any secret is right but those beginning `bad`; signatures need `SIGNATURE_SECRET`."""

    name = "vonage"

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._ids = count(1)
        self._run = secrets.token_hex(4).upper()

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        if (request.method, request.path) == ("GET", "/account/get-balance"):
            return _balance(request)
        if (request.method, request.path) != ("POST", "/sms/json"):
            raise Refusal(json_reply({"error-code": "404", "error-code-label": "not found"}, 404), "404")
        form: Form = {}
        if request.header(b"content-type").startswith("application/x-www-form-urlencoded"):
            form = form_of(request.body.decode("latin-1"))
        fields = {name: values[-1] for name, values in form.items()}
        _authenticate(fields, request, self._clock_ms() // 1000)
        _check(fields)
        text = _text(fields)
        ids = [f"{self._run}{next(self._ids):08X}" for _ in range(text.segments)]
        return Accepted([_call(fields, text)], json_reply(_answer(fields, ids)), ids[0])

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status of Vonage's, or a number with 7 or the status ordered."""
        if fault.kind == "status":
            status = fault.code or _BY_HTTP.get(fault.status, "")
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            answer = refusal(status)
            reply = Reply(200, answer.reply.body, headers)
            if not status:
                reply = Reply(fault.status, b"<html>ordered</html>", headers, "text/html")
            return Refusal(reply, status or str(fault.status))
        if fault.kind in ("refused_number", "bounce", "dead_token"):
            return refusal(fault.code or "7")
        return None


def _balance(request: Request) -> Accepted:
    scheme, _, encoded = request.header(b"authorization").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user, password = "", ""
    if scheme.lower() != "basic" or not _KEY.fullmatch(user) or not password or password.startswith("bad"):
        label = {"error-code": "401", "error-code-label": "authentication failed"}
        raise Refusal(json_reply(label, 401), "401")
    return Accepted([], json_reply({"value": 12.5, "autoReload": False}), "")


def _authenticate(fields: Mapping[str, str], request: Request, now_s: int) -> None:
    key, secret, signed = (fields.get(name, "") for name in ("api_key", "api_secret", "sig"))
    if not key:
        refuse("2", "Missing api_key")
    if not _KEY.fullmatch(key):
        refuse("4")
    if signed and secret:
        refuse("32")
    if signed:
        _check_signature(fields, signed, now_s)
    elif not secret and not request.header(b"authorization"):
        refuse("2", "Missing api_secret")
    elif secret.startswith("bad"):
        refuse("4")


def _check_signature(fields: Mapping[str, str], signed: str, now_s: int) -> None:
    stamp = fields.get("timestamp", "")
    if not stamp.isdecimal() or not stamp.isascii() or abs(int(stamp) - now_s) > MAX_CLOCK_S:
        refuse("14")
    text = "".join([f"&{name}={fields[name].translate(_UNSAFE)}" for name in sorted(fields) if name != "sig"])
    if signed.lower() not in _signatures(text):
        refuse("14")


def _signatures(text: str) -> list[str]:
    """Make the signatures of every method: which one it is, is a setting of the account."""
    plain = hashlib.md5(f"{text}{SIGNATURE_SECRET}".encode(), usedforsecurity=False).hexdigest()
    keyed = [
        hmac.new(SIGNATURE_SECRET.encode(), text.encode(), method).hexdigest()
        for method in ("md5", "sha1", "sha256", "sha512")
    ]
    return [plain, *keyed]


def _check(fields: Mapping[str, str]) -> None:
    for name in ("to", "from", "text"):
        if not fields.get(name):
            refuse("2", f"Missing {name} param")
    if not _NUMBER.fullmatch(fields["to"]):
        refuse("3", "Invalid to param")
    if not _SENDER.fullmatch(fields["from"]):
        refuse("15")
    if len(fields["text"]) > MAX_TEXT:
        refuse("12")
    _check_options(fields)


def _check_options(fields: Mapping[str, str]) -> None:
    if fields.get("type", "text") not in _KINDS:
        refuse("3", "Invalid type param")
    life = fields.get("ttl", "259200000")
    if not (life.isdecimal() and life.isascii() and 20_000 <= int(life) <= 604_800_000):
        refuse("3", "Invalid ttl param")
    if len(fields.get("client-ref", "")) > 40:
        refuse("3", "Invalid client-ref param")
    if fields.get("message-class", "0") not in ("0", "1", "2", "3"):
        refuse("3", "Invalid message-class param")
    callback = urlsplit(fields.get("callback", "https://x"))
    if callback.scheme not in ("http", "https") or not callback.hostname:
        refuse("23")


def _text(fields: Mapping[str, str]) -> Text:
    """Read the text as the phone shows it: `type=text` spoils what is not in GSM-7."""
    body = fields["text"]
    if fields.get("type", "text") == "text":
        body = "".join([char if char in GSM7 else "?" for char in body])
    billing = _billed(body, fields.get("type", "text"))
    return Text(
        body=body,
        sender=fields["from"],
        encoding=billing.encoding,
        segments=billing.segments,
        units=billing.units,
    )


def _billed(body: str, kind: str) -> Billing:
    """Bill a text; `type=unicode` is UCS-2, also where GSM-7 would do."""
    billing = bill(body)
    if kind != "unicode" or billing.encoding == "UCS-2":
        return billing
    units = len(body)
    return Billing("UCS-2", units, 1 if units <= 70 else -(-units // 67))


def _answer(fields: Mapping[str, str], ids: list[str]) -> dict[str, object]:
    ref = {"client-ref": fields["client-ref"]} if "client-ref" in fields else {}
    parts = [
        {
            "to": fields["to"],
            "message-id": each,
            "status": "0",
            "remaining-balance": "12.50000000",
            "message-price": "0.05000000",
            "network": "12345",
            **ref,
        }
        for each in ids
    ]
    return {"message-count": str(len(parts)), "messages": parts}


def _call(fields: Mapping[str, str], text: Text) -> Call:
    asked = form_of(urlsplit(fields.get("callback", "")).query)
    tenant, user = asked.get("tenant", [""])[0], asked.get("user", [""])[0]
    return Call(
        provider="vonage",
        channel="sms",
        recipient=f"+{fields['to']}",
        message_id=fields.get("client-ref", ""),
        mark=asked.get("tocsin_mark", [""])[0],
        user=user_key(tenant, user),
        title=preview(text.body),
        content=encode(text),
    )
