"""What a simulation found, in numbers, and its examples in sentences. It holds no address and no text."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from flows.simulation.comparison import Comparison
from flows.simulation.decided import Decided
from flows.simulation.differences import Difference, fields_changed, moved
from tocsin.model.explanations import explain
from tocsin.model.statuses import Status

_A_KIND = 3
"""Examples of each kind of difference."""
_USERS = 50
_COUNTS = ("inputs", "ordered", "timed", "dropped", "stand_ins", "equal", "differing", "copies")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """How often something was decided, before and after."""

    tenant: str
    notification: str
    channel: str
    status: str
    reason: str
    before: int
    after: int

    @property
    def more(self) -> int:
        """Return how many more there are; negative for fewer."""
        return self.after - self.before


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One decision that differs.

    Attributes:
        fields: names of the fields that differ: status, reason, channel, due time.
        before: what was decided, in one or two words; `was` in a sentence.
        after: what is decided by the new catalog; `becomes` in a sentence.
    """

    tenant: str
    user: str
    event_id: str
    event_type: str
    origin: str
    at_ms: int
    notification: str
    channel: str
    fields: list[str]
    before: str
    after: str
    was: str
    becomes: str


class UserChange(msgspec.Struct, frozen=True):
    """How many notifications one user gets, before and after."""

    user: str
    before: int
    after: int


class Part(msgspec.Struct, kw_only=True):
    """The results of one partition, or of several that were added.

    Attributes:
        inputs: records that were decided.
        ordered: those whose place is known by their outcome; `timed` those placed by Kafka's times.
        dropped: receipts and returned messages of messages that the simulation did not send.
        rewritten: records that the simulation would have written to topics of the gate.
        stand_ins: users whose profiles at the beginning were compacted away.
        equal: decisions that are the same.
        differing: decisions that are not.
        copies: outcomes that history has more than once.
        tallies: decisions by tenant, notification, channel, status and reason: before and after.
        moves: differences by what was decided before and after.
        users: users by the number of notifications that they get before and after.
        most_affected: those whose number changes most.
        examples: differences in sentences.
        versions: decisions of history by catalog.
    """

    inputs: int = 0
    ordered: int = 0
    timed: int = 0
    dropped: int = 0
    rewritten: dict[str, int] = {}
    stand_ins: int = 0
    equal: int = 0
    differing: int = 0
    copies: int = 0
    tallies: list[tuple[tuple[str, str, str, str, str], int, int]] = []
    moves: list[tuple[str, str, int]] = []
    users: list[tuple[int, int, int]] = []
    most_affected: list[UserChange] = []
    examples: list[Example] = []
    versions: dict[str, int] = {}


def part_of(comparison: Comparison) -> Part:
    """Sum a comparison up."""
    before, after = comparison.tallies
    moves = Counter(moved(*each) for each in comparison.differences)
    users = Counter((got.count[0], got.count[1]) for got in comparison.users.values())
    changed = [
        UserChange(user, *got.count) for user, got in comparison.users.items() if got.count[0] != got.count[1]
    ]
    return Part(
        equal=comparison.equal,
        differing=len(comparison.differences) + comparison.forgotten,
        copies=comparison.copies,
        tallies=[(kind, before[kind], after[kind]) for kind in sorted(before.keys() | after.keys())],
        moves=[(*move, count) for move, count in moves.most_common()],
        users=[(*counts, number) for counts, number in sorted(users.items())],
        most_affected=most_affected(changed),
        examples=examples(comparison.differences),
        versions={version: count for version, count in comparison.versions.items() if version},
    )


def most_affected(users: Iterable[UserChange]) -> list[UserChange]:
    """Return the users whose number of notifications changes most."""
    return sorted(users, key=lambda each: (-abs(each.after - each.before), each.user))[:_USERS]


def examples(differences: Iterable[Difference]) -> list[Example]:
    """Tell some differences of each kind in sentences."""
    told: Counter[tuple[str, str, str, str]] = Counter()
    found: list[Example] = []
    for difference in differences:
        kind = (difference.known.notification, difference.known.channel, *moved(*difference))
        told[kind] += 1
        if told[kind] <= _A_KIND:
            found.append(_example(difference))
    return found


def _example(difference: Difference) -> Example:
    known, (before, after) = difference.known, moved(*difference)
    return Example(
        tenant=known.tenant,
        user=known.user,
        event_id=known.event_id,
        event_type=known.event_type,
        origin=known.origin,
        at_ms=known.at_ms,
        notification=known.notification,
        channel=known.channel,
        fields=list(fields_changed(difference)),
        before=before,
        after=after,
        was=sentence(difference.before),
        becomes=sentence(difference.after) + _shift(difference),
    )


