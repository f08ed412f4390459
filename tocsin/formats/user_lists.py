"""Writes the records of a list of users to whom a broadcast goes: one for each partition."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from tocsin.model import topics
from tocsin.model.broadcast import ORDER_HEADER
from tocsin.model.broadcast_list import MEMBERS, Members, encode_members
from tocsin.model.raw import OutRecord

SLICE_USERS: Final = 50_000
"""Users of a slice. In each of 64 key groups that makes a row of 800 users, some 12 KB."""
PartitionOf = Callable[[bytes, int], int]


class ListPart(NamedTuple):
    """Names a slice of the list of a broadcast; see `Members`."""

    tenant: str
    source: str
    event_id: str
    chunk: int = 0
    slice: int = 0
    last: bool = False


def slice_records(
    part: ListPart, users: Sequence[str], partitions: int, partition_of: PartitionOf
) -> list[OutRecord]:
    """Write one slice. The same users in the same order give the same records."""
    prefix, found = f"{part.tenant}/".encode(), list[list[str]]()
    found += ([] for _ in range(partitions))
    hasher = blake2b(digest_size=8)
    for user in users:
        name = user.encode()
        hasher.update(name + b"\0")
        found[partition_of(prefix + name, partitions)].append(user)
    digest = hasher.hexdigest()
    members = (Members(**part._asdict(), digest=digest, users=mine) for mine in found)
    return [_record(one, partition) for partition, one in enumerate(members)]


def closing_records(part: ListPart, partitions: int) -> list[OutRecord]:
    """Write that a list is complete."""
    end = Members(tenant=part.tenant, source=part.source, event_id=part.event_id, closes=True)
    return [_record(end, partition) for partition in range(partitions)]


def _record(members: Members, partition: int) -> OutRecord:
    """Bulk keeps the order of a partition, so the end of the list comes behind its users."""
    key = f"{members.tenant}/{members.event_id}".encode()
    return OutRecord(topics.BULK, partition, key, encode_members(members), ((ORDER_HEADER, MEMBERS),))
