"""What one key group knows of the list of a broadcast: which slices count, and which rows hold their users.

A slice that is uploaded twice with the same users has one row. With other users the newer one counts. The
walk passes over rows that do not count.
"""

from typing import Final

import msgspec

from tocsin.decision.user_state import UserRecord, Waiting
from tocsin.model.broadcast_list import SLICES, Members

TIMER: Final = "l"
"""First letter of the id of the timer that forgets a list; it belongs to no user."""
KEPT_MS: Final = 7 * 86_400_000
"""How long after its last record a list is kept that no broadcast goes to, and how long one waits for it."""


class Row(msgspec.Struct, array_like=True, gc=False):
    """Users of one slice in one key group, in the order of the upload."""

    place: int
    digest: str
    users: list[str]


class UserList(msgspec.Struct, array_like=True, gc=False):
    """A list in one key group.

    Attributes:
        first: number of the first row that is not dropped yet.
        rows: number of the row that comes next.
        slices: place of each slice -> the digest of the users that count. They stay when the list has ended:
            a copy that comes later is none of the users that came too late.
        closed: whether the list is complete.
        ended: whether the broadcast has ended; nothing is taken any more.
    """

    first: int = 0
    rows: int = 0
    slices: dict[int, str] = {}
    closed: bool = False
    ended: bool = False

    def take(self, members: Members) -> Row | None:
        """Note a slice, and return the row to keep; None if there is nothing to keep."""
        place, known = _place(members), self.knows(members)
        self.slices[place] = members.digest
        if members.last:
            behind = range(place + 1, (members.chunk + 1) * SLICES)
            self.slices = {at: digest for at, digest in self.slices.items() if at not in behind}
        return Row(place, members.digest, members.users) if members.users and not known else None

    def knows(self, members: Members) -> bool:
        """Tell whether a slice is a copy of one that counts: a client that had no answer sends it again."""
        return self.slices.get(_place(members)) == members.digest

    def wants(self, row: Row) -> bool:
        """Tell whether a row counts."""
        return self.slices.get(row.place) == row.digest


def _place(members: Members) -> int:
    return members.chunk * SLICES + members.slice


encode_row = msgspec.msgpack.Encoder().encode
decode_row = msgspec.msgpack.Decoder(Row).decode
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UserList).decode


def list_key(tenant: str, list_id: str) -> str:
    """Return the key of the record of a list."""
    return f"{tenant}/\x04{list_id}"


def as_record(found: UserList) -> UserRecord:
    """Write what is known of a list into a record of the store."""
    return UserRecord(waiting=(Waiting(0, _encode(found)),))


def of_record(record: UserRecord) -> UserList:
    """Read it back."""
    return _decode(record.waiting[0].event)
