"""Stands in for a mail server: aiosmtpd with scripted refusals, and AUTH for clients that ask for it."""

import asyncio
import secrets
from itertools import count
from typing import cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.mails import Head
from tocsin.devkit.sandbox.request_handler import RequestHandler
from tocsin.devkit.sandbox.sent import Call, user_key

_THROTTLED = "421 4.7.0 Too much mail, slow down"
_LATER = "451 4.3.0 Temporary system problem, try again later"
_NOBODY = "550 5.1.1 No such user here"
_GONE = ("dead_token", "refused_number", "bounce")


class MailHandler:
    """aiosmtpd's hooks: each recipient is judged at RCPT, the mail is recorded before its 250."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._ids = count()
        self._run = secrets.token_hex(4).upper()

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer MAIL FROM."""
        call = Call(provider="smtp", channel="email", recipient="")
        fault = self._handler.faults.rule(call, self._handler.clock_ms(), at="mail").fault
        if fault is not None:
            return fault.reply or _LATER
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer RCPT TO: each recipient alone."""
        call = Call(provider="smtp", channel="email", recipient=address)
        now_ms = self._handler.clock_ms()
        ruling = self._handler.faults.rule(call, now_ms)
        refusal = _refusal_at_rcpt(ruling.fault)
        if refusal:
            self._handler.refuse([call], _code(refusal), now_ms)
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        _rulings(envelope).append((ruling.latency_ms, ruling.fault))
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Record the mail, one record a recipient, and answer."""
        rulings = _rulings(envelope)
        fault = next((fault for _, fault in rulings if fault is not None), None)
        raw = envelope.original_content or b""
        now_ms, latency_ms = self._handler.clock_ms(), max(latency for latency, _ in rulings)
        reply = self._take(raw, list(envelope.rcpt_tos), fault, now_ms)
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        if fault is not None and fault.kind in ("drop_before", "drop_after"):
            cast("asyncio.Transport", server.transport).abort()
        return reply

    def _take(self, raw: bytes, recipients: list[str], fault: Fault | None, now_ms: int) -> str:
        head = Head(raw)
        calls = [_call(raw, head, recipient) for recipient in recipients]
        if fault is not None and fault.kind == "drop_before":
            return _LATER
        refusal = _refusal_of(raw, head) or _refusal_at_data(fault)
        if refusal:
            self._handler.refuse(calls, _code(refusal), now_ms)
            return refusal
        queue_id = f"{self._run}{next(self._ids):08X}"
        self._handler.accept(calls, queue_id, now_ms)
        self._handler.sent.flush()
        return f"250 2.0.0 Ok: queued as {queue_id}"


def _rulings(envelope: Envelope) -> list[tuple[int, Fault | None]]:
    """What was ruled for the envelope's recipients: it ends with the envelope."""
    found: list[tuple[int, Fault | None]] = envelope.__dict__.setdefault("rulings", [])
    return found


def _code(reply: str) -> str:
    words = reply.split()
    return words[1] if len(words) > 1 and words[1].count(".") == 2 else words[0]


def _refusal_at_rcpt(fault: Fault | None) -> str:
    if fault is None:
        return ""
    if fault.kind in _GONE:
        return f"550 {fault.code} Refused" if fault.code else _NOBODY
    return fault.reply or _LATER if fault.kind == "smtp" and fault.stage == "rcpt" else ""


def _refusal_at_data(fault: Fault | None) -> str:
    if fault is None:
        return ""
    if fault.kind == "status":
        return _THROTTLED if fault.status == 429 else _LATER
    return fault.reply or _LATER if fault.kind == "smtp" and fault.stage == "data" else ""


def _refusal_of(raw: bytes, head: Head) -> str:
    """Refuse what breaks the rules of a mail's form, as large receivers do."""
    if raw.count(b"\n") != raw.count(b"\r\n"):
        return "550 5.6.0 Lines must end with CRLF"
    for name in (b"date", b"from", b"message-id", b"subject", b"mime-version"):
        if head.count(name) != 1:
            return f"550 5.6.0 Exactly one {name.decode()} field is required"
    return "550 5.6.0 Bcc must not stand in the header" if head.count(b"bcc") else ""


def _call(raw: bytes, head: Head, recipient: str) -> Call:
    return Call(
        provider="smtp",
        channel="email",
        recipient=recipient,
        message_id=head.message_id(),
        user=user_key(head.text(b"x-tocsin-tenant"), head.text(b"x-tocsin-user")),
        title=head.text(b"subject"),
        content=raw,
    )


def authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
) -> AuthResult:
    """Take any login but passwords beginning `bad`."""
    right = isinstance(data, LoginPassword) and not data.password.startswith(b"bad")
    return AuthResult(success=right, handled=False)