def _shift(difference: Difference) -> str:
    """Say by how much a decision that is the same moved."""
    before, after = difference
    if before is None or after is None or list(fields_changed(difference)) != ["time"]:
        return ""
    by = timedelta(milliseconds=abs(after.at_ms - before.at_ms))
    return f" That is {by} {'later' if after.at_ms > before.at_ms else 'earlier'}."


def sentence(decided: Decided | None) -> str:
    """Say what was decided and why."""
    if decided is None:
        return "Nothing was decided."
    if decided.status == Status.ADMITTED:
        return f"It goes out by {decided.channel}."
    why = explain(decided.reason, msgspec.json.decode(decided.detail))
    return why or f"It is {decided.status}."


def chosen(part: Part, most: int) -> list[Example]:
    """Choose examples: in turns one of each kind of difference, the most frequent kinds first."""
    ranks = {(was, becomes): rank for rank, (was, becomes, _) in enumerate(part.moves)}
    turns: Counter[tuple[str, str]] = Counter()
    found: list[tuple[int, int, Example]] = []
    for each in part.examples:
        move = each.before, each.after
        turns[move] += 1
        found.append((turns[move], ranks[move], each))
    found.sort(key=lambda one: one[:2])
    return [each for _, _, each in found[:most]]


def added(parts: Iterable[Part]) -> Part:
    """Add the results of partitions."""
    total = Part()
    tallies: dict[tuple[str, str, str, str, str], list[int]] = {}
    moves: Counter[tuple[str, str]] = Counter()
    users: Counter[tuple[int, int]] = Counter()
    rewritten: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    for part in parts:
        for name in _COUNTS:
            setattr(total, name, getattr(total, name) + getattr(part, name))
        for kind, before, after in part.tallies:
            sums = tallies.setdefault(kind, [0, 0])
            sums[0] += before
            sums[1] += after
        moves.update({(was, becomes): count for was, becomes, count in part.moves})
        users.update({(before, after): count for before, after, count in part.users})
        rewritten.update(part.rewritten)
        versions.update(part.versions)
        total.most_affected = most_affected([*total.most_affected, *part.most_affected])
        total.examples = [*total.examples, *part.examples]
    total.tallies = [(kind, sums[0], sums[1]) for kind, sums in sorted(tallies.items())]
    total.moves = [(*move, count) for move, count in moves.most_common()]
    total.users = [(*counts, number) for counts, number in sorted(users.items())]
    total.rewritten, total.versions = dict(rewritten), dict(versions)
    return total


class Percentiles(msgspec.Struct, frozen=True):
    """How many notifications users get; over the users that get one before or after."""

    p50: int
    p90: int
    p99: int
    most: int
    users: int
    notifications: int


class Report(msgspec.Struct, kw_only=True):
    """The whole result of a simulation (`--json`).

    Attributes:
        catalog: version of the new catalog; `present` of the one in force.
        baseline: what it is compared with: `actual` outcomes, or history `replayed` by the present catalog.
        since: first moment that counts; `until` the moment after the last one.
        warm_up_s: how far before `since` reading began.
        notes: what cannot be known, in sentences.
        partitions: partitions that were played.
        seconds: how long it took.
        result: the sums of all partitions.
        changes: decisions by notification, channel, status and reason.
        users_before: notifications a user, before; `users_after` after.
    """

    catalog: str
    present: str
    baseline: str
    tenant: str
    since: str
    until: str
    warm_up_s: int
    notes: list[str]
    partitions: int
    seconds: float
    result: Part
    changes: list[Change] = []
    users_before: Percentiles | None = None
    users_after: Percentiles | None = None

    @property
    def compared(self) -> int:
        """Return how many decisions were compared."""
        return self.result.equal + self.result.differing


def changes(part: Part) -> list[Change]:
    """List the tallies, the greatest changes first."""
    found = [
        Change(
            tenant=tenant,
            notification=notification,
            channel=channel,
            status=status,
            reason=reason,
            before=before,
            after=after,
        )
        for (tenant, notification, channel, status, reason), before, after in part.tallies
    ]
    return sorted(found, key=lambda each: (-abs(each.more), -each.before))


def percentiles(part: Part, side: int) -> Percentiles:
    """Give the percentiles of one side: 0 is before, 1 is after."""
    counts: Counter[int] = Counter()
    for each in part.users:
        counts[each[side]] += each[2]
    ranked = sorted(counts.items())
    total = sum(counts.values())
    p50, p90, p99 = (_ranked(ranked, total, share) for share in (0.5, 0.9, 0.99))
    most = ranked[-1][0] if ranked else 0
    return Percentiles(p50, p90, p99, most, total, sum(count * users for count, users in ranked))


def _ranked(ranked: list[tuple[int, int]], total: int, share: float) -> int:
    left = share * total
    for count, users in ranked:
        left -= users
        if left <= 0:
            return count
    return 0
