"""Orders and reports of broadcasts, as they travel between key groups in the topic of events.

One key group owns a broadcast: that of `owner_key`. It orders all key groups to start, pause, resume or
cancel their part, and gathers a report of each part that has ended.
"""

from typing import Final, Literal

import msgspec

from tocsin.model.event import Event

ORDER_HEADER: Final = "tocsin-broadcast"
"""On records that carry an order or a report; the value is `ORDER` or `REPORT`."""
ORDER: Final = b"order"
REPORT: Final = b"report"
Act = Literal["start", "pause", "resume", "cancel"]
Ending = Literal["finished", "cancelled", "expired"]


def owner_key(tenant: str, broadcast_id: str) -> str:
    """Return the key of the record of a broadcast: no user's id has a control character."""
    return f"{tenant}/\x02{broadcast_id}"


class Counts(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """What became of the users that a part has walked over.

    Attributes:
        users: users with a profile that were looked at.
        reached: users of the segment, for whom it was decided.
        admitted: of these, those with a message; `held`: those whose notification waits.
        missed: users of the segment who were left out because their local time was over.
    """

    users: int = 0
    reached: int = 0
    admitted: int = 0
    held: int = 0
    missed: int = 0

    def add(self, other: "Counts") -> None:
        """Add the counts of another part."""
        self.users += other.users
        self.reached += other.reached
        self.admitted += other.admitted
        self.held += other.held
        self.missed += other.missed

    def as_detail(self) -> dict[str, str | int | float | bool | None]:
        """Return them as the detail of an outcome."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Order(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What every key group does with its part of a broadcast.

    Attributes:
        broadcast: the id of the broadcast, a hash.
        event_id: the id of its event, which names its owner.
        event: of a start only, and so are the fields that follow.
        expression: of the segment, as it was when the broadcast started; empty for everyone.
        start_ms: not before this time.
        rate: users a second, in all key groups together.
    """

    act: Act
    tenant: str
    broadcast: str
    event_id: str
    event: Event | None = None
    expression: str = ""
    start_ms: int = 0
    rate: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How the part of one key group ended."""

    tenant: str
    broadcast: str
    event_id: str
    key_group: str
    ending: Ending
    at_ms: int
    counts: Counts


encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode
decode_report = msgspec.json.Decoder(Report).decode
