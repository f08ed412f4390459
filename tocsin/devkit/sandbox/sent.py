"""Keeps what was sent: the newest messages in memory for the viewer, each accepted call in a file."""

import os
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from tocsin.devkit.sandbox.content import Mail
from tocsin.devkit.sandbox.mails import read

ACCEPTED, BOUNCED, REFUSED = "accepted", "bounced", "refused"
RAW = frozenset({"smtp", "ses"})
"""Providers that are given the mail itself, as it travels."""


class Call(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One message as a provider call carried it.

    Attributes:
        mark: what comes back with each report.
        user: whose it is, if the call says so; else the sandbox asks its people, else takes the recipient.
        title: what a list shows first; `text` what it shows after.
        content: the message as its recipient sees it, JSON of `content.py`; of `RAW` ones the mail itself.
    """

    provider: str
    channel: str
    recipient: str
    message_id: str = ""
    user: str = ""
    title: str = ""
    text: str = ""
    content: bytes = b""
    mark: str = ""


def user_key(tenant: str, user: str) -> str:
    """Name a user across tenants, `tenant/user`; empty if the call names none."""
    return f"{tenant or 'default'}/{user}" if user else ""


class SendRecord(msgspec.Struct, frozen=True, gc=False):
    """One line of `sent.jsonl`: an accepted call."""

    at_ms: int
    provider: str
    channel: str
    recipient: str
    message_id: str
    provider_id: str
    user: str


class Entry(msgspec.Struct, gc=False):
    """A message in memory; `seq` grows with every call, `older` is the same user's one before it."""

    seq: int
    at_ms: int
    status: str
    code: str
    provider_id: str
    user: str
    call: Call
    older: int

    def summary(self) -> dict[str, object]:
        """Give what a list needs."""
        call = self.call
        return {
            "seq": self.seq,
            "at_ms": self.at_ms,
            "status": self.status,
            "code": self.code,
            "provider": call.provider,
            "channel": call.channel,
            "user": self.user,
            "recipient": call.recipient,
            "message_id": call.message_id,
            "provider_id": self.provider_id,
            "title": call.title,
            "text": call.text,
        }

    def content(self) -> Mail | msgspec.Raw | None:
        """Give the message as its recipient sees it; None when it was not kept over a restart."""
        if not self.call.content:
            return None
        return self.mail() if self.call.provider in RAW else msgspec.Raw(self.call.content)

    def mail(self) -> Mail:
        """Give an e-mail's content."""
        if self.call.provider in RAW:
            return read(self.call.content, self.call.recipient)
        return msgspec.json.decode(self.call.content, type=Mail)


class Tally(msgspec.Struct, gc=False):
    """A user's newest message, and how many are in memory; each message names the one before it."""

    newest: int = 0
    messages: int = 0


class Log:
    """The append-only send log.

    What was appended is handed to the kernel by `flush`, many lines in one write: a kill of a sender or of
    the sandbox after it loses none; a power cut may.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._encode = msgspec.json.Encoder().encode
        self._lines: list[bytes] = []
        self._end_torn_line()

    def _end_torn_line(self) -> None:
        """End a line that a kill tore, so that the next one stands alone."""
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def append(self, record: SendRecord) -> None:
        """Take one line."""
        self._lines.append(self._encode(record))

    def flush(self) -> None:
        """Write the lines taken."""
        if self._lines:
            data = memoryview(b"\n".join([*self._lines, b""]))
            self._lines.clear()
            while data:
                data = data[os.write(self._file, data) :]

    def read(self) -> Iterator[SendRecord]:
        """Give every whole line from the start."""
        self.flush()
        decode = msgspec.json.Decoder(SendRecord).decode
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    yield decode(line)
                except msgspec.DecodeError:
                    continue

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Write what is left and give the file back."""
        self.flush()
        os.close(self._file)


class Sent:
    """Ring of the newest messages with an index by user; totals of all of them.

    It keeps at most `keep` messages and about `keep_bytes` of content, whichever is reached first.
    """

    def __init__(self, log: Log, *, keep: int, keep_bytes: int) -> None:
        self._log = log
        self._keep = keep
        self._keep_bytes = keep_bytes
        self.seq = 0
        self._listeners: list[Callable[[Entry], None]] = []
        self._empty()
        for record in log.read():
            self._restore(record)

    def _empty(self) -> None:
        self._ring: deque[Entry] = deque()
        self._bytes = 0
        self._users: OrderedDict[str, Tally] = OrderedDict()
        self.accepted = 0
        self.totals: Counter[tuple[str, str, str]] = Counter()

    def _restore(self, record: SendRecord) -> None:
        self.accepted += 1
        call = Call(
            provider=record.provider,
            channel=record.channel,
            recipient=record.recipient,
            message_id=record.message_id,
        )
        self._add(call, record.user, record.at_ms, ACCEPTED, "", record.provider_id)

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Call the listener with every new message."""
        self._listeners.append(listener)

    def accept(
        self, call: Call, user: str, now_ms: int, *, provider_id: str, status: str = ACCEPTED, code: str = ""
    ) -> Entry:
        """Record an accepted call in the file and in memory; `flush` before it is answered."""
        self.accepted += 1
        self._log.append(
            SendRecord(
                now_ms, call.provider, call.channel, call.recipient, call.message_id, provider_id, user
            )
        )
        return self._notify(self._add(call, user, now_ms, status, code, provider_id))

    def flush(self) -> None:
        """Write what was accepted to the file."""
        self._log.flush()

    def show(self, call: Call, user: str, now_ms: int) -> Entry:
        """Record a message that went no provider's way (in-app): in memory only, not in the send log."""
        return self._notify(self._add(call, user, now_ms, ACCEPTED, "", ""))

    def refuse(self, call: Call, user: str, now_ms: int, code: str) -> Entry:
        """Record a refused call: in memory only, not in the send log."""
        return self._notify(self._add(call, user, now_ms, REFUSED, code, ""))

    def _notify(self, entry: Entry) -> Entry:
        for listener in self._listeners:
            listener(entry)
        return entry

    def _add(self, call: Call, user: str, now_ms: int, status: str, code: str, provider_id: str) -> Entry:
        self.seq += 1
        mine = self._users.get(user)
        if mine is None:
            mine = self._users[user] = Tally()
        entry = Entry(self.seq, now_ms, status, code, provider_id, user, call, mine.newest)
        self._ring.append(entry)
        self._bytes += len(call.content)
        mine.newest = self.seq
        mine.messages += 1
        self._users.move_to_end(user)
        self.totals[call.provider, call.channel, status] += 1
        while len(self._ring) > self._keep or self._bytes > self._keep_bytes:
            self._evict()
        return entry

    def _evict(self) -> None:
        entry = self._ring.popleft()
        self._bytes -= len(entry.call.content)
        mine = self._users[entry.user]
        mine.messages -= 1
        if not mine.messages:
            del self._users[entry.user]

    def __len__(self) -> int:
        return len(self._ring)

    def get(self, seq: int) -> Entry | None:
        """Find one message by its number."""
        index = seq - (self._ring[0].seq if self._ring else 0)
        return self._ring[index] if 0 <= index < len(self._ring) else None

    def newest(self, *, user: str = "", before: int = 0) -> Iterator[Entry]:
        """Walk from the newest (or from just before a number) to the oldest, of one user or of all."""
        entries = self._of_user(user) if user else self._of_all(before)
        return (entry for entry in entries if not before or entry.seq < before)

    def _of_user(self, user: str) -> Iterator[Entry]:
        tally = self._users.get(user)
        entry = self.get(tally.newest) if tally else None
        while entry is not None:
            yield entry
            entry = self.get(entry.older)

    def _of_all(self, before: int) -> Iterator[Entry]:
        skip = max(0, self.seq - before + 1) if before else 0
        return islice(reversed(self._ring), skip, None)

    def users(self) -> Iterator[tuple[str, int, int]]:
        """Walk the users as (user, messages, newest), the one with the newest message first."""
        for user in reversed(self._users):
            tally = self._users[user]
            yield user, tally.messages, tally.newest

    def user_count(self) -> int:
        """Count the users with messages."""
        return len(self._users)

    def counts(self) -> list[dict[str, object]]:
        """Give the totals by provider, channel and status, of everything since the start of the file."""
        return [
            {"provider": provider, "channel": channel, "status": status, "calls": calls}
            for (provider, channel, status), calls in sorted(self.totals.items())
        ]

    def send_log(self) -> Iterator[SendRecord]:
        """Walk the file, every accepted call since it was begun."""
        return self._log.read()

    def clear(self) -> None:
        """Forget all, the file too."""
        self._empty()
        self._log.clear()
