"""Says of a record what a selection asks for: whose it is, what it is about, why it died."""

from typing import NamedTuple

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.codec import decode_message, read_dead_letter
from tocsin.formats.forwarded import ORIGIN_HEADER
from tocsin.formats.replays import REPLAY_HEADER, place
from tocsin.model import topics
from tocsin.model.broadcast import ORDER_HEADER
from tocsin.model.dead_letter import DeadLetter
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord

_ANY = EventLimits(max_bytes=1 << 62, max_past_s=0, max_future_s=0, check_time=False)
_CHANNELS = {name: name.split(".")[1] for name in topics.MESSAGES}
_EVENTS = frozenset({topics.EVENTS, topics.BULK})


class Facts(NamedTuple):
    """What is known of a record that may be replayed.

    Attributes:
        raw: the record as it was read where it belongs: of a dead letter, the record that died.
        origin: where the record was read before it was forwarded: outcomes name it so.
        root: the origin of the first record, whatever was replayed since.
        at_ms: Kafka's time of the record that was selected.
        place: of the record that was selected, `topic/partition/offset`.
        letter: the dead letter; None for others.
        event: the event that the value holds; None if it holds none.
        message: the message that the value holds; None if it holds none.
        own: whether only Tocsin writes such records: parts of a broadcast or fan-out.
        before: how often its first record was replayed before, as far as the record tells: 0 or 1.
    """

    raw: RawRecord
    origin: str
    root: Origin
    at_ms: int
    place: str
    letter: DeadLetter | None = None
    event: Event | None = None
    message: Message | None = None
    own: bool = False
    before: int = 0

    @property
    def channel(self) -> str:
        """Return the channel; empty before routing."""
        return _CHANNELS.get(self.raw.topic, "")

    @property
    def notification(self) -> str:
        """Return the notification; empty before it is decided."""
        return self.message.notification if self.message else ""

    @property
    def owner(self) -> tuple[str, str]:
        """Return tenant and user; of a record that cannot be decoded, what its key says."""
        known = self.message or self.event
        if known is not None:
            return known.tenant, known.user
        tenant, _, user = (self.raw.key or b"").decode("utf-8", "replace").partition("/")
        return (tenant, user) if user else ("", "")

    @property
    def reason(self) -> str:
        """Return why it died; empty for what is no dead letter."""
        return self.letter.reason if self.letter else ""

    @property
    def ids(self) -> set[str]:
        """Return all names that an id list may use."""
        found = {self.place, str(self.root), self.origin}
        if self.message is not None:
            message = self.message
            found |= {message.message_id, message.notification_id, message.event_id, str(message.origin)}
        if self.event is not None:
            found.add(self.event.id)
        return found

    @property
    def expires_ms(self) -> int:
        """Return when it expires, as far as the record tells; 0 for never."""
        known = self.message or self.event
        return (known.expires_ms or 0) if known is not None else 0


def facts_of(raw: RawRecord) -> Facts:
    """Read what a record of `dead`, `events`, `bulk` or `messages.*` says.

    Raises:
        DecodeError: a dead letter without its headers.
    """
    here = f"{raw.topic}/{raw.partition}/{raw.offset}"
    letter = None
    record = raw
    if raw.topic == topics.DEAD:
        letter = read_dead_letter(raw)
        at = letter.origin_topic, letter.origin_partition, letter.origin_offset
        record = RawRecord(*at, letter.first_ms, letter.key, letter.value, letter.headers)
    headers = dict(record.headers)
    event = _event(record) if record.topic in _EVENTS or topics.is_declared(record.topic) else None
    message = _message(record) if record.topic in _CHANNELS else None
    before = int(REPLAY_HEADER in headers or bool(message and message.replay))
    origin = _marked(headers.get(ORIGIN_HEADER)) or Origin(record.topic, record.partition, record.offset)
    return Facts(
        record,
        str(origin),
        _marked(headers.get(REPLAY_HEADER, b"").rpartition(b" ")[2]) or origin,
        raw.timestamp_ms,
        here,
        letter,
        event,
        message,
        ORDER_HEADER in headers,
        before,
    )


def _marked(mark: bytes | None) -> Origin | None:
    try:
        return place(mark.decode()) if mark else None
    except ValueError:
        return None


def _event(raw: RawRecord) -> Event | None:
    try:
        return decode_event(raw, _ANY)
    except DecodeError:
        return None


def _message(raw: RawRecord) -> Message | None:
    try:
        return decode_message(raw)
    except DecodeError:
        return None
