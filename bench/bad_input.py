"""A million mutated records through the decoder: `python -m bench.bad_input [--json] [--records N]`.

Real records (the demo's events and profiles, in both CloudEvents modes, receipts and retries) are broken one
to three times each: bytes flipped, cut and doubled, fields dropped, swapped and given other types, bad UTF-8,
deep nesting, huge numbers, odd keys and headers. Each must end in exactly one place: as a key group's input,
on its way to its user's partition, or as one dead letter with a reason and one outcome. What is accepted is
held against Python's own JSON parser. Prints the counts, and the rates of whole and of broken records; exit
code 1 on any fault.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import track

from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from operators.gate_parts import GateInput, GroupBatch
from sources.clocks import PartitionClocks
from sources.decode_errors import DecodeErrorLimit, DecodeErrorPolicy
from sources.partitioner import partition_of
from tocsin.decision.suppressions import AddressReport
from tocsin.devkit.demo_data import DemoData
from tocsin.devkit.flights import chosen_days
from tocsin.formats.cloudevents import EventLimits
from tocsin.formats.codec import ProfileChange, encode, read_dead_letter
from tocsin.model import topics
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message, Retry, Target
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

PARTITIONS, KEY_GROUPS, BATCH = 8, 16, 500
NOW_MS = 1_767_225_600_000
REASONS = frozenset(Reason) - {Reason.NONE}
FRAGMENTS = (
    b"\xff", b"\xc3\x28", b"\\ud800", b"\\u0000", b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"null",
    b"{}", b"[]", b'""', b'"', b"{", b"}", b",", b":", b"\x00", b"true", b"-1", b"1.5", b"[" * 1_200, b"/",
    b"\xef\xbb\xbf", b'"id":', b'"data":', b'"tenant":"a/b",', b'"specversion":"2.0",',
    b'"time":"9999-12-31T23:59:60-23:59",',
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 1.5, 10**30, "", " ", "a/b", "\x00", "x" * 2_000, "2013-02-30T00:00:00Z",
    "1969-12-31T00:00:00Z", [], {}, [[[]]], {"email": "no address"}, {"email": "ann@mail.example"}, "+00",
    "1.0", "2.0",
)  # fmt: skip
HEADERS = (
    ("ce_id", b"\xff"), ("ce_specversion", b"1.0"), ("content-type", b"application/cloudevents-batch+json"),
    ("content-type", b"text/plain"), ("tocsin-origin", b"events/x/y"), ("trace", b"00-ab-cd-01"), ("", b""),
)  # fmt: skip


class Sample(NamedTuple):
    """A whole record before it is broken."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def samples() -> list[Sample]:
    """Some thousands of real records of every topic the decoder reads."""
    data = DemoData(chosen_days(1), 500, seed=2013)
    found = [Sample(topics.PROFILES, record.key, record.value) for record in data.profiles()]
    events = [Sample(topics.EVENTS, record.key, record.value) for record in data.events()]
    whole = [sample for sample in events if _object(sample.value)]
    return [*whole, *found, *map(_binary, whole[:500]), *_receipts(200), *_retries(200)]


def _object(value: bytes | None) -> dict[str, Any]:
    """Read a JSON object as Python does, {} if it is none."""
    try:
        read = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _binary(sample: Sample) -> Sample:
    event = _object(sample.value)
    data = json.dumps(event.pop("data", {})).encode()
    headers = tuple(
        (f"ce_{name}", str(text).encode()) for name, text in event.items() if isinstance(text, str)
    )
    return Sample(sample.topic, sample.key, data, headers)


def _receipts(count: int) -> Iterator[Sample]:
    for number in range(count):
        receipt = ReceiptEvent(
            tenant="default", user=f"u{number}", kind="delivered", message_id=f"m{number}",
            notification_id=f"n{number}", channel="sms", target="t", at_ms=NOW_MS,
        )  # fmt: skip
        yield Sample(topics.RECEIPTS, f"default/u{number}".encode(), encode(receipt))


