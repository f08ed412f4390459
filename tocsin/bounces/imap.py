"""An IMAP folder as a source of mails that came back. A mail moves on only after its receipt is in Kafka.

Whatever lies in the folder is new. A mail that was read moves to the folder `tocsin-read`, one that a person
may want to look at to `tocsin-quarantine`. The folders are the state: a flag would be lost where somebody
opens the mailbox, and a remembered UID where the server numbers its mails anew.
"""

import ssl
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from tocsin.bounces.mail import MAX_BYTES
from tocsin.bounces.reader import BounceReader, Finished, Incoming
from tocsin.errors import SettingsError

READ, QUARANTINE = "tocsin-read", "tocsin-quarantine"
BATCH = 50
TIMEOUT_S = 60.0
IDLE_S = 5.0
"""One wait for a word of the server, after which a request to end is seen."""
IMAP_ERRORS = (IMAPClientError, OSError)
"""What a client raises if the server is away or refuses."""

_FORM = (
    "--imap: must be imaps://user@host/FOLDER, or imap:// for STARTTLS; "
    "the password comes from TOCSIN_IMAP_PASSWORD"
)
_PORTS = {"imap": 143, "imaps": 993}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ImapAddress(NamedTuple):
    """Where a folder is.

    Attributes:
        tls: encrypted from the first byte; else by STARTTLS, which only a server on this machine may lack.
    """

    host: str
    port: int
    user: str
    folder: str
    tls: bool


def read_address(url: str) -> ImapAddress:
    """Read `imaps://user@host:port/FOLDER`.

    Raises:
        SettingsError: it has another form.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(_FORM) from None
    if parts.scheme not in _PORTS or not parts.hostname or not parts.username or parts.password:
        raise SettingsError(_FORM)
    folder = unquote(parts.path.strip("/")) or "INBOX"
    usual = _PORTS[parts.scheme]
    return ImapAddress(
        parts.hostname, port or usual, unquote(parts.username), folder, parts.scheme == "imaps"
    )


class ImapFolder:
    """Reads one folder. It connects when it is needed, and anew after an error.

    Args:
        address: where the folder is.
        password: of its user.
        tls: whom to trust; by default whom this machine trusts.
    """

    def __init__(self, address: ImapAddress, password: str, tls: ssl.SSLContext | None = None) -> None:
        self._address = address
        self._password = password
        self._tls = tls or ssl.create_default_context()
        self._client: IMAPClient | None = None
        self._prefix = ""
        self._waiting = 0

    def waiting(self) -> int:
        """Tell how many mails lay there when it was looked at last."""
        return self._waiting

    def read(self, reader: BounceReader) -> Iterator[tuple[str, Finished]]:
        """Read all mails that are there now, in batches, and move each when it is done with.

        Raises:
            LookupAwayError: the mails of this batch stay.
            imapclient.exceptions.IMAPClientError: the server refuses, or the connection is lost.
        """
        client = self._open()
        uids = self._new(client)
        for at in range(0, len(uids), BATCH):
            batch = uids[at : at + BATCH]
            done = reader.read([mail for _, mail in self._mails(client, batch)])
            self._let_go(client, batch, done)
            self._waiting -= len(batch)
            yield from ((f"UID {uid}", finished) for uid, finished in zip(batch, done, strict=True))

    def peek(self, reader: BounceReader) -> Iterator[tuple[str, Finished]]:
        """Say of all mails what they are; none is moved, and none is marked as seen."""
        client = self._open()
        uids = self._new(client)
        for at in range(0, len(uids), BATCH):
            batch = uids[at : at + BATCH]
            done = reader.read([mail for _, mail in self._mails(client, batch)])
            yield from ((f"UID {uid}", finished) for uid, finished in zip(batch, done, strict=True))

    def wait(self, stop: Event, seconds: float) -> None:
        """Wait until mail may have come: for the server's word where it has IDLE (RFC 2177), else a while."""
        client = self._client
        if client is None or not client.has_capability("IDLE"):
            stop.wait(seconds)
            return
        client.idle()
        try:
            waited = 0.0
            while not stop.is_set() and waited < seconds and not client.idle_check(IDLE_S):
                waited += IDLE_S
        finally:
            client.idle_done()

    def close(self) -> None:
        """Take leave."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.logout()
        except IMAP_ERRORS:
            client.shutdown()

    def forget(self) -> None:
        """Drop a connection that no longer works; the next reading opens another."""
        client, self._client = self._client, None
        if client is not None:
            client.shutdown()

    def _open(self) -> IMAPClient:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> IMAPClient:
        at = self._address
        client = IMAPClient(at.host, at.port, ssl=at.tls, ssl_context=self._tls, timeout=TIMEOUT_S)
        try:
            client.normalise_times = False
            if not at.tls and (client.has_capability("STARTTLS") or at.host not in _LOOPBACK):
                client.starttls(self._tls)
            client.login(at.user, self._password)
            self._prefix = _prefix(client)
            for name in (READ, QUARANTINE):
                if not client.folder_exists(self._prefix + name):
                    client.create_folder(self._prefix + name)
            client.select_folder(at.folder)
        except BaseException:
            client.shutdown()
            raise
        return client

    def _new(self, client: IMAPClient) -> list[int]:
        client.noop()  # the server tells of new mails
        uids: list[int] = sorted(client.search(["NOT", "DELETED"]))
        self._waiting = len(uids)
        return uids

    def _mails(self, client: IMAPClient, uids: Sequence[int]) -> list[tuple[int, Incoming]]:
        sizes = client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"])
        small = [uid for uid in uids if sizes.get(uid, {}).get(b"RFC822.SIZE", 0) <= MAX_BYTES]
        bodies = client.fetch(small, ["BODY.PEEK[]"]) if small else {}
        return [(uid, _incoming(sizes.get(uid, {}), bodies.get(uid, {}))) for uid in uids]

    def _let_go(self, client: IMAPClient, uids: Sequence[int], done: Sequence[Finished]) -> None:
        pairs = list(zip(uids, done, strict=True))
        for name, quarantined in ((READ, False), (QUARANTINE, True)):
            moving = [uid for uid, finished in pairs if finished.quarantined is quarantined]
            if moving:
                _move(client, moving, self._prefix + name)


def _incoming(known: dict[bytes, Any], body: dict[bytes, Any]) -> Incoming:
    at = known.get(b"INTERNALDATE")
    return Incoming(body.get(b"BODY[]", b""), int(at.timestamp() * 1_000) if at else 0)


def _prefix(client: IMAPClient) -> str:
    """Return what the names of a user's own folders begin with, such as `INBOX.`."""
    if not client.has_capability("NAMESPACE"):
        return ""
    personal = client.namespace().personal
    return str(personal[0][0]) if personal else ""


def _move(client: IMAPClient, uids: list[int], folder: str) -> None:
    """Move mails at once where the server can (RFC 6851), else by a copy; a crash between leaves both."""
    if client.has_capability("MOVE"):
        client.move(uids, folder)
        return
    client.copy(uids, folder)
    client.delete_messages(uids)
    client.expunge(uids if client.has_capability("UIDPLUS") else None)
