"""Compares decisions, one by one as both sides make them: of history, and of the simulation.

Decisions are matched by the outcome's id, which no catalog changes. What is matched and says the same leaves
no trace but a count, so memory is bounded by what differs. Beyond `MOST` the oldest are counted and no more.
"""

from collections import Counter, deque
from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from flows.simulation.decided import Decided, Either, as_read, same
from flows.simulation.differences import Difference, paired
from tocsin.model.statuses import Status

MOST: Final = 200_000
"""Decisions of one side that wait for the other one."""
_REMEMBERED: Final = 50_000
"""Matched decisions whose copies are known at least; up to twice as many are."""
_ADMITTED: Final = Status.ADMITTED.value

Kind = tuple[str, str, str, str, str]
"""Tenant, notification, channel, status and reason."""


class Scope(NamedTuple):
    """Which decisions count.

    Attributes:
        since_ms: the first moment.
        until_ms: the moment after the last one.
        tenant: the tenant; empty for all.
    """

    since_ms: int
    until_ms: int
    tenant: str = ""

    def has(self, decided: Either) -> bool:
        """Tell whether a decision counts."""
        return self.since_ms <= decided.at_ms < self.until_ms


class Got:
    """How many notifications one user got; `last` tells channels of one notification from the next one."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = [0, 0]
        self.last = ["", ""]

    def add(self, side: int, notification_id: str) -> None:
        """Count a notification; further channels and devices of it do not count."""
        if self.last[side] != notification_id:
            self.last[side] = notification_id
            self.count[side] += 1

    def add_to_both(self, notification_id: str) -> None:
        """Count a notification that both sides send."""
        if self.last == [notification_id, notification_id]:
            return
        self.add(0, notification_id)
        self.add(1, notification_id)


class Comparison:
    """Compares the decisions of one partition.

    Args:
        scope: which decisions count.
        most: decisions of one side that may wait for the other one.

    Attributes:
        tallies: how often each side decided so, before and after.
        users: what each user got.
        equal: decisions that are the same on both sides; like the tallies complete after `finish`.
        differences: those that are not, as far as they are remembered.
        forgotten: differences that were only counted.
        copies: outcomes that history has more than once: of a crash, or of a message that came back twice.
        versions: catalogs that decided the history.
    """

    def __init__(self, scope: Scope, most: int = MOST) -> None:
        self._scope = scope
        self._most = most
        self._waiting: tuple[dict[str, Either], dict[str, Either]] = ({}, {})
        self._matched: set[str] = set()
        self._matched_before: set[str] = set()
        self._sent: dict[str, int] = {}
        self._equal: dict[tuple[Kind, str], int] = {}
        self.tallies: tuple[Counter[Kind], Counter[Kind]] = (Counter(), Counter())
        self.users: dict[str, Got] = {}
        self.equal = 0
        self.differences: deque[Difference] = deque()
        self.forgotten = 0
        self.copies = 0
        self.versions: Counter[str] = Counter()

    @property
    def tenant(self) -> str:
        """Return the tenant that counts; empty for all."""
        return self._scope.tenant

    def before(self, decided: Either) -> None:
        """Take a decision of history."""
        self._take(0, decided)

    def after(self, decided: Either) -> None:
        """Take a decision of the simulation."""
        self._take(1, decided)

    def is_unsent(self, message_id: str) -> bool:
        """Tell whether history sent a message that the simulation has not: its receipts never came."""
        return self._sent.get(message_id, 0) > 0

    def _take(self, side: int, decided: Either) -> None:
        if self._scope.tenant and decided.tenant != self._scope.tenant:
            return
        outcome_id, own = decided.outcome_id, self._waiting[side]
        if outcome_id in self._matched or outcome_id in self._matched_before or outcome_id in own:
            self.copies += not side
            return
        if decided.status == _ADMITTED:
            self._note_sent(decided.message_id, -1 if side else 1)
        other = self._waiting[1 - side].pop(outcome_id, None)
        if other is None:
            own[outcome_id] = decided
            if len(own) > self._most:
                self._forget(side)
            return
        self._remember(outcome_id)
        if side:
            self._compare(other, decided)
        else:
            self._compare(decided, other)

    def _note_sent(self, message_id: str, change: int) -> None:
        sent = self._sent
        left = sent.pop(message_id, 0) + change
        if left:
            sent[message_id] = left

    def _remember(self, outcome_id: str) -> None:
        matched = self._matched
        matched.add(outcome_id)
        if len(matched) > _REMEMBERED:
            self._matched_before, self._matched = matched, set()

    def _compare(self, before: Either, after: Either) -> None:
        scope = self._scope
        if not scope.since_ms <= before.at_ms < scope.until_ms:
            return
        if same(before, after):
            self._count_equal(before)
            return
        self._tally(0, before)
        self._tally(1, after)
        self._differs(Difference(as_read(before), as_read(after)))

    def _differs(self, difference: Difference) -> None:
        if len(self.differences) < self._most:
            self.differences.append(difference)
        else:
            self.forgotten += 1

    def _count_equal(self, decided: Either) -> None:
        """Count a decision that both sides make: one count here, and one for each side in the end."""
        status = decided.status
        kind = (decided.tenant, decided.notification, decided.channel, status, decided.reason)
        key = kind, decided.catalog_version
        self._equal[key] = self._equal.get(key, 0) + 1
        if status == _ADMITTED:
            self._got(decided).add_to_both(decided.notification_id)

    def _tally_equal(self) -> None:
        before, after = self.tallies
        for (kind, version), count in self._equal.items():
            before[kind] += count
            after[kind] += count
            self.versions[version] += count
            self.equal += count
        self._equal.clear()

    def _tally(self, side: int, decided: Either) -> None:
        kind = (decided.tenant, decided.notification, decided.channel, decided.status, decided.reason)
        self.tallies[side][kind] += 1
        if not side:
            self.versions[decided.catalog_version] += 1
        if decided.status == _ADMITTED:
            self._got(decided).add(side, decided.notification_id)

    def _got(self, decided: Either) -> Got:
        key = f"{decided.tenant}/{decided.user}"
        got = self.users.get(key)
        if got is None:
            got = self.users[key] = Got()
        return got

    def _forget(self, side: int) -> None:
        waiting = self._waiting[side]
        for outcome_id in list(islice(waiting, len(waiting) // 4)):
            decided = waiting.pop(outcome_id)
            if self._scope.has(decided):
                self._tally(side, decided)
                self.forgotten += 1

    def finish(self, counts: Callable[[Decided], bool] = lambda _: True) -> None:
        """Take what is left on one side for different; the two sides of one subject belong together.

        Args:
            counts: tells whether history can have decided something by its end.
        """
        self._tally_equal()
        before, after = (self._left(side, counts) for side in (0, 1))
        for difference in paired(before, after):
            one, other = difference
            if one is not None and other is not None and same(one, other) and one.at_ms == other.at_ms:
                self.equal += 1  # it was held more or less often before, which is another difference
            else:
                self._differs(difference)

    def _left(self, side: int, counts: Callable[[Decided], bool]) -> list[Decided]:
        waiting = map(as_read, filter(self._scope.has, self._waiting[side].values()))
        found = [each for each in waiting if counts(each)]
        self._waiting[side].clear()
        for decided in found:
            self._tally(side, decided)
        return found
