"""A send ledger in memory, for tests of what uses one. It passes the same contract suite as the real one."""

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple

from tocsin.delivery.claim import Claim, ClaimResult, Output, is_sent
from tocsin.model.message import Message

_KNOWN = re.compile(r"(\d+)(?:/(\d+))?")


class Entry(NamedTuple):
    """What is kept of a message; `admission` names the gate's decision, later ones compare greater."""

    state: str
    unknown: bool
    owner: str
    admission: tuple[int, int]
    attempt: int
    outputs: tuple[Output, ...] = ()


class MemoryStore:
    """What outlives a process: entries by message id, versions by `tenant/user`."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.versions: dict[str, str] = {}

    def know(self, user_key: str, version: int | str) -> None:
        """Note a user's version, as `tocsin.delivery.versions` writes it."""
        self.versions[user_key] = str(version)


class MemoryLedger:
    """The ledger of one incarnation over a store."""

    def __init__(self, store: MemoryStore, incarnation: str) -> None:
        self.away = False
        self.store = store
        self._owner = incarnation

    async def claim(self, message: Message, *, only_look: bool = False) -> Claim:
        """See `SendLedger.claim`."""
        await asyncio.sleep(0)
        now = self.store.entries.get(message.message_id)
        if now is None:
            first = self.store.entries.get(message.unless_sent) if message.unless_sent else None
            if first is not None and _is_taken(first):
                return Claim(ClaimResult.DONE, 1)
            unknown = first is not None and first.unknown
            result = ClaimResult.CONTINUE if unknown else ClaimResult.FRESH
            return self._begin(message, result, None, unknown=unknown, only_look=only_look)
        admission, left_open = _admission_of(message), now.state == "C" and now.owner != self._owner
        same = admission == now.admission
        if now.state == "D" or (now.state == "H" and same):
            return _told(ClaimResult.DONE, now)
        if admission < now.admission:
            return _told(ClaimResult.OLD, now)
        if left_open and same:
            return _told(ClaimResult.OPEN, now)
        unknown = now.unknown or left_open
        kept = now if same else None
        return self._begin(message, ClaimResult.CONTINUE, kept, unknown=unknown, only_look=only_look)

    def _begin(
        self, message: Message, result: ClaimResult, kept: Entry | None, *, unknown: bool, only_look: bool
    ) -> Claim:
        if self._is_stale(message):
            return _told(ClaimResult.STALE, kept) if kept else Claim(ClaimResult.STALE, message.attempt)
        attempt, outputs = (kept.attempt, kept.outputs) if kept else (message.attempt, ())
        claimed = Entry("C", unknown, self._owner, _admission_of(message), attempt, outputs)
        if not only_look:
            self.store.entries[message.message_id] = claimed
        return _told(result, claimed)

    async def record(
        self, message: Message, attempt: int, outputs: Sequence[Output], *, unknown: bool
    ) -> None:
        """See `SendLedger.record`."""
        await self._write("W", message, attempt, outputs, unknown)

    async def finish(
        self, message: Message, attempt: int, outputs: Sequence[Output], *, returned: bool, unknown: bool
    ) -> None:
        """See `SendLedger.finish`."""
        if message.unless_sent and is_sent(outputs):
            nothing = Entry("D", False, self._owner, _admission_of(message), 1)
            self.store.entries[message.unless_sent] = nothing
        await self._write("H" if returned else "D", message, attempt, outputs, unknown)

    async def close(self) -> None:
        """Nothing to give back."""

    async def _write(
        self, state: str, message: Message, attempt: int, outputs: Sequence[Output], unknown: bool
    ) -> None:
        await asyncio.sleep(0)
        self.store.entries[message.message_id] = Entry(
            state, unknown, self._owner, _admission_of(message), attempt, tuple(outputs)
        )

    def _is_stale(self, message: Message) -> bool:
        known = self.store.versions.get(f"{message.tenant}/{message.user}")
        if known is None:
            return False
        found = _KNOWN.fullmatch(known)
        if found is None or int(found[1]) > message.profile_version:
            return True
        erased_ms = int(found[2] or -1)
        again = message.decided_ms == erased_ms and message.profile_version > 0
        return message.decided_ms < erased_ms or again


def _is_taken(first: Entry) -> bool:
    if first.state != "D":
        return first.state in {"C", "W"}
    told = any(b'"reason":"already_sent"' in value for _, value, _ in first.outputs)
    return not first.outputs or is_sent(first.outputs) or told


def _admission_of(message: Message) -> tuple[int, int]:
    return message.attempt, message.decided_ms


def _told(result: ClaimResult, entry: Entry) -> Claim:
    return Claim(result, entry.attempt, entry.outputs, entry.unknown)
