"""The result of an audit: counts, and each missing or doubled item by name."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

_SHOWN = 20  # examples listed of each kind of fault
KEPT: Final = 100_000
"""Names of each kind that a result keeps; it counts all."""
FAULTS: Final[Mapping[str, str]] = {
    "missing": "left no outcome",
    "doubled": "more than one final outcome",
    "unsent": "admitted and in no message topic",
    "unannounced": "in a message topic and never admitted",
    "orphaned": "merged into, and never decided",
    "unstored": "outcomes were tracked and are not in ClickHouse",
}
"""Kinds of faults, and what each says about its items."""
_NOTHING: Final = "no event was judged: the topics have none whose time in Kafka is from --since to --until"


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One missing or doubled item.

    Attributes:
        kind: one of `FAULTS`.
        id: of the event, notification, message or outcome.
        what: what is missing or doubled.
        where: `topic/partition/offset` of the record that tells it; empty if ClickHouse told it.
        origin: of its event, if that is known.
        ms: Kafka's time of that record.
    """

    kind: str
    id: str
    what: str
    where: str = ""
    origin: str = ""
    ms: int = 0


class WindowCount(msgspec.Struct, kw_only=True):
    """The events of one window; `settled` events have all their final outcomes."""

    since_ms: int
    events: int = 0
    settled: int = 0
    held: int = 0
    in_flight: int = 0
    unread: int = 0
    faults: int = 0


class Totals:
    """Sums up the parts of an audit."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.names: dict[str, list[str]] = {kind: [] for kind in FAULTS}
        self.first: list[Fault] = []
        self.resent: list[str] = []
        self.resent_count = 0
        self.windows: dict[int, WindowCount] = {}
        self.waiting = 0
        self.recalled = 0
        self.unjudged = 0
        self.oldest_ms = 0

    def window(self, since_ms: int) -> WindowCount:
        """Return the counts of a window."""
        return self.windows.setdefault(since_ms, WindowCount(since_ms=since_ms))

    def fault(self, fault: Fault, window: int) -> None:
        """Count a fault, and keep its name as long as there is room."""
        self.counts[fault.kind] += 1
        self.window(window).faults += 1
        if len(self.names[fault.kind]) < KEPT:
            self.names[fault.kind].append(fault.id)
        if self.counts[fault.kind] <= _SHOWN:
            self.first.append(fault)
        if fault.ms > 0:
            self.oldest_ms = min(self.oldest_ms or fault.ms, fault.ms)

    def resend(self, message_id: str) -> None:
        """Count a message that was sent again although an earlier attempt may have arrived."""
        self.resent_count += 1
        if len(self.resent) < KEPT:
            self.resent.append(message_id)


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an audit. Of each kind of fault the first 100,000 names are kept, and all are counted.

    Attributes:
        events: events in the topics that were read for the first time (forwarded copies are not counted).
        settled: events all of whose notifications and messages have their final outcome.
        held: events with a notification that the gate holds.
        in_flight: events with a message that is on its way or waits for a retry.
        unread: events that their shard has not read yet, as far as is durable.
        missing: origins of events that were read and have no outcome.
        doubled: notifications, messages or origins with more than one final outcome.
        unsent: message ids with an `admitted` outcome that are in no message topic and were never tried.
        unannounced: message ids in a message topic without an `admitted` outcome.
        waiting: outcomes that were not tracked yet; ClickHouse may not have them.
        untracked: outcomes that were tracked and are not in ClickHouse; -1 if it was not asked.
        unstored: their ids.
        recalled: outcomes that only ClickHouse still has, entered to explain events and messages.
        unjudged: events and messages that deleted outcomes may explain, while ClickHouse was not asked.
        resent: ids of messages that were sent again although an earlier attempt may have arrived; no fault,
            since the policy for unknown outcomes asks for it.
        undecodable: records of message and outcome topics that cannot be decoded; no fault.
        orphaned: notification ids that items were merged into and that have no outcome.
        statuses: outcomes by status.
        reasons: outcomes by reason.
        counts: faults by kind.
        faults: the first of each kind, with what is wrong and where.
        windows: events by window of the range.
        oldest_ms: Kafka's time of the oldest item that is missing or doubled; 0 if none is.
    """

    events: int
    settled: int
    held: int
    in_flight: int
    unread: int
    missing: list[str]
    doubled: list[str]
    unsent: list[str]
    unannounced: list[str]
    waiting: int
    untracked: int
    recalled: int
    unjudged: int
    resent: list[str]
    undecodable: int
    statuses: dict[str, int]
    reasons: dict[str, int]
    orphaned: list[str] = []
    unstored: list[str] = []
    counts: dict[str, int] = {}
    faults: list[Fault] = []
    windows: list[WindowCount] = []
    oldest_ms: int = 0

    @property
    def error(self) -> int:
        """Number of faults; 0 if no event is lost or doubled."""
        return sum(self.counts.values())

    def sentences(self) -> list[str]:
        """Describe each kind of fault that was found, with examples."""
        return [
            f"{self.counts[kind]} {what}: {', '.join(getattr(self, kind)[:_SHOWN])}"
            for kind, what in FAULTS.items()
            if self.counts.get(kind)
        ]

    def notices(self) -> list[str]:
        """Describe what is no fault: that nothing was judged, and what may have reached people twice."""
        said = [] if self.events else [_NOTHING]
        if self.resent:
            ids = ", ".join(self.resent[:_SHOWN])
            count = len(self.resent)
            said.append(f"{count} sent again after an unknown outcome, so perhaps received twice: {ids}")
        return said


def result(totals: Totals, *, undecodable: int, asked: bool) -> Reconciliation:
    """Turn the sums of an audit into its result."""
    windows = sorted(totals.windows.values(), key=lambda window: window.since_ms)
    sums = {
        name: sum(getattr(window, name) for window in windows)
        for name in ("events", "settled", "held", "in_flight", "unread")
    }
    names = {kind: sorted(found) for kind, found in totals.names.items()}
    return Reconciliation(
        **sums,
        missing=names["missing"],
        doubled=names["doubled"],
        unsent=names["unsent"],
        unannounced=names["unannounced"],
        orphaned=names["orphaned"],
        unstored=names["unstored"],
        waiting=totals.waiting,
        untracked=totals.counts["unstored"] if asked else -1,
        recalled=totals.recalled,
        unjudged=totals.unjudged,
        resent=sorted(totals.resent),
        undecodable=undecodable,
        statuses=dict(totals.statuses),
        reasons=dict(totals.reasons),
        counts={kind: count for kind, count in totals.counts.items() if count},
        faults=totals.first,
        windows=windows,
        oldest_ms=totals.oldest_ms,
    )
