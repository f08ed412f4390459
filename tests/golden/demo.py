"""Ten days of the demo: duplicates, broken events, changed profiles, erasures, answers of providers."""

from collections.abc import Iterator
from typing import Any

import msgspec

from tests.golden.answers import Shares, World
from tests.golden.driver import Demo, Machine
from tests.golden.recorder import Planned, Recorder
from tests.golden.wire import Line, Restart, Settings

SETTINGS = Settings(catalog="demo", stream_clock=True)
_DAYS, _PASSENGERS, _EVERY, _SEED = 10, 150, 3, 2013
_NIGHT = 1_360_297_800_000  # 2013-02-08T04:30Z: quiet hours in New York, much is held
_SHARES = Shares(transient=40, stale=20, into_night=25, receipt=100, refusal=12)
_RESTARTS = frozenset({17, 40, 63})
_WISHES: tuple[dict[str, Any], ...] = (
    {"enabled": False},
    {"categories": {"flight_updates": {"push": False}, "offers": True}},
    {"snoozed_until": "2013-02-09T12:00:00Z"},
    {},
)


def record(machine: Machine) -> list[Line]:
    """Record the run; gives its inputs."""
    recorder = Recorder(machine, SETTINGS, World(_SHARES))
    demo = Demo(_DAYS, _PASSENGERS, _EVERY, _SEED)
    profiles = [Planned(one.event_time_ms, "profiles", one.key, one.value) for one in demo.profiles()]
    recorder.plan(profiles)
    recorder.plan(_changes(profiles))
    recorder.plan(
        Planned(one.event_time_ms, "events", one.key, one.value, one.headers) for one in demo.events()
    )
    recorder.run(1 << 62, lambda epochs: Restart() if epochs in _RESTARTS else None)
    return recorder.lines


def _changes(profiles: list[Planned]) -> Iterator[Planned]:
    """Change the wishes of every third passenger in the first night; every fifteenth is erased.

    Half of the erased come back two days later.
    """
    for number, before in enumerate(profiles[::3]):
        if number % 5 == 0:
            yield before._replace(at_ms=_NIGHT, value=None)
            if number % 10 == 0:
                yield before._replace(at_ms=_NIGHT + 2 * 86_400_000)
        else:
            yield before._replace(at_ms=_NIGHT, value=_changed(before.value or b"", number))


def _changed(profile: bytes, number: int) -> bytes:
    quiet = {"start": "20:00", "end": "09:30"} if number % 2 else None
    changed = {"version": 2, "preferences": _WISHES[number % 4], "quiet_hours": quiet}
    return msgspec.json.encode(msgspec.json.decode(profile) | changed)
