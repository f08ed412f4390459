"""What the send ledger says of a message, and what it keeps. No client, no I/O."""

from enum import Enum
from typing import NamedTuple

Output = tuple[str, bytes, tuple[tuple[str, bytes], ...]]
"""One thing a message put out, as its operator wrote it: kind, value, headers. Free of addresses."""


class ClaimResult(Enum):
    """What a claim found."""

    FRESH = "F"
    CONTINUE = "W"
    OPEN = "U"
    DONE = "D"
    OLD = "O"
    STALE = "S"


class Claim(NamedTuple):
    """What the ledger answered.

    Attributes:
        result: FRESH and CONTINUE are claimed now; OPEN was left by another incarnation and may have been
            sent; DONE has ended with these outputs; OLD is an earlier pass, all of whose outputs are out;
            STALE was not claimed since the profile is newer than the message.
        attempt: number of the attempt to make (OPEN: of the one left open).
        outputs: what the pass put out so far (DONE: all of it).
        unknown: an earlier attempt may have been sent.
    """

    result: ClaimResult
    attempt: int
    outputs: tuple[Output, ...] = ()
    unknown: bool = False
