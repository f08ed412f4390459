"""Broadcasts without Kafka: `python -m bench.broadcast [--users N] [--seconds S] [--list-only] [--json]`.

One shard in this process has N users. It decides one event for some of them, then the same event as a
broadcast to all of them, unpaced: CPU microseconds an event and a target, and their ratio. Then it takes the
list of all of them as the gateway's upload writes it, and decides a broadcast to this list: CPU microseconds
a user for the gateway (reading lines, writing records), for the shard (keeping the list), and for the
decision. Then events come at an even rate, in turns alone and beside a broadcast at the default rate: how
long they wait for their decision. Each decision goes through the real decode step, gate, exact store and
outbox, with epochs as `bench.stages` has them.

A million users take some three minutes of CPU, and some 1.5 GB of disk. `--list-only` leaves out the events
and the broadcast to everyone: a million users then take 80 s of CPU, four million 7 minutes, and ten million
at least 17. On a terminal, a bar shows the rate and how long it still takes.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress

from bench.progress import bar
from bench.reference import loop_ms
from bench.stages import BATCH, CATALOG, GROUPS, PARTITIONS, Everyone, Machine, records
from flows.memory import collect_seldom, keep_freed_memory
from flows.timing import FlowTiming
from operators.gate_parts import GateParts, GroupBatch
from operators.pace import UNPACED, Pace, broadcast_pace
from sources.partitioner import key_group_of, partition_of
from tocsin.catalog.loader import load
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import ContactPoint, UserRecord
from tocsin.formats.user_lists import SLICE_USERS, ListPart, closing_records, slice_records
from tocsin.gateway.broadcasts.user_lines import TEXT, UserLines
from tocsin.model import topics
from tocsin.model.broadcast import ORDER_HEADER, REPORT, owner_key
from tocsin.model.broadcast_list import LIST
from tocsin.model.ids import target_id
from tocsin.model.raw import OutRecord, RawRecord

TENANT: Final = "shop"
_EPOCH_TARGETS, _LOADED_AT_ONCE = 3_000, 50_000
_UNPACED: Final = 1_000_000
_PART_BYTES: Final = 65_536
"""Bytes that a server hands over of a body at once."""
_DEFAULT_RATE: Final = 2_000
_EPOCH_S: Final = 0.05
_KINDS = (("email", "a@shop.example"), ("push", "token"), ("inapp", "user"))
_POINTS = tuple(ContactPoint(channel, target_id(address), address) for channel, address in _KINDS)


class Feedback(Everyone):
    """Counts what is published, and keeps what the shard reads again: orders and reports."""

    def __init__(self) -> None:
        super().__init__()
        self.again: list[OutRecord] = []

    def publish(self, records: Sequence[Any]) -> None:
        super().publish(records)
        self.again += [one for one in records if isinstance(one, OutRecord) and one.topic == topics.EVENTS]


class Switch:
    """A pace that is as `within` is."""

    def __init__(self) -> None:
        self.within: Pace = UNPACED

    def begins(self) -> bool:
        return self.within.begins()

    def goes_on(self) -> bool:
        return self.within.goes_on()

    def rest_s(self) -> float:
        return self.within.rest_s()

    def end_epoch(self) -> None:
        self.within.end_epoch()


class Shop(Machine):
    """A shard that has users, and reads its own orders."""

    def __init__(self, folder: Path, cache_users: int, progress: Progress) -> None:
        super().__init__(folder, cache_users, Feedback())
        self._progress = progress
        gate = Gate(load(CATALOG), GatePolicy(partitions=PARTITIONS, key_groups=GROUPS))
        timing = FlowTiming(self.shard, self.clocks, lambda _: True, lambda: datetime.now(UTC), stream=False)
        self.pace = Switch()
        self.parts = GateParts(
            self.shard.key_group, lambda: gate, timing, self.parts.tally, broadcast_pace=self.pace
        )
        self._offset = 0
        self._reports = 0
        for name in (f"{partition}.{group}" for partition in range(PARTITIONS) for group in range(GROUPS)):
            self._group(name).on_batch([GroupBatch(name, [])])

    def load(self, users: int) -> None:
        """Give every user a record as a profile with three contact points leaves it."""
        for number in self._progress.track(range(users), description="loading users"):
            key = f"{TENANT}/u{number:07d}"
            partition, group = partition_of(key.encode(), PARTITIONS), key_group_of(key.encode(), GROUPS)
            record = UserRecord(version=1, contact_points=_POINTS, locale="en", timezone="UTC")
            self.shard.key_group(f"{partition}.{group}").put(key, record)
            if number % _LOADED_AT_ONCE == 0:
                self.epoch()
        self.epoch()
        self.epoch()

    def write(self, topic: str, key: str, **fields: Any) -> None:
        """Read one event as Kafka would give it."""
        partition = partition_of(key.encode(), PARTITIONS)
        self._offset += 1
        value = json.dumps(_event("", self._offset) | fields).encode()
        now_ms = int(time.time() * 1000)
        self.read([RawRecord(topic, partition, self._offset, now_ms, key.encode(), value, ())])

    def broadcast(self, name: str, rate: int, segment: str = "*") -> None:
        """Read a broadcast, and the orders that follow from it."""
        self._reports = 0
        self.write(topics.BULK, owner_key(TENANT, name), id=name, tocsinsegment=segment, tocsinrate=rate)
        self.epoch()
        self.epoch()

    def epoch(self) -> None:
        """Close an epoch and read what it published to the shard itself."""
        super().epoch()
        assert isinstance(self.everyone, Feedback)
        again, self.everyone.again = self.everyone.again, []
        for one in again:
            self._reports += (ORDER_HEADER, REPORT) in one.headers
            self._offset += 1
            now_ms = int(time.time() * 1000)
            raw = RawRecord(one.topic, one.partition, self._offset, now_ms, one.key, one.value, one.headers)
            self.read([raw])

    def take(self, found: Sequence[OutRecord]) -> None:
        """Read records of a list."""
        now_ms = int(time.time() * 1000)
        for one in found:
            self._offset += 1
            raw = RawRecord(one.topic, one.partition, self._offset, now_ms, one.key, one.value, one.headers)
            self.read([raw])

    def uploading(self, users: int) -> Iterator[bytes]:
        """Give the slices of an upload, and show how far it is."""
        task = self._progress.add_task("uploading a list", total=users)
        for names in _slices(users):
            yield names
            self._progress.update(task, advance=names.count(b"\n"))

    def walk(self, users: int, what: str) -> None:
        """Let the newest broadcast walk to its end, as fast as it goes."""
        task, decided, all_decided = self._progress.add_task(what, total=users), 0, 0
        while self.is_walking():
            woken = self.wake()
            decided += woken
            if not woken or decided >= 4 * _EPOCH_TARGETS:
                all_decided += decided
                self._progress.update(task, completed=all_decided / 4)
                decided = 0
                self.epoch()
        self.epoch()

    def is_walking(self) -> bool:
        """Return whether a part of the newest broadcast has not ended."""
        return self._reports < PARTITIONS * GROUPS

    def wake(self) -> int:
        """Wake every key group once, as Bytewax does; return the number of records."""
        count = 0
        with self.stage("walk"):
            for group in self.groups.values():
                for records in group.on_notify()[0]:
                    self.shard.collect(records)
                    count += len(records)
        return count


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare the CPU of events and targets, then of a list, then the wait of events."""
    with bar() as progress:
        shop = Shop(folder, options.cache_users, progress)
        begin = time.perf_counter()
        shop.load(options.users)
        result: dict[str, Any] = {"users": options.users, "load_s": round(time.perf_counter() - begin, 1)}
        collect_seldom()  # as a shard does
        keep_freed_memory()
        if not options.list_only:
            result |= _of_everyone(shop, options)
        result["list"] = _of_list(shop, options.users)
        result["rss_mb_max"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        if not options.list_only:
            result["wait_ms"] = _waits(shop, options)
        shop.shard.close()
    return result | {"reference_loop_ms": loop_ms()}


def _of_everyone(shop: Shop, options: argparse.Namespace) -> dict[str, Any]:
    """Decide events of single users, then one for everyone."""
    event_us, events_per_s = _of_events(shop, options.events, options.users)
    target_us, targets_per_s = _of_targets(shop, options.users)
    return {
        "cpu_us_per_event": event_us,
        "cpu_us_per_target": target_us,
        "targets_to_events": round(event_us / target_us, 2),
        "events_per_s": events_per_s,
        "targets_per_s": targets_per_s,
        "epoch_close_ms_max": round(max(shop.close_ms), 1),
    }


def _of_list(shop: Shop, users: int) -> dict[str, Any]:
    """Upload a list of all users, and decide a broadcast to it. Users lie in it in no order."""
    shop.close_ms.clear()
    shop.broadcast("listed", _UNPACED, LIST)
    part, gateway_s, shard_s, octets = ListPart(TENANT, "/bench", "listed"), 0.0, 0.0, 0
    for number, names in enumerate(shop.uploading(users)):
        begin = time.process_time()
        found = slice_records(part._replace(slice=number), list(_read(names)), PARTITIONS, partition_of)
        gateway_s += time.process_time() - begin
        octets += sum(len(one.value or b"") for one in found)
        begin = time.process_time()
        shop.take(found)
        shop.epoch()
        shard_s += time.process_time() - begin
    upload_ms = max(shop.close_ms)
    shop.take(closing_records(part, PARTITIONS))
    shop.epoch()
    shop.close_ms.clear()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    shop.walk(users, "deciding a list")
    target_us, targets_per_s = _rates(users, time.process_time() - cpu_s, time.perf_counter() - wall_s)
    return {
        "cpu_us_per_user_in_the_gateway": round(gateway_s / users * 1e6, 2),
        "cpu_us_per_user_taken_by_the_shard": round(shard_s / users * 1e6, 2),
        "bytes_per_user_in_kafka": round(octets / users, 1),
        "cpu_us_per_target": target_us,
        "targets_per_s": targets_per_s,
        "epoch_close_ms_max": {"upload": round(upload_ms, 1), "walk": round(max(shop.close_ms), 1)},
    }


def _slices(users: int) -> Iterator[bytes]:
    """Make the lines of an upload, slice after slice."""
    for first in range(0, users, SLICE_USERS):
        numbers = range(first, min(users, first + SLICE_USERS))
        yield "".join(f"u{number * 7_919 % users:07d}\n" for number in numbers).encode()


def _read(body: bytes) -> Iterator[str]:
    """Read ids as the gateway does, in the parts of a body."""
    lines = UserLines(TEXT, "")
    for at in range(0, len(body), _PART_BYTES):
        for found in lines.feed(body[at : at + _PART_BYTES]):
            yield from found
    yield from lines.end()


def _of_events(shop: Shop, events: int, users: int) -> tuple[float, int]:
    """Decide events of users far apart, a hundred a batch."""
    shop.close_ms.clear()
    written = list(records(topics.EVENTS, _events(events, users)))
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for at, batch in enumerate(written):
        shop.read(batch)
        if at % (_EPOCH_TARGETS // BATCH) == 0:
            shop.epoch()
    shop.epoch()
    return _rates(events, time.process_time() - cpu_s, time.perf_counter() - wall_s)


def _events(count: int, users: int) -> Iterator[tuple[str, int, bytes]]:
    now_ms = int(time.time() * 1000)
    for number in range(count):
        user = f"u{number * 7_919 % users:07d}"
        yield user, now_ms, json.dumps(_event(f"e{number}", number) | {"subject": user}).encode()


def _event(event_id: str, order: int) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": event_id, "source": "/bench", "type": "order.shipped"}
    return event | {"tenant": TENANT, "data": {"order": order, "status": "shipped"}}


def _of_targets(shop: Shop, users: int) -> tuple[float, int]:
    """Decide a broadcast to everyone, as fast as it goes."""
    shop.close_ms.clear()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    shop.broadcast("everyone", _UNPACED)
    shop.walk(users, "deciding for everyone")
    return _rates(users, time.process_time() - cpu_s, time.perf_counter() - wall_s)


def _rates(count: int, cpu_s: float, wall_s: float) -> tuple[float, int]:
    return round(cpu_s / count * 1e6, 1), round(count / wall_s)


def _waits(shop: Shop, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Let events come alone and beside a broadcast, in turns."""
    shop.pace.within = broadcast_pace(time.monotonic)
    found: dict[str, list[float]] = {"alone": [], "beside a broadcast": []}
    for turn in range(4):
        beside = turn % 2 == 1
        if beside:
            shop.broadcast(f"slow-{turn}", _DEFAULT_RATE)
        found["beside a broadcast" if beside else "alone"] += waits(shop, options, turn)
        if beside:
            data = {"id": f"slow-{turn}", "action": "cancel"}
            key = owner_key(TENANT, f"slow-{turn}")
            shop.write(topics.EVENTS, key, id=f"end-{turn}", type="tocsin.broadcast", data=data)
            shop.epoch()
            shop.epoch()
    return {name: _summary(sorted(waited)) for name, waited in found.items()}


def _summary(waited: list[float]) -> dict[str, float]:
    return {
        name: round(waited[int(len(waited) * share)], 2)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def waits(shop: Shop, options: argparse.Namespace, turn: int) -> list[float]:
    """Let events come at an even rate, and return how long each waited for its decision, in ms."""
    found: list[float] = []
    begin = closed = time.perf_counter()
    for number in range(int(options.seconds * options.rate)):
        due = begin + number / options.rate
        while (now := time.perf_counter()) < due:
            shop.wake()
            time.sleep(min(0.002, max(0.0, due - now)))
        user = f"u{number * 7_919 % options.users:07d}"
        shop.write(topics.EVENTS, f"{TENANT}/{user}", id=f"w{turn}-{number}", subject=user)
        found.append((time.perf_counter() - due) * 1000)
        if time.perf_counter() - closed > _EPOCH_S:
            closed = time.perf_counter()
            shop.epoch()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.broadcast", description=__doc__)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each of the four turns of events")
    parser.add_argument("--rate", type=int, default=500, help="events a second of these turns")
    parser.add_argument("--cache-users", type=int, default=100_000)
    parser.add_argument("--list-only", action="store_true", help="nothing but the list")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        print(json.dumps(measure(options, Path(folder)), indent=None if options.json else 2))


if __name__ == "__main__":
    main()
