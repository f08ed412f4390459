"""Plans a replay: what it would write, counted, with samples. Writes nothing."""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from sources.replays.facts import Facts
from sources.replays.outcomes import Index
from sources.replays.replay import Candidate, Scan, read_index
from sources.replays.rewriting import Rewriter
from sources.replays.selection import Selection, topics_of
from sources.replays.spans import Span, SpanReader
from sources.replays.state import ReplayState, key_of
from sources.replays.superseded import Superseded
from tocsin.model import topics

_SLACK_MS = 600_000
"""An outcome may have an older timestamp than the dead letter that was written with it."""
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


class Sample(msgspec.Struct, frozen=True):
    """One record that is chosen, for a person to look at."""

    at: str
    origin: str
    at_ms: int
    tenant: str = ""
    user: str = ""
    event_id: str = ""
    notification: str = ""
    channel: str = ""
    stage: str = ""
    reason: str = ""
    error: str = ""


class Plan(msgspec.Struct, kw_only=True):
    """What a replay would do.

    Attributes:
        read: records read.
        chosen: records to write.
        left_out: records that are asked for and not written, by the cause.
        expired: chosen records that will end as expired again.
        before: chosen records that are replays themselves.
        targets: topics that are written to.
        unknown_ids: ids of the list that no record has.
        read_per_s: records read and judged a second.
    """

    read: int = 0
    outcomes_read: int = 0
    chosen: int = 0
    left_out: dict[str, int] = {}
    expired: int = 0
    before: int = 0
    by_reason: dict[str, int] = {}
    by_stage: dict[str, int] = {}
    by_notification: dict[str, int] = {}
    by_channel: dict[str, int] = {}
    by_tenant: dict[str, int] = {}
    targets: dict[str, int] = {}
    unknown_ids: list[str] = []
    samples: list[Sample] = []
    read_per_s: float = 0.0


def new_id(at_ms: int) -> str:
    """Make the id of a replay: its time, and four letters that tell two of a second apart.

    >>> new_id(0)[:16]
    '19700101-000000-'
    """
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"


def spans_of(reader: SpanReader, selection: Selection, given: list[Span]) -> tuple[list[Span], list[Span]]:
    """Find what is to be read: records, and outcomes."""
    whole = [span for topic in topics_of(selection.what, reader.names()) for span in reader.whole(topic)]
    if given:
        bounds = {(s.topic, s.partition): s for s in given}
        whole = [
            Span(s.topic, s.partition, max(s.start, cut.start), min(s.end, cut.end))
            for s in whole
            if (cut := bounds.get((s.topic, s.partition)))
        ]
    spans = reader.since(whole, selection.since_ms)
    if not selection.outcomes:
        return spans, []
    since_ms = max(1, selection.since_ms - _SLACK_MS) if selection.since_ms else 0
    return spans, reader.since(reader.whole(topics.OUTCOMES), since_ms)


def index_of(
    reader: SpanReader, state: ReplayState, seen: Callable[[int], None] = lambda _: None
) -> Index | None:
    """Read the outcomes that a replay rests on; None if it rests on none."""
    if not state.selection.outcomes:
        return None
    return read_index(reader, state.selection, state.outcome_spans, state.forgotten_ms, seen)


def plan(
    reader: SpanReader,
    beside: SpanReader,
    state: ReplayState,
    index: Index | None,
    *,
    samples: int = 5,
    seen: Callable[[int], None] = lambda _: None,
) -> Plan:
    """Read everything once and count what would be written; notes it in the state.

    Args:
        reader: reads the ranges.
        beside: reads another topic while the first reader is at work.
        state: of the replay; takes the total, and where its topics end now.
        index: what the outcomes say.
        samples: how many records of each reason to show.
        seen: is told how many records were read.
    """
    found, scan = Plan(), Scan(reader, state.selection, index, Superseded(beside), state.forgotten_ms)
    counts = _Counts(found, Rewriter(state.id, state.selection.force, state.created_ms, state.partitions))
    began_s, limit = time.perf_counter(), state.selection.limit
    for _, candidate in scan.run(state.spans, seen):
        if candidate is not None:
            counts.add(candidate, state.created_ms, samples)
        if 0 < limit <= found.chosen:
            break
    found.read = scan.read
    found.read_per_s = round(scan.read / max(1e-9, time.perf_counter() - began_s))
    found.unknown_ids = [one for one in state.selection.ids if one not in scan.chooser.matched]
    counts.finish()
    state.total = found.chosen
    # Which records a limit lets pass depends on the order of partitions, and so do the topics.
    for topic in {*found.targets, *(topics.GATE_INPUTS if 0 < limit <= found.chosen else ())}:
        state.marks |= {key_of(s.topic, s.partition): s.end for s in reader.whole(topic)}
    return found


class _Counts:
    """Counts candidates into a plan."""

    def __init__(self, plan: Plan, rewriter: Rewriter) -> None:
        self._plan = plan
        self._rewriter = rewriter
        self._left_out: Counter[str] = Counter()
        self._targets: Counter[str] = Counter()
        self._by: dict[str, Counter[str]] = {
            name: Counter() for name in ("reason", "stage", "notification", "channel", "tenant")
        }

    def add(self, candidate: Candidate, now_ms: int, samples: int) -> None:
        """Count one record."""
        if candidate.left_out:
            self._left_out[candidate.left_out] += 1
            return
        facts, plan = candidate.facts, self._plan
        sample = _sample(facts)
        for name, counter in self._by.items():
            counter[getattr(sample, name)] += 1
        plan.chosen += 1
        plan.expired += 0 < facts.expires_ms < now_ms
        plan.before += facts.before
        self._targets[self._rewriter.topic(facts)] += 1
        if self._by["reason"][sample.reason] <= samples:
            plan.samples = [*plan.samples, sample]

    def finish(self) -> None:
        """Write the counts, the largest first."""
        plan = self._plan
        plan.left_out = dict(self._left_out.most_common())
        plan.targets = dict(self._targets.most_common())
        for name, counter in self._by.items():
            setattr(plan, f"by_{name}", {key: count for key, count in counter.most_common() if key})


def _sample(facts: Facts) -> Sample:
    letter, (tenant, user) = facts.letter, facts.owner
    known = facts.event.id if facts.event else facts.message.event_id if facts.message else ""
    return Sample(
        at=facts.place,
        origin=facts.origin,
        at_ms=facts.at_ms,
        tenant=tenant,
        user=user,
        event_id=known,
        notification=facts.notification,
        channel=facts.channel,
        stage=letter.stage if letter else "",
        reason=facts.reason,
        error=letter.error if letter else "",
    )
