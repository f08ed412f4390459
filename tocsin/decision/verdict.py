"""Verdicts: the answers of a rule about one notification, channel or contact point.

A rule returns a verdict and does nothing else. `tocsin.decision.decider` calls the handler of each kind.
"""

from typing import Final, TypeAlias

import msgspec

from tocsin.model.outcome import Scalar
from tocsin.model.statuses import Reason

# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_NONE = Reason.NONE
Detail: TypeAlias = dict[str, Scalar]
"""The numbers that a decision rests on. They hold no address and no text of a message (law 7)."""


class Suppress(msgspec.Struct, frozen=True, gc=False):
    """Send nothing, for `reason`. Final."""

    reason: Reason
    detail: Detail | None = None


class Expire(msgspec.Struct, frozen=True, gc=False):
    """Send nothing, because it is too late. Final."""

    reason: Reason = Reason.TOO_LATE
    detail: Detail | None = None


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Send nothing, because the cause of something held is gone. Final."""

    reason: Reason
    detail: Detail | None = None


class Merge(msgspec.Struct, frozen=True, gc=False):
    """Send it as a part of another notification, whose id is `group`. Final for this one.

    Attributes:
        group: the id of the other notification.
        due_ms: when the digest is due that it joins; 0 where it joins none.
        latest_ms: the latest time to which further items move that.
        item: its number in the digest, from 1.
        left_out: why the digest only counts it; empty if it is kept.
        cause: the numbers of the limit that has no room for it; None without one.
    """

    group: str
    due_ms: int = 0
    latest_ms: int = 0
    item: int = 0
    left_out: str = ""
    cause: Detail | None = None

    @property
    def reason(self) -> Reason:
        """A merge has no reason but its group."""
        return _NONE

    @property
    def detail(self) -> Detail:
        """Name the group, and the place in it."""
        found: Detail = {"into": self.group, **(self.cause or {})}
        if self.item:
            found["item"] = self.item
        if self.left_out:
            found["left_out"] = self.left_out
        return found


class Collapse(msgspec.Struct, frozen=True, gc=False):
    """Do not send it: a newer one with its collapse key, whose id is `into`, takes its place."""

    into: str

    @property
    def reason(self) -> Reason:
        """A newer one took its place."""
        return Reason.COLLAPSED

    @property
    def detail(self) -> Detail:
        """Name the newer one."""
        return {"into": self.into}


class Hold(msgspec.Struct, frozen=True, gc=False):
    """Decide again at `until_ms`, from the first rule on.

    `counter` is the limit that it waits for. `free_ms` is the time from which it may have the slot of one
    before it in the queue of the limit, should that one not take it; 0 where there is no queue. `detail` are
    the numbers that the rule read. `by_clock` says that it waits for a time of the recipient's own clock.
    """

    until_ms: int
    reason: Reason
    counter: str = ""
    free_ms: int = 0
    detail: Detail | None = None
    by_clock: bool = False


Pass: TypeAlias = None
"""The rule has no objection. It is None, for most answers are this one and a test for None is cheapest."""

FinalVerdict: TypeAlias = Suppress | Expire | Cancel | Merge | Collapse
Verdict: TypeAlias = Pass | Suppress | Expire | Cancel | Merge | Hold
PASS: Final = None
