"""Lists of users that a broadcast goes to, as they travel in `bulk` to the key groups of the users.

A list is uploaded in chunks, and a chunk is cut into slices. Each slice becomes one record for every
partition, also for those that have none of its users. So a slice that is uploaded again replaces the one
before it everywhere.
"""

from typing import Final

import msgspec

from tocsin.model.ids import digest

LIST: Final = "@list"
"""The segment of a broadcast to a list; no segment of a catalog has such a name."""
MEMBERS: Final = b"members"
"""Value of `tocsin.model.broadcast.ORDER_HEADER` on records of a list."""
CHUNKS: Final = 1_000
"""Chunks that a list has at most; their numbers begin at 0."""
SLICES: Final = 1_000
"""Slices that a chunk has at most."""


class Members(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Users of one slice who live on one partition, or the end of the list.

    Attributes:
        source: of the broadcast's event, as is `event_id`.
        chunk: number of the chunk; `slice` is the number of the slice in it.
        digest: of the slice's users on all partitions.
        last: whether the chunk has no further slice.
        closes: whether the list is complete; the broadcast may go to it.
    """

    tenant: str
    source: str
    event_id: str
    chunk: int = 0
    slice: int = 0
    digest: str = ""
    last: bool = False
    users: list[str] = []
    closes: bool = False


def list_id(tenant: str, source: str, event_id: str) -> str:
    """Return the id of the list of a broadcast."""
    return digest("list of a broadcast", tenant, source, event_id)


encode_members = msgspec.json.Encoder().encode
decode_members = msgspec.json.Decoder(Members).decode
