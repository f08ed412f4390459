"""E-mail over SMTP submission: one mail, one transaction (RFC 5321, 6409)."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, SecretStr, field_validator, model_validator

from tocsin.errors import (
    About,
    DeliveryError,
    LimitReached,
    Misconfigured,
    RecipientGone,
    Rejected,
    Transient,
    Unknown,
)
from tocsin.formats.return_paths import (
    MAX_LOCAL_CHARS,
    TOKEN_CHARS,
    TOKEN_FIELD,
    ReturnPaths,
    fits,
    is_message_id,
)
from tocsin.model.content import EmailContent, Outgoing
from tocsin.model.ids import digest
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.clean import clean
from tocsin.providers.dkim import DkimKey, DkimSigner
from tocsin.providers.mime import ascii_domain, mime_bytes
from tocsin.providers.registry import Parts, provider
from tocsin.providers.smtp_reading import read_reply, rule_of
from tocsin.providers.smtp_replies import Verdict
from tocsin.providers.smtp_session import SmtpCut, SmtpPolicy, SmtpPool, SmtpRefusal, SmtpSession
from tocsin.providers.smtp_stages import SmtpStage
from tocsin.providers.vendor import Account, Host, check_mail_size, content_of

LIMITS = Limits(timeout_s=30)

PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "plain": 25}

GREYLISTED_S = 300.0
"""Greylisting lets the second try pass after 5 to 15 minutes."""


class Meaning(NamedTuple):
    """What follows from a verdict."""

    error: type[DeliveryError]
    about: About
    wait_s: float | None = None


MEANINGS: Mapping[Verdict, Meaning] = {
    Verdict.GONE: Meaning(RecipientGone, About.RECIPIENT),
    Verdict.REFUSED: Meaning(Rejected, About.RECIPIENT),
    Verdict.RECIPIENT_LATER: Meaning(Transient, About.RECIPIENT),
    Verdict.CONTENT: Meaning(Rejected, About.MESSAGE),
    Verdict.SERVER_LATER: Meaning(Transient, About.MOMENT),
    Verdict.ACCOUNT: Meaning(Misconfigured, About.ACCOUNT),
    Verdict.ACCOUNT_LIMIT: Meaning(LimitReached, About.MOMENT, 3_600),
    Verdict.ACCOUNT_DAY_LIMIT: Meaning(LimitReached, About.MOMENT, 14_400),
}
"""The waits give a mail 6 hours under an hourly limit and 24 hours under a daily one, with 7 attempts."""

ABOUT_INNER: Mapping[About, About] = {About.ACCOUNT: About.MESSAGE, About.MOMENT: About.RECIPIENT}
"""What one destination holds against our server closes no account: other destinations take its mail."""

_WORD = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
_ADDRESS = re.compile(
    r"""(?:[^\s<>@"\x00-\x1f\x7f]+|"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])+")@[^\s<>@\x00-\x1f\x7f]+"""
)

NO_SMTPUTF8 = "an address is not ASCII before its @, and the server offers no SMTPUTF8; use one that does"

MAX_ADDRESS_BYTES = 320
"""64 of the local part, 255 of the domain (RFC 5321, 4.5.3.1): a command line holds 512."""

MARGIN = 0.9
"""Share of the deadline we use ourselves: what we cut off we can class by its stage, our caller cannot."""


