"""A listener for mails that come back, by LMTP (RFC 2033) or SMTP, behind a mail server of your own.

A mail is taken (250) only after its receipt is in Kafka; otherwise the mail server keeps it (451).
"""

import asyncio
import itertools
import logging
import os
from collections.abc import Callable
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from tocsin.bounces.mail import MAX_BYTES
from tocsin.bounces.maildir import Maildir
from tocsin.bounces.reader import BounceReader, Finished, Incoming, LookupAwayError
from tocsin.bounces.returned import Result
from tocsin.errors import SettingsError, SinkError
from tocsin.formats.return_paths import ReturnPaths, tokens_in

MAX_CONNECTIONS = 200
TIMEOUT_S = 120

_log = logging.getLogger(__name__)
_FORM = "--listen: must be lmtp://127.0.0.1:2424 or smtp://127.0.0.1:2525"


class ListenAddress(NamedTuple):
    """Where to listen, and for which protocol."""

    protocol: Literal["lmtp", "smtp"]
    host: str
    port: int


def read_listen(url: str) -> ListenAddress:
    """Read `lmtp://host:port` or `smtp://host:port`; port 0 is a free one.

    Raises:
        SettingsError: it has another form.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(_FORM) from None
    if not parts.hostname or port is None or parts.path.strip("/"):
        raise SettingsError(_FORM)
    if parts.scheme == "lmtp":
        return ListenAddress("lmtp", parts.hostname, port)
    if parts.scheme == "smtp":
        return ListenAddress("smtp", parts.hostname, port)
    raise SettingsError(_FORM)


class Listener:
    """Takes mails and reads each when it comes.

    Args:
        reader: reads mails; it may be called from several threads.
        paths: opens tokens: a recipient without one is refused, so that spam fills no disk.
        accepted: other recipients in lower case, such as that of a feedback loop.
        quarantine: where mails go that a person may want to look at.
        now_ms: the wall time.
        show: told of each mail.
    """

    def __init__(
        self,
        reader: BounceReader,
        paths: ReturnPaths,
        accepted: frozenset[str],
        quarantine: Maildir,
        now_ms: Callable[[], int],
        show: Callable[[str, Finished], None],
    ) -> None:
        self._reader = reader
        self._paths = paths
        self._accepted = accepted
        self._quarantine = quarantine
        self._now_ms = now_ms
        self._show = show
        self._numbers = itertools.count()

    async def start(self, at: ListenAddress) -> asyncio.Server:
        """Listen until the server is closed.

        Raises:
            SettingsError: the address is taken, or none of this machine.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(lambda: self._session(at.protocol), at.host, at.port)
        except OSError as error:
            msg = f"--listen {at.host}:{at.port}: {error.strerror}; choose another address"
            raise SettingsError(msg) from None

    def _session(self, protocol: str) -> SMTP:
        kind = LMTP if protocol == "lmtp" else SMTP
        return kind(
            self,
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            ident="Tocsin bounces",
            timeout=TIMEOUT_S,
            loop=asyncio.get_running_loop(),
        )

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient with a token of ours, or one named; one a mail, since LMTP answers for each."""
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient a transaction, please"
        candidates = list(tokens_in(address))
        ours = any(self._paths.read(token) for token in candidates)
        if not ours and address.lower() not in self._accepted:
            self._reader.count(Result.FORGED if candidates else Result.NO_TOKEN)
            return "550 5.1.1 No such return path"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Read a mail, and take it when its receipt is written."""
        raw = _trace(envelope) + (envelope.original_content or b"")
        mail = Incoming(raw, self._now_ms(), tuple(envelope.rcpt_tos))
        try:
            name, finished = await asyncio.to_thread(self._read, mail)
        except (LookupAwayError, SinkError, OSError) as error:
            _log.warning("a returned mail is not taken yet: %s", error)
            return "451 4.3.0 Try again later"
        self._show(name, finished)
        return "250 2.0.0 OK"

    def _read(self, mail: Incoming) -> tuple[str, Finished]:
        (finished,) = self._reader.read([mail])
        name = f"{mail.received_ms}.P{os.getpid()}Q{next(self._numbers)}.tocsin"
        if finished.quarantined:
            self._quarantine.keep(mail.raw, name)
        return name, finished


def _trace(envelope: Envelope) -> bytes:
    """Write the envelope into the mail, as final delivery does (RFC 5321, 4.4): bounces have no sender.

    A mail in quarantine can so be read again with the token of its recipient.
    """
    sender = (envelope.mail_from or "").strip("<>")
    return f"Return-Path: <{sender}>\r\nDelivered-To: {envelope.rcpt_tos[0]}\r\n".encode()