def _retries(count: int) -> Iterator[Sample]:
    for number in range(count):
        message = Message(
            message_id=f"m{number}", notification_id=f"n{number}", tenant="default", user=f"u{number}",
            channel="sms", target=Target(address="+14155552671"), notification="flight_cancelled",
            category="flight_updates", template="flight_cancelled", data=msgspec.Raw(b'{"flight":"UA 1"}'),
            locale="en", event_id=f"e{number}", event_source="/bench", event_type="flight.cancelled",
            event_time_ms=NOW_MS, received_ms=NOW_MS, decided_ms=NOW_MS, origin=Origin("events", 0, number),
        )  # fmt: skip
        retry = Retry(message=message, reason="transient", due_ms=NOW_MS + 30_000)
        yield Sample(topics.RETRIES, f"default/u{number}".encode(), encode(retry))


class Mutator:
    """Breaks records; the same seed breaks them the same way."""

    def __init__(self, whole: Sequence[Sample], seed: int) -> None:
        self._whole = whole
        self._chance = random.Random(seed)
        self._ways: tuple[Callable[[Sample], Sample], ...] = (
            self._bytes, self._bytes, self._field, self._field, self._cut, self._doubled, self._key,
            self._headers, self._other_topic,
        )  # fmt: skip

    def record(self, offset: int) -> RawRecord:
        """Make one broken record."""
        sample = self._chance.choice(self._whole)
        for _ in range(self._chance.randint(1, 3)):
            sample = self._chance.choice(self._ways)(sample)
        partition = partition_of(sample.key or b"", PARTITIONS)
        return RawRecord(sample.topic, partition, offset, NOW_MS, sample.key, sample.value, sample.headers)

    def _bytes(self, sample: Sample) -> Sample:
        value = sample.value or b""
        start = self._chance.randint(0, len(value))
        end = self._chance.randint(start, min(len(value), start + 12))
        return sample._replace(value=value[:start] + self._chance.choice(FRAGMENTS) + value[end:])

    def _field(self, sample: Sample) -> Sample:
        fields = _object(sample.value)
        if not fields:
            return self._bytes(sample)
        name = self._chance.choice(list(fields))
        if self._chance.random() < 0.3:
            del fields[name]
        else:
            fields[name] = self._chance.choice((*VALUES, self._chance.choice(list(fields.values()))))
        return sample._replace(value=json.dumps(fields).encode())

    def _cut(self, sample: Sample) -> Sample:
        value = sample.value or b""
        return sample._replace(value=value[: self._chance.randint(0, len(value))] or None)

    def _doubled(self, sample: Sample) -> Sample:
        value = sample.value or b""
        middle = self._chance.randint(0, len(value))
        return sample._replace(value=value[:middle] + value[middle // 2 :])

    def _key(self, sample: Sample) -> Sample:
        odd = (None, b"", b"/", b"default", b"\xff/u", b"default/", (sample.key or b"") + b"\x00")
        return sample._replace(key=self._chance.choice(odd))

    def _headers(self, sample: Sample) -> Sample:
        return sample._replace(headers=(*sample.headers, self._chance.choice(HEADERS)))

    def _other_topic(self, sample: Sample) -> Sample:
        reads = (topics.EVENTS, topics.BULK, topics.PROFILES, topics.RECEIPTS, topics.RETRIES)
        return sample._replace(topic=self._chance.choice(reads))


class Judge:
    """Sends records through the decoder and says where each ended."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        limits = EventLimits(262_144, 7 * 86_400, 3_600, check_time=False)
        never = DecodeErrorPolicy(run=1 << 60, ratio=1.0)
        decode_errors = DecodeErrorLimit(never, lambda *_: self.faults.append("a partition was paused"))
        policy = DecodePolicy(PARTITIONS, KEY_GROUPS, limits, stream_clock=False)
        self._decode = Decoder(policy, PartitionClocks(), decode_errors)

    def timed(self, records: list[RawRecord]) -> float:
        """Decode in batches as the source does; the seconds it took."""
        began = time.perf_counter()
        for at in range(0, len(records), BATCH):
            self._decode(records[at : at + BATCH])
        return time.perf_counter() - began

    def judge(self, record: RawRecord) -> None:
        """Decode one record and check that it ended in exactly one place."""
        inputs: list[GateInput] = []
        out: list[OutRecord] = []
        for routed in self._decode([record]):
            if isinstance(routed.bundle, GroupBatch):
                inputs += routed.bundle.inputs
            else:
                out += [one for one in routed.bundle if isinstance(one, OutRecord)]
        place = self._place(record, inputs, out)
        self.counts[place] += 1
        if place == "fault":
            self.faults.append(f"ended in {len(inputs)} key groups and {[r.topic for r in out]}: {record!r}")
        elif inputs and (what := _differs(record, inputs[0])):
            self.faults.append(f"accepted, but {what}: {record!r}")

    def _place(self, record: RawRecord, inputs: list[GateInput], out: list[OutRecord]) -> str:
        names = [one.topic for one in out]
        if len(inputs) == 1 and not out:
            return "accepted"
        if _is_spread(inputs, names):
            return "spread"
        if inputs or not out:
            return "fault"
        if names == [record.topic]:
            return "forwarded"
        letter = read_dead_letter(
            RawRecord(topics.DEAD, 0, 0, NOW_MS, out[0].key, out[0].value, out[0].headers)
        )
        whole = (letter.value, letter.key, letter.headers) == (record.value, record.key, record.headers)
        return (
            letter.reason
            if names == [topics.DEAD, topics.OUTCOMES] and letter.reason in REASONS and whole
            else "fault"
        )


def _is_spread(inputs: list[GateInput], names: list[str]) -> bool:
    """Tell a receipt without a user: a copy for each partition, and there one for each key group."""
    if not inputs:
        return names == [topics.RECEIPTS] * PARTITIONS
    groups = Counter(one.user_key for one in inputs)
    return (
        not names
        and all(isinstance(one.item, AddressReport) for one in inputs)
        and set(groups.values()) == {KEY_GROUPS}
    )


def _differs(record: RawRecord, entry: GateInput) -> str:
    """Say where an accepted event or profile is not what Python's parser reads in the same bytes."""
    item = entry.item
    if isinstance(item, ProfileChange):
        whole = item.profile is None or _object(record.value) or (record.value or b"").strip() == b"{}"
        return "" if whole else "the value is no object"
    if not isinstance(item, Event) or any(name.lower().startswith("ce_") for name, _ in record.headers):
        return ""
    said = _object(record.value)
    if not str(said.get("specversion", "")).startswith("1."):
        return "the specversion is not 1.x"
    pairs = (("id", item.id), ("source", item.source), ("type", item.type))
    wrong = [name for name, value in pairs if said.get(name) != value]
    if said.get("subject") not in (None, item.user):
        wrong.append("subject")
    if said.get("tenant") not in (None, item.tenant):
        wrong.append("tenant")
    return f"{', '.join(wrong)} differ" if wrong else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bad_input", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=2013)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    whole = samples()
    mutator, judge = Mutator(whole, options.seed), Judge()
    steps = track(range(options.records), "breaking", console=Console(stderr=True), transient=True)
    for offset in steps:
        judge.judge(mutator.record(offset))
    report = {
        "records": options.records,
        "seed": options.seed,
        "ended": dict(judge.counts.most_common()),
        "faults": len(judge.faults),
        "whole_per_s": _rate([_whole(sample, at) for at, sample in enumerate(whole * 8)]),
        "broken_per_s": _rate([mutator.record(at) for at in range(len(whole) * 8)]),
    }
    print(
        json.dumps(report)
        if options.json
        else "\n".join(f"{name:14} {value}" for name, value in report.items())
    )
    if judge.faults:
        sys.exit("\n".join(judge.faults[:10]))


def _whole(sample: Sample, offset: int) -> RawRecord:
    partition = partition_of(sample.key or b"", PARTITIONS)
    return RawRecord(sample.topic, partition, offset, NOW_MS, sample.key, sample.value, sample.headers)


def _rate(records: list[RawRecord]) -> int:
    """Records a second through a decoder of their own, the better of two runs."""
    return round(len(records) / min(Judge().timed(records) for _ in range(2)))


if __name__ == "__main__":
    main()
