"""Takes records of `profiles` and `subscriptions` into the view, exactly as they stand in the topics.

Offsets are kept in Redis, beside what they stand for, and move once the view has the records. So a Redis that
forgot everything is filled again, and a process that dies leaves nothing out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sources.partitioner import partition_of
from tocsin.decision.recipient import profile_contact_points
from tocsin.errors import DecodeError
from tocsin.formats.forwarded import is_tombstone
from tocsin.formats.profiles import decode_profile
from tocsin.formats.subscriptions import decode_subscription
from tocsin.gateway.people import texts
from tocsin.gateway.people.entry import Entry, State, on_record
from tocsin.gateway.people.view import ProfileView, Seen, Swap
from tocsin.model import topics
from tocsin.model.raw import RawRecord

TOPICS: Final = (topics.PROFILES, topics.SUBSCRIPTIONS)
_DEVICES: Final = frozenset({"push", "webpush"})


class DisplacedError(Exception):
    """Another process feeds the view, or Redis has forgotten it: begin again."""


class Owned(NamedTuple):
    """A record of `profiles`, and whose it is."""

    owner: str
    raw: RawRecord


class Feeding:
    """Takes batches of records in.

    Args:
        view: the view.
        partitions: number of partitions of the topics.
        offsets: the next offset of each `topic/partition`, as the view has it.
    """

    def __init__(self, view: ProfileView, partitions: int, offsets: Mapping[str, int]) -> None:
        self._view = view
        self._partitions = partitions
        self.offsets = dict(offsets)

    async def take(self, records: Sequence[RawRecord], now_ms: int) -> None:
        """Take a batch in, and move the offsets.

        Raises:
            DisplacedError: the offsets are not where they were.
            RedisError: Redis is away; the batch must be taken again.
        """
        await self._profiles(owned(records, self._partitions), now_ms)
        if changes := subscriptions_of(records):
            await self._view.set_topics(changes)
        for place, offset in _ends(records).items():
            if not await self._view.advance(place, self.offsets.get(place), offset):
                raise DisplacedError
            self.offsets[place] = offset

    async def _profiles(self, records: Collection[Owned], now_ms: int) -> None:
        left: dict[str, list[RawRecord]] = {}
        for owner, raw in records:
            left.setdefault(owner, []).append(raw)
        while left:
            swaps = await self._swaps(left, now_ms)
            done = await self._view.swap(swaps) if swaps else []
            lost = {swap.owner for swap, fine in zip(swaps, done, strict=True) if not fine}
            await self._move_devices([swap for swap in swaps if swap.owner not in lost])
            left = {owner: raws for owner, raws in left.items() if owner in lost}

    async def _swaps(self, left: Mapping[str, Iterable[RawRecord]], now_ms: int) -> list[Swap]:
        found = await self._view.look_all(list(left))
        swaps = [
            Swap(owner, seen, entry)
            for (owner, raws), seen in zip(left.items(), found, strict=True)
            if (entry := _after(seen, raws, now_ms)) is not seen.entry
        ]
        for owner, seen, entry in swaps:
            if entry.state == State.WRITING and entry.revision != seen.entry.revision:
                await self._view.note_open(owner, entry.revision, 0)
        return swaps

    async def _move_devices(self, swaps: Iterable[Swap]) -> None:
        """Note who has which device now."""
        for owner, seen, entry in swaps:
            before, after = devices_of(seen.entry), devices_of(entry)
            if before == after:
                continue
            tenant, _, user = owner.partition("/")
            gone = [(address, user) for address in before - after]
            await self._view.move_devices(tenant, gone, dict.fromkeys(after - before, user))


def _after(seen: Seen, raws: Iterable[RawRecord], now_ms: int) -> Entry:
    entry = seen.entry
    for raw in raws:
        entry = on_record(entry, raw, now_ms)
    return entry


def devices_of(entry: Entry) -> set[str]:
    """Return the addresses of a user's devices: tokens, and endpoints of browsers."""
    points = profile_contact_points("", texts.read(entry.text)) if b'"devices"' in entry.text else ()
    return {point.address for point in points if point.channel in _DEVICES}


def owned(records: Iterable[RawRecord], partitions: int) -> list[Owned]:
    """Return the profiles among records, with their users.

    Left out are records that the gate does not take, and those on a partition that is not their user's: the
    gate forwards such a profile, and the copy is read in its turn.
    """
    found = []
    for raw in records:
        if raw.topic != topics.PROFILES or is_tombstone(raw):
            continue
        try:
            change = decode_profile(raw._replace(value=None))
        except DecodeError:
            continue
        owner = f"{change.tenant}/{change.user}"
        if partition_of(owner.encode(), partitions) == raw.partition:
            found.append(Owned(owner, raw))
    return found


def subscriptions_of(records: Iterable[RawRecord]) -> list[tuple[str, str, int | None]]:
    """Return the subscriptions among records: user, topic and since; None for one that ended."""
    found: list[tuple[str, str, int | None]] = []
    for raw in records:
        if raw.topic != topics.SUBSCRIPTIONS:
            continue
        try:
            change = decode_subscription(raw)
        except DecodeError:
            continue
        owner = f"{change.tenant}/{change.user}"
        found.append((owner, change.topic, change.since_ms if change.subscribed else None))
    return found


def _ends(records: Iterable[RawRecord]) -> dict[str, int]:
    return {f"{raw.topic}/{raw.partition}": raw.offset + 1 for raw in records}
