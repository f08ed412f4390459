"""Every rule, bound and reason of the gate, by Kafka's clock, with a catalog that changes once."""

from tests.golden.answers import HOUR, Shares, World
from tests.golden.corners import RELOAD_MS, corners
from tests.golden.crowd import START_MS, people
from tests.golden.driver import Machine
from tests.golden.recorder import Recorder
from tests.golden.wire import Line, Reload, Restart, Settings

SETTINGS = Settings(
    catalog="rules",
    stream_clock=False,
    bounds={"holds_max": 12, "waiting_max": 3, "waiting_bytes": 2_500, "dedup_max": 24, "blocked_max": 2},
    max_record_bytes=20_000,
)
_SHARES = Shares(transient=80, stale=60, into_night=60, receipt=250, refusal=25)
_RESTARTS_H = (9, 17, 26, 45)
"""The second restart is at night, with much held: its store is kept."""
STORE_AT_RESTART = 1
_END_H = (96, 168, 240)


def record(machine: Machine) -> list[Line]:
    """Record the run; gives its inputs."""
    recorder = Recorder(machine, SETTINGS, World(_SHARES))
    recorder.plan(people())
    recorder.plan(corners())
    stops: list[tuple[int, Line]] = [(START_MS + hours * HOUR, Restart()) for hours in _RESTARTS_H]
    stops.append((RELOAD_MS, Reload("rules-next")))
    for at_ms, line in sorted(stops, key=lambda stop: stop[0]):
        recorder.run(at_ms)
        recorder.play(line)
    for hours in _END_H:
        recorder.run(START_MS + hours * HOUR)
        recorder.epoch(START_MS + hours * HOUR)
    return recorder.lines
