"""A morning on which very many holds are due at once: `python -m bench.morning [--json] [--holds N]`.

Quiet hours of all users end at one minute. Before it, so many notifications of as many users are held, the
shards start anew, and other users get critical notifications at an even rate, which pass quiet hours. Printed
is how long these took from Kafka to Kafka before the minute and while the holds were decided, and how long
the ends of epochs took, each beside its target. Printed is also how long Kafka took to acknowledge these
events, how busy the machine was, and which part took the CPU: on a full machine Kafka itself makes them
late. The minute is chosen by how fast profiles were loaded.

Runs on the broker in TOCSIN_KAFKA, else on Apache Kafka where Java is there, else on the embedded broker
(always with `--embedded`). To read a record costs the embedded one more CPU the more it holds: with a million
holds up to a core and more, which shards on two cores then lack.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import yaml
from rich.console import Console
from rich.progress import Progress, TaskID

from bench.cpu import cpu_by_part, us_an_item
from bench.deliver.worker import percentiles
from bench.fleet import ZONE, Feeder, Record, Shards, prepare, profiles, write_catalog
from bench.reference import Reference
from bench.targets import Target, told
from sources.reader import TopicReader
from tocsin.app.settings import environment
from tocsin.devkit.kafka_jars import java
from tocsin.devkit.processes import StartError
from tocsin.devkit.servers import APACHE_KAFKA, REDIS
from tocsin.formats.codec import decode_outcome
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status

_NOTIFICATIONS = """
briefing:
  on: {type: day.planned}
  category: orders
  channels: [email]
  template: welcome
alarm:
  on: {type: alarm.raised}
  category: orders
  priority: critical
  channels: [email]
  template: welcome
