"""Writes receipts of openings and clicks beside the requests: nobody waits for Kafka to read a page.

A click is judged some seconds after it, when all links that a scanner follows were counted. Receipts that
wait are written when the gateway stops; a kill loses those of the last seconds.
"""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec.structs import asdict

from tocsin.formats.codec import encode, profile_key
from tocsin.formats.link_tokens import TrackedLink
from tocsin.formats.marks import Marked
from tocsin.gateway.links.judge import BURST, BURST_S, Bursts
from tocsin.gateway.problems import Problem
from tocsin.gateway.writer import Record
from tocsin.model import topics
from tocsin.model.engagement import MACHINE
from tocsin.model.outcome import ReceiptEvent

Write = Callable[[Record], Awaitable[object]]
Find = Callable[[Sequence[str]], Awaitable[Mapping[str, Marked]]]
"""Finds the owners of messages by their ids; raises `Problem` while nobody can tell."""

_log = logging.getLogger("tocsin.gateway.links")
_MOST_WAITING = 20_000
_MOST_KNOWN = 200_000


class Recorder:
    """Records what was opened and followed, each once.

    Args:
        write: writes a record and waits until Kafka has it.
        find: finds the owners of text messages.
        bursts: counts links that are followed at once.
        counts: counts receipts by kind and result.
        wait_s: how long a click is judged.
    """

    def __init__(
        self,
        write: Write,
        find: Find,
        bursts: Bursts,
        counts: Counter[tuple[str, str]],
        wait_s: float = BURST_S,
    ) -> None:
        self._write = write
        self._find = find
        self._bursts = bursts
        self._wait_s = wait_s
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: OrderedDict[str, None] = OrderedDict()
        self.counts = counts

    def note(self, link: TrackedLink, software: str, now_ms: int) -> None:
        """Record an opening or a click; returns at once.

        Args:
            link: what was opened or followed.
            software: what did it; empty for a person, as far as the request tells.
            now_ms: when.
        """
        if len(self._tasks) >= _MOST_WAITING:
            self.counts["any", "overload"] += 1
            return
        task = asyncio.create_task(self._record(link, software, now_ms))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Judge and write what waits."""
        self._stopping.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _record(self, link: TrackedLink, software: str, now_ms: int) -> None:
        if link.number and not software:
            software = await self._judged(link)
        kind = "clicked" if link.number else "opened"
        name = f"{kind}/{link.message_id}/{link.number}/{'machine' if software else 'person'}"
        if name in self._known:
            self.counts[kind, "repeated"] += 1
            return
        self._remember(name)
        try:
            owner = link.owner or (await self._find([link.message_id])).get(link.message_id)
            if owner is not None:
                await self._write(_record_of(receipt(owner, kind, name, software, now_ms)))
        except Problem as problem:
            self._known.pop(name, None)
            self.counts[kind, "lost"] += 1
            _log.warning("a receipt of kind %s is lost: %s", kind, problem.detail)
            return
        self.counts[kind, "machine" if software else "person"] += 1

    async def _judged(self, link: TrackedLink) -> str:
        await self._bursts.note(link)
        try:
            async with asyncio.timeout(self._wait_s):
                await self._stopping.wait()
        except TimeoutError:
            pass
        return BURST if await self._bursts.is_one(link) else ""

    def _remember(self, name: str) -> None:
        self._known[name] = None
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def receipt(owner: Marked, kind: str, name: str, software: str, now_ms: int) -> ReceiptEvent:
    """Write the receipt of an opening or a click; the same one again has the same id."""
    return ReceiptEvent(
        kind=kind,
        at_ms=now_ms,
        code=software,
        reason=MACHINE if software else "",
        receipt_id=name,
        **asdict(owner),
    )


def _record_of(found: ReceiptEvent) -> Record:
    return Record(topics.RECEIPTS, profile_key(found.tenant, found.user), encode(found))
