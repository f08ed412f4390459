"""Records read and filtered a second by a replay: `python -m bench.replay [--json] [--records N]`.

Dead letters, events and outcomes lie in the embedded broker, or in the one that TOCSIN_KAFKA names. Each is
read by the code of `tocsin replay` itself. Dead letters are half events and half messages; one in ten is what
is asked for. The last figure is how fast all dead letters are written again.
"""

import argparse
import json
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from bench.reference import Reference
from sources.replays.planning import index_of, plan, spans_of
from sources.replays.replay import Replaying, Scan
from sources.replays.selection import Selection
from sources.replays.spans import SpanReader, calm_collector
from sources.replays.state import ReplayState, StateFolder
from sources.replays.superseded import Superseded
from sources.replays.writer import ReplayWriter
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.settings import environment
from tocsin.devkit.servers import KAFKA, Servers
from tocsin.formats.codec import dead_letter, encode
from tocsin.model import topics
from tocsin.model.event import Origin
from tocsin.model.ids import digest
from tocsin.model.message import Message, Target
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason

_PARTITIONS = 4
_QUEUED = 50_000
_DATA = {"flight": {"number": "B6 117", "origin": "JFK", "destination": "MSY"}, "delay_minutes": 75}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        kafka = environment().get("TOCSIN_KAFKA")
        if kafka is None:
            kafka = stack.enter_context(Servers(folder, {KAFKA})).settings["TOCSIN_KAFKA"]
        report = Bench(kafka, folder).measure(options.records)
    print(json.dumps(report) if options.json else "\n".join(f"{k:28} {v}" for k, v in report.items()))


class Bench:
    """Topics of one run, and what is measured on them."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self._kafka = kafka
        self._folder = StateFolder(folder / "replays")
        self._prefix = f"bench-{uuid.uuid4().hex[:8]}."
        TopicAdmin(kafka, self._prefix).create(TopicPlan(_PARTITIONS))

    def measure(self, count: int) -> dict[str, Any]:
        """Fill the topics and read them in every way."""
        self._fill(count)
        dead = Selection(what="dead", reasons=(Reason.UNKNOWN_USER,), outcomes=False)
        events = Selection(what="events", tenants=("rare",), outcomes=False)
        by_outcome = Selection(what="events", reasons=(Reason.LIMIT,), notifications=("n1",))
        with calm_collector(), Reference() as reference:
            figures = (
                self._read("dead", dead, count)
                | self._read("dead_with_outcomes", msgspec.structs.replace(dead, outcomes=True), 2 * count)
                | self._read("events", events, count)
                | self._read("events_by_outcome", by_outcome, 2 * count)
                | self._write(count)
            )
        return {"records": count, **figures, "reference_ms": reference.figures}

    def _fill(self, count: int) -> None:
        producer = Producer({"bootstrap.servers": self._kafka, "linger.ms": 20, "compression.type": "lz4"})
        for make in (letter, event, outcome):
            for number in range(count):
                topic, key, value, headers = make(number)
                _wait_for_room(producer)
                producer.produce(
                    self._prefix + topic, value, key, partition=number % _PARTITIONS, headers=headers
                )
        assert producer.flush(120) == 0, "the broker takes what the bench writes"

    def _reader(self) -> SpanReader:
        return SpanReader(self._kafka, self._prefix)

    def _state(self, selection: Selection) -> ReplayState:
        with self._reader() as reader:
            spans, outcomes = spans_of(reader, selection, [])
        return ReplayState(
            id="bench", created_ms=int(time.time() * 1000), kafka=self._kafka, prefix=self._prefix,
            partitions=_PARTITIONS, selection=selection, rate=0, spans=spans, outcome_spans=outcomes,
        )  # fmt: skip

    def _read(self, name: str, selection: Selection, count: int) -> dict[str, float]:
        state = self._state(selection)
        with self._reader() as reader, self._reader() as beside:
            clock = Clock()
            found = plan(reader, beside, state, index_of(reader, state))
            figures = clock.figures(name, count)
        assert 0 < found.chosen < found.read, "some records are what is asked for"
        return figures

    def _write(self, count: int) -> dict[str, float]:
        state = self._state(Selection(what="dead", outcomes=False))
        with self._reader() as reader, self._reader() as beside:
            scan = Scan(reader, state.selection, None, Superseded(beside))
            writer = ReplayWriter(self._kafka, self._prefix)
            clock = Clock()
            done = Replaying(scan, beside, writer, self._folder, state).run()
            figures = clock.figures("written", count)
        assert done.written == count, "every dead letter is written again"
        return figures


class Clock:
    """Times one measurement: by the wall, and the CPU of this process with all its threads."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def figures(self, name: str, count: int) -> dict[str, float]:
        """Return records a second, and the CPU of a record in microseconds."""
        wall_s, cpu_s = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        return {f"{name}_per_s": round(count / wall_s), f"{name}_cpu_us": round(cpu_s / count * 1e6, 1)}