class SmtpAccount(Account):
    """Settings of a mail server that takes mail from us.

    Attributes:
        port: 0 for the usual one of `security`.
        return_path: where bounces go. `{token}` in it gives each mail its own address, which `tocsin bounces`
            believes; `{message_id}` one that anybody can write. Empty: the sender.
        dkim: keys that sign each mail, where the server does not.
        ca: further root certificates, PEM text (`ca_file` in the file reads it from there).
        ehlo_name: how we name ourselves; empty for this machine's name.
    """

    vendor: Literal["smtp"]
    host: Annotated[Host, Field(min_length=1)]
    port: int = Field(0, ge=0, le=65535)
    security: Literal["starttls", "tls", "plain"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    return_path: str = ""
    dkim: tuple[DkimKey, ...] = ()
    ca: str = ""
    ehlo_name: Host = ""
    max_connections: int = Field(16, ge=1)
    connect_timeout_s: float = Field(10, gt=0, le=300)

    @field_validator("return_path")
    @classmethod
    def _short_enough(cls, path: str) -> str:
        if not path:
            return path
        sample = path.replace(TOKEN_FIELD, "a" * TOKEN_CHARS).replace("{message_id}", "0" * 32)
        if "{" in sample or not _ADDRESS.fullmatch(ascii_domain(sample)):
            msg = "must be an address like bounce-{token}@bounces.example.com"
            raise ValueError(msg)
        if not fits(sample):
            most = MAX_LOCAL_CHARS - TOKEN_CHARS
            room = f"beside {{token}} there is room for {most}"
            msg = f"has more than {MAX_LOCAL_CHARS} characters before its @; {room}"
            raise ValueError(msg)
        return path

    @model_validator(mode="after")
    def _no_login_in_clear(self) -> "SmtpAccount":
        if self.security == "plain" and self.username:
            msg = "security: plain would send the password in clear; use starttls or tls, or no username"
            raise ValueError(msg)
        return self

    def policy(self) -> SmtpPolicy:
        """Build the pool's policy from this account."""
        return SmtpPolicy(
            host=self.host,
            port=self.port or PORTS[self.security],
            security=self.security,
            username=self.username,
            password=self.password.get_secret_value(),
            ca=self.ca,
            ehlo_name=self.ehlo_name,
            max_connections=self.max_connections,
            connect_timeout_s=self.connect_timeout_s,
        )


def _build(name: str, account: SmtpAccount, parts: Parts) -> "SmtpMail":
    return SmtpMail(name, account, parts.secret)


@provider("smtp", Channel.EMAIL, SmtpAccount, build=_build)
class SmtpMail:
    """Sends e-mail. A 250 after the final dot means queued at that server: sent, not delivered.

    A cut before the final dot is `Transient`, after it `Unknown`. A repeat is byte for byte the same mail,
    Message-ID included.
    """

    channel = Channel.EMAIL

    def __init__(self, name: str, account: SmtpAccount, secret: bytes = b"") -> None:
        self.name = name
        self._paths = ReturnPaths(secret) if secret and TOKEN_FIELD in account.return_path else None
        self.limits = account.limits(LIMITS)
        self._return_path = account.return_path
        self._signer = DkimSigner(account.dkim)
        self._logs_in = bool(account.username)
        self._pool = SmtpPool(account.policy())

    def accepts(self, message: Message) -> bool:
        """Carry every e-mail."""
        return message.channel == Channel.EMAIL

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one e-mail; see `Provider.send`."""
        content = content_of(outgoing, EmailContent)
        recipient = _mailbox(outgoing.message.target.address)
        sender = _mailbox(self._bounces_to(outgoing.message, content))
        unsigned = mime_bytes(outgoing.message, content, outgoing.mark, outgoing.attachments)
        mail = self._signer.sign(unsigned, outgoing.message.decided_ms // 1_000)
        check_mail_size(len(mail), self.limits.max_bytes, outgoing)
        deadline_s = asyncio.get_running_loop().time() + self.limits.timeout_s * MARGIN
        try:
            async with self._pool.session(deadline_s) as session:
                check_mail_size(len(mail), session.max_bytes(), outgoing)
                return await _transact(session, sender, recipient, mail, deadline_s)
        except SmtpRefusal as refusal:
            failure = _refused(refusal, outgoing)
        except SmtpCut as cut:
            failure = _cut(cut)
        raise failure

    async def verify(self) -> str:
        """Connect, and log in if there is a username.

        Raises:
            DeliveryError: the server cannot be reached, is not who it should be, or refuses the login.
        """
        deadline_s = asyncio.get_running_loop().time() + self.limits.timeout_s * MARGIN
        try:
            async with self._pool.session(deadline_s) as session:
                most = session.max_bytes()
        except SmtpRefusal as refusal:
            failure = _refused(refusal, None)
        else:
            size = f", and mails of up to {most:,} bytes" if most else ""
            return f"the server takes {'the login' if self._logs_in else 'connections without login'}{size}"
        raise failure

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    def _bounces_to(self, message: Message, content: EmailContent) -> str:
        path = self._return_path.replace("{message_id}", message.message_id) or content.sender
        if self._paths is None:
            return content.sender if TOKEN_FIELD in path else path
        named = message.message_id if is_message_id(message.message_id) else digest(message.message_id)
        return path.replace(TOKEN_FIELD, self._paths.token(named, message.decided_ms))


async def _transact(
    session: SmtpSession, sender: str, recipient: str, mail: bytes, deadline_s: float
) -> Receipt:
    options = f" SIZE={len(mail)}" if session.max_bytes() else ""
    if not (sender + recipient).isascii():
        if not session.offers("smtputf8"):
            raise Rejected(NO_SMTPUTF8, code="5.6.7")
        options += " SMTPUTF8" + (" BODY=8BITMIME" if session.offers("8bitmime") else "")
    await session.command(SmtpStage.MAIL, f"MAIL FROM:<{sender}>{options}", deadline_s)
    await session.command(SmtpStage.RCPT, f"RCPT TO:<{recipient}>", deadline_s)
    await session.command(SmtpStage.DATA, "DATA", deadline_s, hoped=3)
    answer = await session.content(mail, deadline_s)
    return Receipt(_queue_id(answer.message), str(answer.code))


def _mailbox(address: str) -> str:
    """Write an address as SMTP takes it: the domain in ASCII, nothing that ends the command line early.

    Raises:
        Rejected: it cannot be written so. No server was asked, so it says nothing about the recipient.
    """
    mailbox = ascii_domain(address)
    if _ADDRESS.fullmatch(mailbox) and len(mailbox.encode()) <= MAX_ADDRESS_BYTES:
        return mailbox
    msg = "the address is not one"
    raise Rejected(msg, code="5.1.3")


def _queue_id(text: str) -> str:
    """Take the server's name of the mail: the last word of its answer that has a digit.

    Postfix writes `queued as 4F2A`, Exim `id=1xX8oK-…`.
    """
    words = [word.strip("<>.,;()").removeprefix("id=") for word in text.split()]
    named = [word for word in words if any(char.isdigit() for char in word) and not _WORD.match(word)]
    return named[-1][:100] if named and "@" not in named[-1] else ""


def _refused(refusal: SmtpRefusal, outgoing: Outgoing | None) -> DeliveryError:
    """Class a reply by the table; the code shown is that of the reply that decided."""
    reply = read_reply(refusal.stage, refusal.code, refusal.text)
    verdict = rule_of(reply).verdict
    meaning = MEANINGS[verdict]
    text = f"{refusal.code} at {refusal.stage.value}: {clean(refusal.text, outgoing)}"
    greylisted = verdict is Verdict.RECIPIENT_LATER and reply.status == "4.2.0"
    return meaning.error(
        text,
        code=reply.status or str(reply.code),
        retry_after_s=GREYLISTED_S if greylisted else meaning.wait_s,
        about=ABOUT_INNER.get(meaning.about, meaning.about) if reply.inner else meaning.about,
    )


def _cut(cut: SmtpCut) -> DeliveryError:
    if cut.stage is SmtpStage.END:
        return Unknown("cut off after the final dot", code="end of data")
    return Transient(f"cut off at {cut.stage.value}, before the final dot", code=cut.stage.value)
