"""The fan-out of one topic over the exact store, without Kafka: `python -m bench.topics --users 1000000`.

Subscribes users to one topic of a shard with 16 partitions, and hands one event to all of them, in epochs as
the flow does. `--kills` ends the process with SIGKILL so many times meanwhile; each time it starts again on
its state directory and on what its recovery store would hold. Then every user must be in the log, with equal
bytes if more than once.
"""

import argparse
import json
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import psutil

from operators.fan_out import FanOutLogic
from operators.fan_out_parts import EpochQuota, FanOutParts, FanOutTally
from operators.gate_parts import GateInput, GroupBatch
from tocsin.app.examples import example_catalog
from tocsin.catalog.loader import load
from tocsin.decision.fan_out import FanOutPolicy
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec
from tocsin.formats.forwarded import marks_of, rewritten
from tocsin.model import topics
from tocsin.model.broadcast import ORDER_HEADER
from tocsin.model.event import Event, Origin
from tocsin.model.raw import OutRecord, RawRecord, packed, unpacked, unpacked_1
from tocsin.model.subscription import COPY, SubscriptionChange
from tocsin.store import Identity, Shard
from tocsin.store.keys import rows_key
from tocsin.store.outbox import Form

PARTITIONS = 16
NOW_MS = 1_780_000_000_000
LOADED_AN_EPOCH = 4_000
TOPIC = "flight/2026-05-28/UA-1545"
DAY_MS = 86_400_000
_RAW = RawRecord("subscriptions", 0, 0, NOW_MS, None, None, ())


class Options(NamedTuple):
    """What to run."""

    users: int
    folder: Path


class LogFile:
    """Stands for Kafka: a file of user and checksum of each record that subscribers got.

    A file has what was written to it, also after SIGKILL.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def publish(self, records: Sequence[OutRecord]) -> None:
        events = (one for one in records if one.topic == topics.EVENTS and len(one.headers) == 1)
        lines = [b"%s %d\n" % (one.key, crc32(one.value or b"")) for one in events]
        if lines:
            self._file.write(b"".join(lines))

    def confirm(self, timeout_s: float) -> None:
        """All is written."""

    def close(self) -> None:
        self._file.close()


class Timing:
    """Time that stands still, outside the gap."""

    def fire_until(self, partition: int) -> int:
        return NOW_MS

    def in_gap(self) -> bool:
        return False

    def utc_now(self) -> datetime:
        return datetime.fromtimestamp(NOW_MS / 1000, UTC)


class Process:
    """One start on a state directory; `stored` is what Bytewax's recovery store would hold."""

    def __init__(self, options: Options) -> None:
        self._file = options.folder / "store"
        stored = pickle.loads(self._file.read_bytes()) if self._file.exists() else {}
        self.log = LogFile(options.folder / "log")
        self.shard = Shard.open(
            options.folder / "shard",
            identity=Identity(cluster="bench", topics={}, partitions=PARTITIONS, key_groups=1),
            codec=RecordCodec(),
            cache_users=1_000,
            publish=self.log,
            form=Form(packed, unpacked, unpacked_1),
        )
        self.shard.resume(stored.get("epoch"))
        self.shard.outbox_resume(stored.get("outbox"))
        gate = Gate(load(example_catalog()), GatePolicy())
        policy = FanOutPolicy(PARTITIONS, DAY_MS, 2 * DAY_MS)
        quota = EpochQuota(lambda: False)
        parts = FanOutParts(self.shard.rows, lambda: gate, policy, Timing(), quota, FanOutTally(), Counter())
        keys = map(rows_key, range(PARTITIONS))
        self._logics = {key: FanOutLogic(stored.get(key), parts) for key in keys}
        self.given: int = stored.get("given", 0)
        self.close_ms: list[float] = []
        self.shard.durable()

    def give(self, partition: int, inputs: list[GateInput]) -> None:
        key = rows_key(partition)
        self._collect(self._logics[key].on_batch([GroupBatch(key, inputs)]))

    def fan_out(self) -> bool:
        """Take the turns of one epoch; return whether an event is still open."""
        while sum(self._collect(logic.on_notify()) for logic in self._logics.values()):
            continue
        return any(logic.notify_at() for logic in self._logics.values())

    def _collect(self, result: tuple[list[list[Any]], bool]) -> int:
        for records in result[0]:
            self.shard.collect(records)
        return len(result[0])

    def epoch(self) -> None:
        """End an epoch as Bytewax does: all rows at once, then the news that they are on disk."""
        begun = time.perf_counter()
        row: dict[str, Any] = {"epoch": self.shard.closing(), "given": self.given}
        row |= {key: logic.snapshot() for key, logic in self._logics.items()}
        row["outbox"] = self.shard.outbox_snapshot()
        new = self._file.with_suffix(".new")
        new.write_bytes(pickle.dumps(row))
        new.rename(self._file)
        self.close_ms.append((time.perf_counter() - begun) * 1000)
        self.shard.durable()