Record = tuple[str, bytes, bytes, list[tuple[str, str | bytes | None]]]


def event(number: int) -> Record:
    """Write an event; one in ten is of the tenant `rare`."""
    tenant = "rare" if number % 10 == 0 else "default"
    document = {
        "specversion": "1.0", "id": f"e{number}", "source": "/bench", "type": "flight.delayed",
        "subject": f"u{number % 5000}", "tenant": tenant, "time": "2026-01-01T00:00:00Z", "data": _DATA,
    }  # fmt: skip
    return topics.EVENTS, f"{tenant}/u{number % 5000}".encode(), json.dumps(document).encode(), []


def letter(number: int) -> Record:
    """Write a dead letter: of an event, or of a message; one in ten for `unknown_user`."""
    _, key, value, _ = event(number)
    topic, stage, reason = topics.EVENTS, "gate", Reason.BAD_EXPRESSION
    if number % 10 == 0:
        reason = Reason.UNKNOWN_USER
    elif number % 2:
        topic, stage, reason = topics.messages("email"), "deliver", Reason.RENDER_ERROR
        value = encode(message(number))
    raw = RawRecord(topic, number % _PARTITIONS, number // _PARTITIONS, 1_767_225_600_000, key, value, ())
    made = dead_letter(raw, stage, reason, "data: a field is missing; send it")
    headers: list[tuple[str, str | bytes | None]] = list(made.headers)
    return topics.DEAD, key, value, headers


def message(number: int) -> Message:
    """Make a message of an event."""
    return Message(
        message_id=digest("m", str(number)), notification_id=digest("n", str(number)), tenant="default",
        user=f"u{number % 5000}", channel="email", target=Target(f"u{number % 5000}@mail.example"),
        notification=f"n{number % 7}", category="updates", template="plain",
        data=msgspec.Raw(json.dumps(_DATA).encode()), locale="en", event_id=f"e{number}",
        event_source="/bench", event_type="flight.delayed", event_time_ms=1_767_225_600_000,
        received_ms=1_767_225_600_000, decided_ms=1_767_225_600_000,
        origin=Origin(topics.EVENTS, number % _PARTITIONS, number // _PARTITIONS),
    )  # fmt: skip


def outcome(number: int) -> Record:
    """Write the outcome of an event: most were suppressed by a limit."""
    status, reason = ("sent", "") if number % 3 == 0 else ("suppressed", Reason.LIMIT.value)
    made = Outcome(
        outcome_id=digest("o", str(number)), status=status, tenant="default", user=f"u{number % 5000}",
        notification_id=digest("n", str(number)),
        origin=f"events/{number % _PARTITIONS}/{number // _PARTITIONS}",
        notification=f"n{number % 7}", reason=reason, at_ms=1_767_225_600_000,
    )  # fmt: skip
    return topics.OUTCOMES, f"default/u{number % 5000}".encode(), encode(made), []


def _wait_for_room(producer: Producer) -> None:
    producer.poll(0)
    while len(producer) > _QUEUED:
        producer.poll(0.05)


if __name__ == "__main__":
    main()
