"""What the send ledger says of a message, and what it keeps. No client, no I/O."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from tocsin.model.message import Message

Output = tuple[str, bytes, tuple[tuple[str, bytes], ...]]
"""One thing a message put out, as its operator wrote it: kind, value, headers. Free of addresses."""


def is_sent(outputs: Sequence[Output]) -> bool:
    """Return whether a message's outputs say that it was sent."""
    return any(kind == "o" and b'"status":"sent"' in value for kind, value, _ in outputs)


class ClaimResult(Enum):
    """What a claim found."""

    FRESH = "F"
    CONTINUE = "W"
    OPEN = "U"
    DONE = "D"
    OLD = "O"
    STALE = "S"


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What the ledger answered.

    Attributes:
        result: FRESH and CONTINUE are claimed now; OPEN was left by another incarnation and may have been
            sent; DONE has ended with these outputs, or without any because a replay of it, or what it
            replays, was sent; OLD is an earlier pass, all of whose outputs are out; STALE was not claimed
            since the profile is newer than the message.
        attempt: number of the attempt to make (OPEN: of the one left open).
        outputs: what the pass put out so far (DONE: all of it).
        unknown: an earlier attempt may have been sent.
    """

    result: ClaimResult
    attempt: int
    outputs: tuple[Output, ...] = ()
    unknown: bool = False


class SendLedger(Protocol):
    """Remembers what was handed to a provider; `tocsin.delivery.ledger` keeps it in Redis.

    The methods run on the runtime's loop, but for `away`.
    """

    @property
    def away(self) -> bool:
        """Whether messages must wait for the ledger now; read from any thread."""
        ...

    async def claim(self, message: Message, *, only_look: bool = False) -> Claim:
        """Claim a message before its next attempt.

        Args:
            message: as its record holds it: attempt and decision time name the pass.
            only_look: answer the same, but leave no open claim, since no provider will be called.
        """
        ...

    async def record(
        self, message: Message, attempt: int, outputs: Sequence[Output], *, unknown: bool
    ) -> None:
        """Write what an attempt put out; `attempt` is the number of the next one."""
        ...

    async def finish(
        self, message: Message, attempt: int, outputs: Sequence[Output], *, returned: bool, unknown: bool
    ) -> None:
        """Write the end: of the message, or of this pass if it returned to the gate."""
        ...
