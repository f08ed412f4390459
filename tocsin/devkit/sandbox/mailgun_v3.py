"""Stands in for Mailgun: `POST /v3/{domain}/messages` with recipient variables, and the state of a domain."""

import base64
import binascii
import re
import secrets
from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from itertools import count, islice
from typing import NoReturn

import msgspec

from tocsin.devkit.sandbox.content import Attached, Mail, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.multipart import files_of, multipart_of
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sendgrid_v3 import ADDRESS
from tocsin.devkit.sandbox.sent import REFUSED, Call, Entry, Sent, user_key
from tocsin.devkit.sandbox.wire import Form, Refusal, Reply, Request, form_of, json_reply

MAX_BYTES = 25_000_000
MAX_RECIPIENTS = 1000
MAX_OPTIONS = 16_384
PATH = re.compile(r"/v3/(?P<domain>[a-z0-9.-]+)/messages|/v3/domains/(?P<asked>[a-z0-9.-]+)")
EVENTS = re.compile(r"/v3/[a-z0-9.-]+/events")
FIELDS = frozenset(
    ["from", "to", "cc", "bcc", "subject", "text", "html", "amp-html", "template", "recipient-variables"]
)
_VARIABLE = re.compile(r"(?<!%)%recipient\.([^%\s]+)%(?!%)")
_variables = msgspec.json.Decoder(dict[str, dict[str, str]]).decode


def refusal(status: int, message: str) -> Refusal:
    """Build Mailgun's error answer."""
    return Refusal(json_reply({"message": message}, status), str(status))


def refuse(status: int, message: str) -> NoReturn:
    """Refuse the request."""
    raise refusal(status, message)


class Mailgun:
    """The messages endpoint. Keys beginning `bad` are wrong; domains `unknown.…` are of another region."""

    name = "mailgun"

    def __init__(self) -> None:
        self._ids = count()
        self._run = secrets.token_hex(6)

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        if not _logged_in(request):
            raise Refusal(Reply(401, b"Forbidden", content_type="text/plain"), "401")
        found = PATH.fullmatch(request.path)
        domain = (found["domain"] or found["asked"]) if found else ""
        if not found or domain.startswith("unknown."):
            refuse(404, f"Domain not found: {domain}")
        if found["asked"] and request.method == "GET":
            state = "unverified" if domain.startswith("unverified.") else "active"
            return Accepted([], json_reply({"domain": {"name": domain, "state": state}}), "")
        if found["asked"] or request.method != "POST":
            refuse(405, "Method not allowed")
        form = _form(request)
        variables, files = _check(form), _files(request)
        message_id = f"{self._run}.{next(self._ids):x}@{domain}"
        reply = json_reply({"id": f"<{message_id}>", "message": "Queued. Thank you."})
        calls = [] if form.get("o:testmode") == ["yes"] else list(_calls(form, variables, files))
        return Accepted(calls, reply, message_id)

    def search(self, request: Request, sent: Sent) -> Reply | None:
        """List the `accepted` events of a recipient; sending keys (`send…`) may not read them."""
        found = EVENTS.fullmatch(request.path)
        if request.method != "GET" or not found:
            return None
        if not _logged_in(request) or _key_of(request).startswith("send"):
            raise Refusal(Reply(401, b"Forbidden", content_type="text/plain"), "401")
        asked = request.parameters()
        since_ms, recipient = float(asked.get("begin") or 0) * 1_000, asked.get("recipient", "")
        mine = [
            _event(one)
            for one in islice(sent.newest(), 10_000)
            if one.call.provider == self.name and one.status != REFUSED and one.at_ms >= since_ms
            if one.call.recipient == recipient
        ]
        return json_reply({"items": mine[::-1], "paging": {}})

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status. Dead recipients are accepted here; an event names them later."""
        if fault.kind != "status":
            return None
        if fault.status == 401:
            return Refusal(Reply(401, b"Forbidden", content_type="text/plain"), "401")
        if fault.status == 429:
            wait_s = fault.retry_after_s or 1
            text = f"recipient limit exceeded, try again after {wait_s} seconds"
            return refusal(429, f"Domain sandbox.example is not allowed to send: {text}")
        return refusal(fault.status, "an ordered failure")


def _event(entry: Entry) -> dict[str, object]:
    return {
        "event": "accepted",
        "timestamp": entry.at_ms / 1_000,
        "recipient": entry.call.recipient,
        "message": {"headers": {"message-id": entry.provider_id}},
        "user-variables": {"message_id": entry.call.message_id},
    }


def _key_of(request: Request) -> str:
    login = request.header(b"authorization").partition(" ")[2]
    return base64.b64decode(login).decode().partition(":")[2]


def _logged_in(request: Request) -> bool:
    scheme, _, login = request.header(b"authorization").partition(" ")
    try:
        user, _, key = base64.b64decode(login, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return False
    return scheme == "Basic" and user == "api" and bool(key) and not key.startswith("bad")


def _form(request: Request) -> Form:
    kind = request.header(b"content-type")
    if len(request.body) > MAX_BYTES:
        refuse(413, "Message is too large")
    plain = kind.startswith("application/x-www-form-urlencoded")
    form = form_of(request.body.decode("latin-1")) if plain else multipart_of(kind, request.body)
    if form is None:
        refuse(400, "the request is not a form")
    return form


def _files(request: Request) -> list[Attached]:
    parts = files_of(request.header(b"content-type"), request.body)
    wrong = {part.field for part in parts} - {"attachment", "inline"}
    if wrong:
        refuse(400, f"unknown parameter {min(wrong)}")
    if not all(part.content and "/" in part.type for part in parts):
        refuse(400, "an attachment is empty, or has no content type")
    return [
        Attached(part.name, part.type, len(part.content), part.name if part.field == "inline" else "")
        for part in parts
    ]


def _check(form: Form) -> Mapping[str, Mapping[str, str]]:
    """Judge the fields, and give each recipient's variables."""
    for name in ("from", "to"):
        if not form.get(name):
            refuse(400, f"{name} parameter is missing")
        if not all(ADDRESS.fullmatch(parseaddr(value)[1]) for value in form[name]):
            refuse(400, f"{name} parameter is not a valid address. please check documentation")
    if not any(form.get(name, [""])[0] for name in ("text", "html", "amp-html", "template")):
        refuse(400, "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified")
    if len(form["to"]) > MAX_RECIPIENTS:
        refuse(400, "to parameter is too long: at most 1000 recipients")
    options = {name: values for name, values in form.items() if name[1:2] == ":"}
    wrong = form.keys() - options.keys() - FIELDS
    if wrong:
        refuse(400, f"unknown parameter {min(wrong)}")
    if len("".join([name + "".join(values) for name, values in options.items()]).encode()) > MAX_OPTIONS:
        refuse(400, "the options, headers and variables are more than 16 KB")
    if any(char in value for values in options.values() for value in values for char in "\r\n"):
        refuse(400, "a header or variable holds a line break")
    return _parsed(form.get("recipient-variables", ["{}"])[0])


