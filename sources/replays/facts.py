"""Says of a record what a selection asks for: whose it is, what it is about, why it died."""

from functools import cached_property

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.codec import decode_message, read_dead_letter
from tocsin.formats.forwarded import ORIGIN_HEADER
from tocsin.formats.readable import Names, names_of
from tocsin.formats.replays import REPLAY_HEADER, place
from tocsin.model import topics
from tocsin.model.broadcast import ORDER_HEADER
from tocsin.model.dead_letter import DeadLetter
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord

_ANY = EventLimits(max_bytes=1 << 62, max_past_s=0, max_future_s=0, check_time=False)
_EVENTS = frozenset({topics.EVENTS, topics.BULK})


class Facts:
    """What is known of a record that may be replayed. The value is decoded when something asks for it.

    Attributes:
        raw: the record as it was read where it belongs: of a dead letter, the record that died.
        letter: the dead letter; None for others.
        at_ms: Kafka's time of the record that was selected.
    """

    def __init__(self, selected: RawRecord) -> None:
        self._selected = selected
        self.at_ms = selected.timestamp_ms
        self.letter = letter = read_dead_letter(selected) if selected.topic == topics.DEAD else None
        self.raw = selected if letter is None else _died(letter)

    @property
    def place(self) -> str:
        """Return the place of the record that was selected, `topic/partition/offset`."""
        raw = self._selected
        return f"{raw.topic}/{raw.partition}/{raw.offset}"

    @cached_property
    def _headers(self) -> dict[str, bytes]:
        return dict(self.raw.headers)

    @cached_property
    def _first_read(self) -> Origin:
        raw = self.raw
        return _marked(self._headers.get(ORIGIN_HEADER)) or Origin(raw.topic, raw.partition, raw.offset)

    @cached_property
    def origin(self) -> str:
        """Return where the record was read before it was forwarded: outcomes name it so."""
        return str(self._first_read)

    @cached_property
    def root(self) -> Origin:
        """Return the origin of the first record, whatever was replayed since."""
        return _marked(self._headers.get(REPLAY_HEADER, b"").rpartition(b" ")[2]) or self._first_read

    @cached_property
    def first_message(self) -> str:
        """Return the id of the first message, whatever was replayed since; empty if the value holds none."""
        message = self.message
        if message is None:
            return ""
        replayed = "" if "/" in message.replay_of else message.replay_of
        return message.unless_sent or replayed or message.message_id

    @cached_property
    def event(self) -> Event | None:
        """Return the event that the value holds; None if it holds none."""
        is_event = self.raw.topic in _EVENTS or topics.is_declared(self.raw.topic)
        return _event(self.raw) if is_event else None

    @cached_property
    def message(self) -> Message | None:
        """Return the message that the value holds; None if it holds none."""
        return _message(self.raw) if topics.channel_of(self.raw.topic) else None

    @cached_property
    def _readable(self) -> Names:
        return names_of(self.raw)

    @property
    def own(self) -> bool:
        """Return whether only Tocsin writes such records: parts of a broadcast or fan-out."""
        return ORDER_HEADER in self._headers

    @property
    def before(self) -> bool:
        """Return whether it is a replay itself."""
        return REPLAY_HEADER in self._headers or bool(self.message and self.message.replay)

    @property
    def channel(self) -> str:
        """Return the channel; empty before routing."""
        return topics.channel_of(self.raw.topic)

    @property
    def notification(self) -> str:
        """Return the notification; empty before it is decided."""
        return self.message.notification if self.message else ""

    @property
    def owner(self) -> tuple[str, str]:
        """Return tenant and user; of a record that cannot be decoded, what can be read, or its key says."""
        known = self.message or self.event
        if known is not None:
            return known.tenant, known.user
        if self._readable.tenant or self._readable.user:
            return self._readable.tenant or "default", self._readable.user
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
        if event_id := self.event.id if self.event is not None else self._readable.event_id:
            found.add(event_id)
        return found

    @property
    def expires_ms(self) -> int:
        """Return when it expires, as far as the record tells; 0 for never."""
        known = self.message or self.event
        return (known.expires_ms or 0) if known is not None else 0


def _died(letter: DeadLetter) -> RawRecord:
    return RawRecord(
        letter.origin_topic,
        letter.origin_partition,
        letter.origin_offset,
        letter.first_ms,
        letter.key,
        letter.value,
        letter.headers,
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