def user(number: int) -> str:
    return f"user{number:07d}"


def subscription(number: int) -> GateInput:
    change = SubscriptionChange("default", TOPIC, user(number), subscribed=True)
    return GateInput(NOW_MS, "", change, _RAW)


def copy() -> GateInput:
    """Build the event as each partition reads it."""
    data = msgspec.Raw(b'{"gate":"A14","flight":{"number":"UA 1545","origin":{"code":"JFK"}}}')
    event = Event(
        tenant="default", id="gate-1", source="/ops", type="flight.gate_changed", user="", time_ms=NOW_MS,
        data=data, origin=Origin(topics.EVENTS, 0, 0), received_ms=NOW_MS, topic=TOPIC,
    )  # fmt: skip
    raw = rewritten(event)
    return GateInput(NOW_MS, "", event, raw._replace(headers=(*marks_of(raw), (ORDER_HEADER, COPY))))


def work(options: Options) -> dict[str, float]:
    """Subscribe everybody and fan one event out, from where the last process ended."""
    process = Process(options)
    begun = time.perf_counter()
    while process.given < options.users:
        numbers = range(process.given, min(options.users, process.given + LOADED_AN_EPOCH))
        for partition in range(PARTITIONS):
            process.give(partition, [subscription(n) for n in numbers if n % PARTITIONS == partition])
        process.given = numbers.stop
        process.epoch()
    loaded = time.perf_counter()
    process.close_ms.clear()
    if process.given == options.users:
        for partition in range(PARTITIONS):
            process.give(partition, [copy()])
        process.given += 1
    cpu_s = time.process_time()
    while process.fan_out():
        process.epoch()
    process.epoch()
    process.epoch()
    ended, cpu_s = time.perf_counter(), time.process_time() - cpu_s
    process.shard.finish()
    process.shard.close()
    process.log.close()
    close = sorted(process.close_ms)
    return {
        "subscriptions_per_s": round(options.users / (loaded - begun)),
        "users_per_s": round(options.users / (ended - loaded)),
        "cpu_us_per_user": round(cpu_s / options.users * 1e6, 1),
        "epoch_close_p50_ms": round(close[len(close) // 2], 1),
        "epoch_close_p99_ms": round(close[int(len(close) * 0.99)], 1),
        "rss_mb": round(psutil.Process().memory_info().rss / 1e6),
    }


def judge(options: Options) -> dict[str, int]:
    """Compare the log with the users: each at least once, copies equal."""
    lines = Counter((options.folder / "log").read_bytes().splitlines())
    users = {line.split()[0] for line in lines}
    expected = {f"default/{user(number)}".encode() for number in range(options.users)}
    return {
        "missing": len(expected - users),
        "unexpected": len(users - expected),
        "differing_copies": len(lines) - len(users),
        "equal_copies": lines.total() - len(lines),
    }


def killed(command: list[str], kills: int, options: Options) -> int:
    """Run the command until it ends by itself, after this many kills at random moments; return the kills."""
    done, dice = 0, random.Random(1)
    while True:
        size = _size(options)
        process = subprocess.Popen(command)
        while (
            done < kills and process.poll() is None and _size(options) < size + dice.randrange(1, 4_000_000)
        ):
            time.sleep(0.02)
        if done == kills or process.poll() is not None:
            process.wait()
            return done
        process.send_signal(signal.SIGKILL)
        process.wait()
        done += 1


def _size(options: Options) -> int:
    log = options.folder / "log"
    return log.stat().st_size if log.exists() else 0


def main() -> None:
    """Run it, in processes of its own."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--users", type=int, default=200_000)
    arguments.add_argument("--kills", type=int, default=0)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.work:
        (given.work / "figures").write_text(json.dumps(work(Options(given.users, given.work))))
        return
    folder = Path(tempfile.mkdtemp(prefix="tocsin-topics-"))
    options = Options(given.users, folder)
    command = [sys.executable, "-m", "bench.topics", "--users", str(given.users), "--work", str(folder)]
    try:
        kills = killed(command, given.kills, options)
        figures = json.loads((folder / "figures").read_text())
        found = {"users": given.users, "kills": kills, **judge(options)} | ({} if kills else figures)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found) if given.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
    sys.exit(bool(found["missing"] or found["unexpected"] or found["differing_copies"]))


if __name__ == "__main__":
    main()