"""
_APACHE, _EMBEDDED = "apache", "embedded"
_WATCHERS = 10_000
"""Users who get critical notifications, beside those who wait for the morning."""
_BEFORE_S = 25.0
"""Between the start of the shards that are measured and the minute: some are to warm up, the rest counts."""
_HOLDS_PER_PROFILE = 0.4
"""A hold takes 1.5 to 2 times as long as a profile; the rest is a margin."""
_RESTART_S = 15.0
_COUNTED_S = 15.0
_PATIENCE_S = 900.0
_SLICE_S = 0.005
_STALL_S = 60.0


class Morning:
    """One run: its users, its minute, and what the shards say."""

    def __init__(self, folder: Path, options: argparse.Namespace, stack: ExitStack, console: Console) -> None:
        self._options, self._console = options, console
        self.users = options.holds + _WATCHERS
        self.due = _next_minute(datetime.now(UTC))
        self._broker = _broker(options, console)
        want = {REDIS, *([APACHE_KAFKA] if self._broker == _APACHE else [])}
        catalog = self._catalog = write_catalog(
            folder / "catalog", _NOTIFICATIONS, "offer", {"email": ["none"]}, limits=False
        )
        epoch_ms = str(options.epoch_ms)
        self.settings, self._env = prepare(
            folder, want, stack, TOCSIN_CATALOG=str(catalog), TOCSIN_EPOCH_MS=epoch_ms
        )
        self._feeder = Feeder(self.settings, linger_ms=20, once=True)
        # One for all alarms: at first a producer waits up to a second for its id.
        self._alarm_feeder = Feeder(self.settings, linger_ms=0, once=True)
        self._alarms = 0

    def run(self) -> dict[str, Any]:
        """Hold, start anew, and measure from before the minute until all is decided."""
        loaded_s = self._load()
        margin_s = _RESTART_S + _BEFORE_S
        wait_s = self._options.load_s or margin_s + loaded_s / _HOLDS_PER_PROFILE
        self.due = _next_minute(datetime.now(UTC) + timedelta(seconds=wait_s))
        _set_hours(self._catalog, self.due)
        held_s = self._hold()
        if self._left_s() < _BEFORE_S:
            sys.exit(f"held after {held_s:.0f} s, too late for the minute: raise --load-s")
        time.sleep(self._left_s() - _BEFORE_S)
        shards = self._shards()
        try:
            with Reference() as reference:
                figures = self._pass(shards)
        finally:
            shards.stop()
        report = {
            "holds": self._options.holds,
            "broker": self._broker,
            "loaded_per_s": round(self.users / loaded_s),
            "held_per_s": round(self._options.holds / held_s),
            **figures,
            **self._latencies(),
            "reference_loop_ms": reference.figures,
        }
        return {**report, "targets": _targets(report)}

    def _load(self) -> float:
        """Load the profiles; return the seconds it took."""
        began = time.monotonic()
        shards = self._shards()
        try:
            self._write(profiles(self.users))
            self._await(shards, "profiles", self.users)
        finally:
            shards.stop()
        return time.monotonic() - began

    def _hold(self) -> float:
        """Hold a notification of each user but the watchers; return the seconds it took."""
        began = time.monotonic()
        shards = self._shards()
        try:
            self._write(_events("day.planned", range(self._options.holds)))
            self._await(shards, "events", self._options.holds)
            held_s = time.monotonic() - began
            time.sleep(2)  # the last epoch
        finally:
            shards.stop()
        return held_s

    def _pass(self, shards: Shards) -> dict[str, Any]:
        """Write critical events until all holds are decided; return what the epochs took."""
        self._play(lambda: self._left_s() <= _COUNTED_S)
        psutil.cpu_percent()
        self._play(lambda: self._left_s() <= 1.0)
        before, used_s, rss = shards.metrics(), cpu_by_part(), shards.rss_mb()
        busy = [psutil.cpu_percent()]
        with Progress(console=self._console, transient=True) as progress:
            task = progress.add_task("deciding holds", total=self._options.holds)
            self._play(Decided(self._options.holds, lambda: self._decided(shards), progress, task).all)
        busy.append(psutil.cpu_percent())
        took_s = -self._left_s()
        after = shards.metrics()
        return {
            "decided_in_s": round(took_s, 1),
            "decided_per_s": round(self._options.holds / took_s),
            "cpu_us_per_hold": us_an_item(used_s, cpu_by_part(), self._options.holds),
            "rss_mb_largest_shard": [round(rss), round(shards.rss_mb())],
            "machine_busy_percent": dict(zip(("before", "within"), busy, strict=True)),
            "epoch_close_max_ms": {"before": _longest(before), "with_the_morning": _longest(after)},
            "epoch_close_p99_ms": after.get("tocsin_epoch_close_ms|0.99", 0),
        }

    def _decided(self, shards: Shards) -> float:
        """Count the briefings that went out: all that was admitted, without the alarms."""
        told = shards.metrics()
        admitted = told.get("tocsin_decisions_total|email||admitted", 0.0)
        return admitted - told.get("tocsin_records_total|events", 0.0)

    def _play(self, enough: Callable[[], bool]) -> None:
        """Write critical events at the rate until it is enough, which is asked once a second."""
        feeder, begun, written = self._alarm_feeder, time.monotonic(), 0
        while True:
            due = round((time.monotonic() - begun) * self._options.rate)
            own = (self._options.holds + each % _WATCHERS for each in range(written, due))
            for record in _events("alarm.raised", own, self._alarms + written):
                feeder.write_timed(record)
            if due // self._options.rate > written // self._options.rate and enough():
                break
            if due > _PATIENCE_S * self._options.rate:
                sys.exit(f"the holds were not decided within {_PATIENCE_S:.0f} s of the minute")
            written = due
            time.sleep(_SLICE_S)
        self._alarms += due
        feeder.flush()

    def _latencies(self) -> dict[str, Any]:
        """Read all outcomes: how long alarms took, before the minute and while briefings went out."""
        due_ms = round(self.due.timestamp() * 1000)
        alarms: list[tuple[int, int]] = []
        last_ms, counts = due_ms, Counter[str]()
        with TopicReader(self.settings.kafka, self.settings.topic_prefix, {}) as reader:
            for record in reader.read(topics.OUTCOMES):
                outcome = decode_outcome(record)
                counts[f"{outcome.notification} {outcome.status}"] += 1
                if outcome.notification == "alarm":
                    alarms.append((outcome.received_ms, record.timestamp_ms - outcome.received_ms))
                elif _is_sent(outcome):
                    last_ms = max(last_ms, record.timestamp_ms)
        quiet_ms = due_ms - round(_COUNTED_S * 1000)
        before = [took for at_ms, took in alarms if quiet_ms <= at_ms < due_ms - 1_000]
        within = [took for at_ms, took in alarms if due_ms <= at_ms < last_ms]
        return {
            "alarm_ms_before": percentiles(before or [0]),
            "alarm_ms_within": percentiles(within or [0]),
            "alarms": [len(before), len(within)],
            "kafka_ack_ms": {
                "before": percentiles(self._acks_within(quiet_ms, due_ms - 1_000)),
                "within": percentiles(self._acks_within(due_ms, last_ms)),
            },
            "outcomes": dict(sorted(counts.items())),
        }

    def _acks_within(self, from_ms: int, until_ms: int) -> list[float]:
        return [took_ms for at_ms, took_ms in self._alarm_feeder.acks if from_ms <= at_ms < until_ms] or [0.0]

    def _left_s(self) -> float:
        return (self.due - datetime.now(UTC)).total_seconds()

    def _shards(self) -> Shards:
        return Shards(self.settings, self._env, self._options.shards, "decide")

    def _write(self, records: Iterator[Record]) -> None:
        for record in records:
            self._feeder.write(record)
        self._feeder.flush()

    def _await(self, shards: Shards, topic: str, count: int) -> None:
        with Progress(console=self._console, transient=True) as progress:
            task, read, moved_s = progress.add_task(f"deciding {topic}", total=count), 0.0, time.monotonic()
            while read < count:
                time.sleep(0.5)
                if problems := shards.problems():
                    sys.exit("\n".join(problems))
                before, read = read, shards.metrics().get(f"tocsin_records_total|{topic}", 0.0)
                moved_s = time.monotonic() if read != before else moved_s
                if time.monotonic() - moved_s > _STALL_S:
                    cure = "the broker holds no more: fewer --holds, or Apache Kafka"
                    sys.exit(
                        f"{read:.0f} of {count} {topic} were read, and no more for {_STALL_S:.0f} s; {cure}"
                    )
                progress.update(task, completed=read)


class Decided:
    """Shows how many holds are decided, and gives up where no more are.

    Args:
        holds: all of them.
        count: asks how many are decided.
        progress: shows them as this task.
        task: of the progress.
    """

    def __init__(self, holds: int, count: Callable[[], float], progress: Progress, task: TaskID) -> None:
        self._holds, self._count = holds, count
        self._progress, self._task = progress, task
        self._most, self._moved_s = -1.0, time.monotonic()

    def all(self) -> bool:
        """Ask whether all are decided."""
        found = self._count()
        if found > self._most:
            self._most, self._moved_s = found, time.monotonic()
        if time.monotonic() - self._moved_s > _STALL_S:
            sys.exit(f"{self._most:.0f} of {self._holds} holds were decided, no more for {_STALL_S:.0f} s")
        self._progress.update(self._task, completed=found)
        return found >= self._holds


def _broker(options: argparse.Namespace, console: Console) -> str:
    """Choose a broker, and say so where Apache Kafka was wanted and cannot be started."""
    if "TOCSIN_KAFKA" in environment():
        return "TOCSIN_KAFKA"
    if options.embedded:
        return _EMBEDDED
    try:
        java()
    except StartError as error:
        console.print(f"{error}. So this runs on the embedded broker.")
        return _EMBEDDED
    return _APACHE


def _next_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _set_hours(catalog: Path, due: datetime) -> None:
    """Let the quiet hours of a catalog, in the users' zone, have begun hours ago and end at the minute."""
    file = catalog / "tenants" / "default.yaml"
    local = due.astimezone(ZONE)
    hours = {"start": f"{local - timedelta(hours=6):%H:%M}", "end": f"{local:%H:%M}"}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "quiet_hours": hours}))


