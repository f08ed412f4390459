"""Changes profiles: in the view, then in Kafka. What was acknowledged is in Kafka, whatever dies when.

| killed | then |
|---|---|
| before the swap | nothing happened |
| between swap and acknowledgement | the change is open: some process writes it within seconds |
| after the acknowledgement | it is written again, byte for byte, if the list still names it |
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tocsin.formats.gateway_profiles import revision_header
from tocsin.gateway.people.entry import Change, Entry, State, acknowledged, changed
from tocsin.gateway.people.view import AWAY, ProfileView, Seen, Swap, away, filling
from tocsin.gateway.problems import Problem, not_ready
from tocsin.gateway.writer import Failure, Record, Writer
from tocsin.model import topics

_log = logging.getLogger("tocsin.gateway")
OPEN_MS: Final = 10_000
"""A change that is open for longer is written by whoever sees it: its process is dead, or Kafka was away.

It is longer than the writer waits for an acknowledgement.
"""
_WAIT_S: Final = 0.02
_WAITS: Final = 100
_LOST: Final = 50
_AT_ONCE: Final = 100

Edit = Callable[[Entry], Change | None]
"""Makes a change of an entry; None for none. Raises `Problem`."""


class Changed(NamedTuple):
    """What became of a change.

    Attributes:
        before: the entry before it.
        after: the entry after it; the same where nothing changed.
    """

    before: Entry
    after: Entry


class Changes:
    """Reads and changes profiles.

    Args:
        view: the view.
        writer: to Kafka.
        clock_ms: the wall clock.
    """

    def __init__(self, view: ProfileView, writer: Writer, clock_ms: Callable[[], int]) -> None:
        self.view = view
        self._writer = writer
        self._clock_ms = clock_ms

    async def look(self, owner: str) -> Entry:
        """Return the entry of `tenant/user`.

        Raises:
            Problem: 503 while Redis is away or the view is not complete.
        """
        return (await self._look(owner)).entry

    async def _look(self, owner: str) -> Seen:
        try:
            seen, ready = await self.view.look(owner)
        except AWAY:
            raise away() from None
        if not ready:
            raise filling()
        return seen

    async def change(self, owner: str, edit: Edit, beside: Sequence[Record] = ()) -> Changed:
        """Change a profile; returns once Kafka has it.

        Args:
            owner: `tenant/user`.
            edit: makes the change; called again where somebody else was faster.
            beside: records that are written with it.

        Raises:
            Problem: the edit's, or 503: then the change may still come to be, and repeating it does no harm.
        """
        for _ in range(_LOST):
            seen = await self._free(owner)
            change = edit(seen.entry)
            if change is None or change.text == seen.entry.text:
                return Changed(seen.entry, seen.entry)
            entry = changed(seen.entry, change, self._clock_ms())
            if await self._swapped(owner, seen, entry):
                await self._write(owner, entry, beside)
                return Changed(seen.entry, entry)
        msg = "others change this user all the time: send it again"
        raise not_ready(msg)

    async def _free(self, owner: str) -> Seen:
        """Wait until no other change of the user is being written, so that Kafka has them in order."""
        for _ in range(_WAITS):
            seen = await self._look(owner)
            if seen.entry.state != State.WRITING:
                return seen
            if self._clock_ms() - seen.entry.since_ms > OPEN_MS:
                await self._write(owner, seen.entry, ())
            else:
                await asyncio.sleep(_WAIT_S)
        msg = "another change of this user is being written: send it again"
        raise not_ready(msg, 5)

    async def _swapped(self, owner: str, seen: Seen, entry: Entry) -> bool:
        try:
            await self.view.note_open(owner, entry.revision, entry.since_ms)
            (done,) = await self.view.swap([Swap(owner, seen, entry)])
        except AWAY:
            raise away() from None
        return done

    async def _write(self, owner: str, entry: Entry, beside: Sequence[Record]) -> None:
        """Write an open change, then note that Kafka has it.

        The list keeps the change where Redis is away by then: it is written again later, which changes
        nothing.
        """
        for result in await self._writer.write_all([record_of(owner, entry), *beside]):
            if isinstance(result, Failure):
                raise result.problem
        with contextlib.suppress(AWAY):
            await self._settle(owner, entry)

    async def _settle(self, owner: str, entry: Entry) -> None:
        seen, _ = await self.view.look(owner)
        if seen.entry == entry:
            await self.view.swap([Swap(owner, seen, acknowledged(entry))])
        await self.view.note_done(owner, entry.revision)

    async def finish(self) -> int:
        """Write the changes that are open for too long; return how many."""
        found = await self.view.open_before(self._clock_ms() - OPEN_MS, _AT_ONCE)
        for owner, revision in found:
            seen, _ = await self.view.look(owner)
            if seen.entry.revision == revision and seen.entry.state == State.WRITING:
                await self._write(owner, seen.entry, ())
            else:
                await self.view.note_done(owner, revision)
        return len(found)

    async def keep_finishing(self, every_s: float, stop: asyncio.Event) -> None:
        """Write open changes until it is time to stop; failures are logged and tried again."""
        while not stop.is_set():
            try:
                found = await self.finish()
            except (AWAY, Problem) as failure:
                _log.warning("open changes of profiles wait: %s", type(failure).__name__)
                found = 0
            if found < _AT_ONCE:
                await passed(stop, every_s)


async def passed(stop: asyncio.Event, wait_s: float) -> None:
    """Wait for a while, or until it is time to stop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await stop.wait()


def record_of(owner: str, entry: Entry) -> Record:
    """Return the record of an entry's profile; that of an erased user is a tombstone."""
    value, headers = entry.text or None, (revision_header(entry.revision),)
    return Record(topics.PROFILES, owner.encode(), value, headers)


def tombstones(keys: Sequence[bytes], topic: str) -> list[Record]:
    """Return records that erase keys of a compacted topic."""
    return [Record(topic, key, None) for key in keys]
