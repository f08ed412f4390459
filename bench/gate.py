"""How long a decision takes: `python -m bench.gate [--json] [--users N] [--rounds N]`.

Microseconds a decision by kind, and what a record weighs. Decisions are real: every user is known and every
event is new. Each figure is the best of many short rounds, so that neighbours on the machine count little;
`hash_us` is one id's hash measured the same way, to compare machines by.
"""

import argparse
import gc
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from tocsin.catalog.loader import load
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.ids import hash_of
from tocsin.model.message import Retry
from tocsin.model.profile import Device, Preferences, Profile, QuietHours

CATALOG = Path(__file__).parent.parent / "tests" / "decision" / "catalogs" / "small"
START_MS = 1_700_000_000_000 // 86_400_000 * 86_400_000 + 12 * 3_600_000
DATA = msgspec.Raw(b'{"flight":"UA 1545","delay":72,"gate":"C32","from":"EWR","to":"IAH"}')
TEXT = "x" * 90
TOKEN = "fW3kq0c5T6-" * 14


def drop(decisions: Iterable[object]) -> None:
    """Run through without keeping anything, as a flow does that has written it."""
    deque(decisions, maxlen=0)


def profile(number: int, *, choosy: bool = False) -> Profile:
    return Profile(
        email=f"user{number}@mail.example",
        phone=f"+1212{number:07d}",
        locale="en",
        timezone="America/New_York",
        devices=(Device("ios", token=f"{TOKEN}{number}", app="app.flights"),),
        preferences=Preferences(channels={"sms": False}) if choosy else Preferences(),
        quiet_hours=QuietHours("23:00", "06:00") if choosy else None,
        version=1,
    )


class Bench:
    """Users with profiles, and rounds of decisions over all of them."""

    def __init__(self, users: int, rounds: int) -> None:
        self.gate = Gate(load(CATALOG), GatePolicy())
        self.users = users
        self.rounds = rounds
        self.codec = RecordCodec()

    def records(self, tenant: str, *, choosy: bool = False) -> list[UserRecord]:
        steps = [
            self.gate.on_profile(None, tenant, f"u{i}", profile(i, choosy=choosy), START_MS)
            for i in range(self.users)
        ]
        return [step.record for step in steps if step.record is not None]

    def events(self, tenant: str, kind: str, now_ms: int) -> list[Event]:
        return [
            Event(
                tenant=tenant,
                id=f"{kind}-{now_ms}-{i}",
                source="/flights",
                type=kind,
                user=f"u{i}",
                time_ms=now_ms,
                data=DATA,
                origin=Origin("events", i % 16, now_ms + i),
                received_ms=now_ms,
            )
            for i in range(self.users)
        ]

    def best(self, prepare: Callable[[int], Callable[[], object]]) -> float:
        """Best time a decision, in microseconds."""
        times = []
        for number in range(self.rounds):
            run = prepare(number)
            gc.disable()
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
            gc.enable()
        return min(times) / self.users * 1e6

    def on_events(self, tenant: str, kind: str, *, choosy: bool = False, gap_ms: int = 7_200_000) -> float:
        records = self.records(tenant, choosy=choosy)

        def prepare(number: int) -> Callable[[], object]:
            now_ms = START_MS + number * gap_ms
            pairs = list(zip(records, self.events(tenant, kind, now_ms), strict=True))
            raw = rewritten(pairs[0][1])
            return lambda: drop(self.gate.on_event(record, event, now_ms, raw) for record, event in pairs)

        return self.best(prepare)

    def duplicates(self) -> float:
        records = self.records("quiet")
        events = self.events("quiet", "flight.landed", START_MS)
        for record, event in zip(records, events, strict=True):
            self.gate.on_event(record, event, START_MS, rewritten(event))
        again = [msgspec.structs.replace(event, origin=Origin("events", 0, 1)) for event in events]
        pairs = list(zip(records, again, strict=True))
        raw = rewritten(again[0])
        return self.best(lambda _: lambda: drop(self.gate.on_event(r, e, START_MS, raw) for r, e in pairs))

    def retries(self) -> float:
        records = self.records("quiet")
        events = self.events("quiet", "flight.cancelled", START_MS)
        pairs = []
        for record, event in zip(records, events, strict=True):
            message = self.gate.on_event(record, event, START_MS, rewritten(event)).messages[0]
            pairs.append((record, Retry(message=message, reason="stale_profile", due_ms=0)))
        return self.best(lambda _: lambda: drop(self.gate.on_retry(r, retry, START_MS) for r, retry in pairs))

    def codec_times(self) -> dict[str, float]:
        records = self.records("default")
        for number in range(3):
            now_ms = START_MS + number * 3_600_000
            for record, event in zip(records, self.events("default", "flight.landed", now_ms), strict=True):
                self.gate.on_event(record, event, now_ms, rewritten(event))
        encode, decode = self.codec.encode, self.codec.decode
        blobs = [encode(record) for record in records]
        return {
            "record_encode_us": self.best(lambda _: lambda: drop(encode(record) for record in records)),
            "record_decode_us": self.best(lambda _: lambda: drop(decode(blob) for blob in blobs)),
            "record_bytes": sum(map(len, blobs)) / len(blobs),
        }

    def figures(self) -> dict[str, float]:
        """Everything measured."""
        return {
            "two_channels_us": self.on_events("quiet", "flight.landed"),
            "two_channels_default_limits_us": self.on_events("default", "flight.landed"),
            "two_channels_preferences_us": self.on_events("quiet", "flight.landed", choosy=True),
            "three_channels_expressions_us": self.on_events("quiet", "flight.delayed"),
            "one_channel_expression_us": self.on_events("quiet", "personal"),
            "critical_three_channels_us": self.on_events("default", "flight.cancelled"),
            "capped_us": self.on_events("default", "flight.landed", gap_ms=1_000),
            "held_us": self.on_events("quiet", "later"),
            "no_match_us": self.on_events("quiet", "nothing"),
            "duplicate_us": self.duplicates(),
            "retry_us": self.retries(),
            **self.codec_times(),
            "hash_us": self.best(lambda _: lambda: drop(hash_of(TEXT) for _ in range(self.users))),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=400)
    arguments = parser.parse_args()
    figures = {
        name: round(value, 2) for name, value in Bench(arguments.users, arguments.rounds).figures().items()
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:36} {value:10.2f}")


if __name__ == "__main__":
    main()
