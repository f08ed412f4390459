"""The audit's rate and memory: `python -m bench.audit [--json] [--events N] [--held N]`.

Reads, spills and judges the records of so many events, four for each and one row of ClickHouse for each
outcome, as `tocsin balance` does. Records come out of memory instead of Kafka, so that the figures are those
of the audit: a broker on the same machine would take as much again. One event of `--held` is held to the end.
Prints the memory that the process had at most, how much of it was there before, and how much disk it took.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.reference import Reference
from tocsin.app.audit_facts import StoredFact
from tocsin.app.audit_result import Reconciliation
from tocsin.app.audit_windows import Windows
from tocsin.cli.audit_reading import Reading
from tocsin.formats.codec import encode
from tocsin.model import ids, topics
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Status

PUSH = topics.messages("push")
_PARTITIONS = 16
_FIRST_MS = 1_700_000_000_000
_DAYS = 7
_DAY_MS = 86_400_000
_TOPICS = {topics.EVENTS: 1, PUSH: 1, topics.OUTCOMES: 2}
"""Topics that have records, and how many each has of an event."""


class Records:
    """Stands for the reader of topics: the records of many events, made when they are read."""

    def __init__(self, events: int, held_every: int) -> None:
        self._events = events
        self._held_every = held_every

    def names(self) -> list[str]:
        """List the topics that there are."""
        return sorted(_TOPICS)

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the end of each partition of a topic."""
        each = -(-self._events // _PARTITIONS) * _TOPICS.get(topic, 0)
        return dict.fromkeys(range(_PARTITIONS), (0, each))

    def first_at(self, starts: Mapping[str, int]) -> dict[tuple[str, int], int]:
        """Return where a range begins: here always at the first record."""
        return {(topic, partition): 0 for topic in starts for partition in range(_PARTITIONS)}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the ends: everything was read and tracked."""
        return {partition: end for partition, (_, end) in self.bounds(topic).items()}

    def read(self, *names: str, starts: Mapping[tuple[str, int], int] | None = None) -> Iterator[RawRecord]:
        """Make the records of topics; none where reading goes on."""
        for name in names:
            if name in _TOPICS and not starts:
                yield from (record for number in range(self._events) for record in self._of(name, number))

    def _of(self, topic: str, number: int) -> Iterator[RawRecord]:
        offset, partition = divmod(number, _PARTITIONS)
        ms = _FIRST_MS + number * _DAYS * _DAY_MS // self._events
        for at, value in enumerate(self._values(topic, number, ms)):
            place = offset * _TOPICS[topic] + at
            yield RawRecord(topic, partition, place, ms, b"default/u", value, ())

    def _values(self, topic: str, number: int, ms: int) -> tuple[bytes, ...]:
        if topic == topics.EVENTS:
            return (b"{}",)
        if topic == PUSH:
            return (encode(_message(number, ms)),) if number % self._held_every else ()
        return tuple(encode(one) for one in self.outcomes(number, ms))

    def outcomes(self, number: int, ms: int) -> Iterator[Outcome]:
        """Make the outcomes of an event: admitted and sent, or held."""
        if not number % self._held_every:
            yield _outcome(number, Status.HELD, ms)
            return
        yield _outcome(number, Status.ADMITTED, ms)
        yield _outcome(number, Status.SENT, ms + 400)

    def stored(self) -> Iterator[StoredFact]:
        """Make the rows of ClickHouse."""
        for number in range(self._events):
            for outcome in self.outcomes(number, _FIRST_MS):
                yield StoredFact(outcome.outcome_id, outcome.notification_id)


def _origin(number: int) -> Origin:
    return Origin(topics.EVENTS, number % _PARTITIONS, number // _PARTITIONS)


def _outcome(number: int, status: Status, ms: int) -> Outcome:
    notification = ids.digest("n", str(number))
    held = status is Status.HELD
    message = "" if held else ids.digest("m", str(number))
    return Outcome(
        outcome_id=ids.outcome_id(message or notification, status),
        status=status,
        tenant="default",
        user=f"user-{number % 100_000}",
        notification_id=notification,
        message_id=message,
        event_id=f"event-{number}",
        event_type="flight.delayed",
        origin=str(_origin(number)),
        notification="flight_delayed",
        channel="*" if held else "push",
        detail={"due_ms": ms + _DAY_MS, "counter": "user"} if held else {},
        at_ms=ms,
        received_ms=ms,
    )


def _message(number: int, ms: int) -> Message:
    return Message(
        message_id=ids.digest("m", str(number)),
        notification_id=ids.digest("n", str(number)),
        tenant="default",
        user=f"user-{number % 100_000}",
        channel="push",
        target=Target("token"),
        notification="flight_delayed",
        category="service",
        template="flight_delayed",
        data=msgspec.Raw(b'{"flight": "UA1545", "minutes": 17}'),
        locale="en",
        event_id=f"event-{number}",
        event_source="/airlines/UA",
        event_type="flight.delayed",
        event_time_ms=ms,
        received_ms=ms,
        decided_ms=ms,
        origin=_origin(number),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--held", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with Reference() as reference:
        report = measure(options.events, options.held)
    report["reference_loop_ms"] = reference.figures
    print(json.dumps(report) if options.json else "\n".join(f"{k:24} {v}" for k, v in report.items()))


def measure(events: int, held_every: int) -> dict[str, Any]:
    """Audit so many events in windows of a day; making the records is measured apart and taken off."""
    records = Records(events, held_every)
    before_mb, made_us = _memory_mb(), _making_us(records)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        began = _cpu_s()
        reading = Reading(records, Path(folder), Windows(size_ms=_DAY_MS), (), lambda _what, _count: None)
        reading.fill("shard")
        read_s = _cpu_s() - began
        drawn = reading.audit.reconcile(records.stored())
        judged_s = _cpu_s() - began - read_s
        disk_mb = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
    read = events + sum(drawn.statuses.values()) + drawn.statuses[Status.ADMITTED]
    _check(drawn, events)
    return {
        "events": events,
        "records": read,
        "rows_of_clickhouse": sum(drawn.statuses.values()),
        "cpu_us_per_record_read": round(read_s / read * 1e6 - made_us, 2),
        "cpu_us_per_record_judged": round(judged_s / read * 1e6, 2),
        "records_per_s": round(read / (read_s + judged_s - read * made_us / 1e6)),
        "peak_mb": round(_memory_mb()),
        "peak_mb_before": round(before_mb),
        "disk_mb": round(disk_mb),
        "windows": len(drawn.windows),
    }


def _check(drawn: Reconciliation, events: int) -> None:
    if drawn.error or drawn.settled + drawn.held != events:
        sys.exit(f"the audit is wrong: {drawn.sentences()}")


def _making_us(records: Records) -> float:
    """Measure what making a record costs."""
    began, count = time.process_time(), 0
    for number in range(5_000):
        for name in _TOPICS:
            count += len(list(records._of(name, number)))  # noqa: SLF001  # the bench measures its own parts
    return (time.process_time() - began) / count * 1e6


def _cpu_s() -> float:
    return sum(psutil.Process().cpu_times()[:2])


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