def _targets(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    before, within, holds = (
        report["alarm_ms_before"]["p99"],
        report["alarm_ms_within"]["p99"],
        report["holds"],
    )
    decided = report["outcomes"].get("briefing admitted", 0)
    return told(
        {
            "epoch_close_max_ms": Target(report["epoch_close_max_ms"]["with_the_morning"], at_most=200),
            "alarm_p99_within_to_before": Target(round(within / max(before, 0.1), 2), at_most=2),
            "holds_decided": Target(decided, at_least=holds, at_most=holds),
        }
    )


def _events(kind: str, users: Iterator[int] | range, first: int = 0) -> Iterator[Record]:
    """Make an event for each user, numbered from `first`."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    for number, user in enumerate(users, first):
        event = (
            f'{{"specversion":"1.0","id":"{number}","source":"/bench","type":"{kind}","subject":"u{user}",'
            f'"time":"{now}","data":{{"order":"A-{number}","items":3,"carrier":"UPS"}}}}'
        )
        yield topics.EVENTS, f"default/u{user}".encode(), event.encode()


def _is_sent(outcome: Outcome) -> bool:
    return outcome.notification == "briefing" and outcome.status == Status.ADMITTED


def _longest(told: dict[str, float]) -> float:
    return round(told.get("tocsin_epoch_close_ms|1.0", 0.0), 1)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.morning", description=__doc__)
    parser.add_argument("--holds", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=500, help="critical events a second")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--epoch-ms", type=int, default=50)
    parser.add_argument("--load-s", type=float, default=0, help="time for holding; by default by --holds")
    parser.add_argument("--embedded", action="store_true", help="the embedded broker, not Apache Kafka")
    parser.add_argument("--json", action="store_true")
    return parser


def main() -> None:
    options = _arguments().parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        report = Morning(folder, options, stack, Console(stderr=True)).run()
    print(json.dumps(report) if options.json else "\n".join(f"{k:24} {v}" for k, v in report.items()))


if __name__ == "__main__":
    main()