def _parsed(text: str) -> Mapping[str, Mapping[str, str]]:
    try:
        return _variables(text.encode())
    except (msgspec.DecodeError, UnicodeError):
        refuse(400, "recipient-variables parameter is not valid")


def _calls(form: Form, variables: Mapping[str, Mapping[str, str]], files: list[Attached]) -> Iterator[Call]:
    """Make a mail for each recipient. Without variables each is shown all the others, as Mailgun does."""
    texts = {name: values[0] for name, values in form.items() if name not in ("to", "recipient-variables")}
    for person in form["to"]:
        recipient = parseaddr(person)[1]
        own = variables.get(recipient, {})
        fields = {name: _filled(text, own) for name, text in texts.items()}
        shown = recipient if variables else ", ".join(form["to"])
        yield _call(fields, recipient, shown, files)


def _filled(text: str, own: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: own.get(found[1], found[0]), text)


def _call(fields: Mapping[str, str], recipient: str, shown: str, files: list[Attached]) -> Call:
    name, sender = parseaddr(fields["from"])
    content = Mail(
        subject=fields.get("subject", ""),
        sender=sender,
        sender_name=name,
        to=shown,
        text=fields.get("text", ""),
        html=fields.get("html", ""),
        headers=[(name[2:], value) for name, value in fields.items() if name.startswith("h:")],
        attachments=files,
    )
    return Call(
        provider="mailgun",
        channel="email",
        recipient=recipient,
        message_id=fields.get("v:message_id", ""),
        mark=fields.get("v:tocsin_mark", ""),
        user=user_key(fields.get("v:tenant", ""), fields.get("v:user", "")),
        title=content.subject,
        text=preview(content.text),
        content=encode(content),
    )
