"""What was sent: the newest messages in memory for the viewer, every accepted call in a file."""

import os
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

ACCEPTED, BOUNCED, REFUSED = "accepted", "bounced", "refused"


class Call(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One message as a provider call carried it.

    Attributes:
        user: whose it is, if the call says so; else the sandbox asks its people, else takes the recipient.
        title: what a list shows first; `text` what it shows after.
        content: the message as its recipient sees it, JSON, in a form of the channel.
    """

    provider: str
    channel: str
    recipient: str
    message_id: str = ""
    user: str = ""
    title: str = ""
    text: str = ""
    content: bytes = b""


def user_key(tenant: str, user: str) -> str:
    """Name a user across tenants; those of the default tenant go by their own name."""
    return user if not user or tenant in ("", "default") else f"{tenant}/{user}"


class Witness(msgspec.Struct, frozen=True, gc=False):
    """One line of `sent.jsonl`: an accepted call."""

    at_ms: int
    provider: str
    channel: str
    recipient: str
    message_id: str
    provider_id: str
    user: str


class Entry(msgspec.Struct, gc=False):
    """A message in memory; `seq` grows with every call, refused ones included."""

    seq: int
    at_ms: int
    status: str
    code: str
    provider_id: str
    user: str
    call: Call

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

    def full(self) -> dict[str, object]:
        """Give the summary and the content (null when it was not kept over a restart)."""
        content = msgspec.Raw(self.call.content) if self.call.content else None
        return {**self.summary(), "content": content}


class Log:
    """The append-only file of witnesses.

    A line is handed to the kernel before `append` returns: no kill of a sender or of the sandbox loses one;
    a power cut may.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._encode = msgspec.json.Encoder().encode
        self._mend()

    def _mend(self) -> None:
        """End a line that a kill tore, so that the next one stands alone."""
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def append(self, witness: Witness) -> None:
        """Write one line."""
        os.write(self._file, self._encode(witness) + b"\n")

    def read(self) -> Iterator[Witness]:
        """Give every whole line from the start."""
        decode = msgspec.json.Decoder(Witness).decode
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    yield decode(line)
                except msgspec.DecodeError:
                    continue

    def clear(self) -> None:
        """Forget everything."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Give the file back."""
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
        for witness in log.read():
            self._restore(witness)

    def _empty(self) -> None:
        self._ring: deque[Entry] = deque()
        self._bytes = 0
        self._users: OrderedDict[str, deque[Entry]] = OrderedDict()
        self.totals: Counter[tuple[str, str, str]] = Counter()

    def _restore(self, witness: Witness) -> None:
        call = Call(
            provider=witness.provider,
            channel=witness.channel,
            recipient=witness.recipient,
            message_id=witness.message_id,
        )
        self._add(call, witness.user, witness.at_ms, ACCEPTED, "", witness.provider_id)

    def listen(self, listener: Callable[[Entry], None]) -> None:
        """Call the listener with every new message."""
        self._listeners.append(listener)

    def accept(
        self, call: Call, user: str, now_ms: int, *, provider_id: str, status: str = ACCEPTED, code: str = ""
    ) -> Entry:
        """Record an accepted call: in the file first, then in memory."""
        self._log.append(
            Witness(now_ms, call.provider, call.channel, call.recipient, call.message_id, provider_id, user)
        )
        return self._tell(self._add(call, user, now_ms, status, code, provider_id))

    def show(self, call: Call, user: str, now_ms: int) -> Entry:
        """Record a message that went no provider's way (in-app): in memory only, it is no witness."""
        return self._tell(self._add(call, user, now_ms, ACCEPTED, "", ""))

    def refuse(self, call: Call, user: str, now_ms: int, code: str) -> Entry:
        """Record a refused call: in memory only, it is no witness of a send."""
        return self._tell(self._add(call, user, now_ms, REFUSED, code, ""))

    def _tell(self, entry: Entry) -> Entry:
        for listener in self._listeners:
            listener(entry)
        return entry

    def _add(self, call: Call, user: str, now_ms: int, status: str, code: str, provider_id: str) -> Entry:
        self.seq += 1
        entry = Entry(self.seq, now_ms, status, code, provider_id, user, call)
        self._ring.append(entry)
        self._bytes += len(call.content)
        self._users.setdefault(user, deque()).append(entry)
        self._users.move_to_end(user)
        self.totals[call.provider, call.channel, status] += 1
        while len(self._ring) > self._keep or self._bytes > self._keep_bytes:
            self._evict()
        return entry

    def _evict(self) -> None:
        entry = self._ring.popleft()
        self._bytes -= len(entry.call.content)
        mine = self._users[entry.user]
        mine.popleft()
        if not mine:
            del self._users[entry.user]

    def __len__(self) -> int:
        return len(self._ring)

    def get(self, seq: int) -> Entry | None:
        """Find one message by its number."""
        index = seq - (self._ring[0].seq if self._ring else 0)
        return self._ring[index] if 0 <= index < len(self._ring) else None

    def newest(self, *, user: str = "", before: int = 0) -> Iterator[Entry]:
        """Walk from the newest (or from just before a number) to the oldest, of one user or of all."""
        entries = self._users.get(user, deque()) if user else self._ring
        skip = 0
        if before and not user and entries:
            skip = max(0, entries[-1].seq - before + 1)
        for entry in islice(reversed(entries), skip, None):
            if not before or entry.seq < before:
                yield entry

    def users(self) -> Iterator[tuple[str, deque[Entry]]]:
        """Walk the users, the one with the newest message first."""
        for user in reversed(self._users):
            yield user, self._users[user]

    def user_count(self) -> int:
        """Count the users with messages."""
        return len(self._users)

    def witnesses(self) -> Iterator[Witness]:
        """Walk the file, every accepted call since it was begun."""
        return self._log.read()

    def clear(self) -> None:
        """Forget all, the file too."""
        self._empty()
        self._log.clear()
