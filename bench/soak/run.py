"""One soak: load and faults by the clock, then rest."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.fleet import Feeder
from bench.soak import load
from bench.soak.plan import OrderedFault, Plan, Stop
from bench.soak.world import World

_TICK_S, _SAMPLE_S, _LOOK_S = 0.05, 2.0, 5.0
RESTING = ("held", "in_flight", "unread", "waiting")
"""What an audit counts that must come to nothing."""


class Step(NamedTuple):
    """One thing that is done at its time."""

    at_s: float
    text: str
    work: Callable[[], None]


class Rest(NamedTuple):
    """How it came to rest."""

    written: int
    audit: dict[str, Any]
    seconds: float


class Soak:
    """Plays events and a plan against a running world."""

    def __init__(self, world: World, feeder: Feeder, what: Plan, rate: int, users: int) -> None:
        self._world = world
        self._feeder = feeder
        self._rate = rate
        self._events = load.events(users)
        self._written = 0
        self._due = deque(sorted(steps(world, what), key=lambda step: step.at_s))
        self._sampled_s = 0.0
        self._began_s = 0.0

    def run(self, seconds: float, patience_s: float, console: Console, *, verbose: bool) -> Rest:
        """Run it, and wait until nothing is on its way."""
        self._began_s = time.monotonic()
        columns = (TextColumn("{task.description:40}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("begins", total=seconds)
            while (passed_s := self._passed_s()) < seconds:
                for text in self._turn(passed_s):
                    progress.update(task, description=text)
                    if verbose:
                        console.log(f"{passed_s:.0f} s: {text}")
                progress.update(task, completed=passed_s)
                time.sleep(_TICK_S)
            progress.update(task, description="comes to rest")
            return self._rest(patience_s)

    def _passed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _turn(self, passed_s: float) -> Iterator[str]:
        """Write the events that are due and take the steps that are; say which."""
        for _ in range(int(passed_s * self._rate) - self._written):
            self._feeder.write(next(self._events))
            self._written += 1
        while self._due and self._due[0].at_s <= passed_s:
            step = self._due.popleft()
            step.work()
            yield step.text
        self._watch(passed_s)

    def _watch(self, passed_s: float) -> None:
        self._world.look_after()
        if passed_s - self._sampled_s >= _SAMPLE_S:
            self._sampled_s = passed_s
            self._world.sample(passed_s)

    def _rest(self, patience_s: float) -> Rest:
        self._world.lift_faults()
        self._world.wait_until_back()
        self._feeder.flush()
        began_s = time.monotonic()
        while True:
            audit = self._world.tocsin("balance")
            rest_s = time.monotonic() - began_s
            if rest_s > patience_s or not any(audit[name] for name in RESTING):
                return Rest(self._written, audit, rest_s)
            look_s = time.monotonic() + _LOOK_S
            while time.monotonic() < look_s:
                self._world.look_after()  # memory is not watched: at rest it cannot grow
                time.sleep(_TICK_S)


def steps(world: World, what: Plan) -> Iterator[Step]:
    """List what a plan does, in no order."""
    for stop in what.stops:
        yield from _of_stop(world, stop)
    for fault in what.faults:
        yield Step(fault.at_s, _text(fault), partial(world.order, fault))


def _of_stop(world: World, stop: Stop) -> Iterator[Step]:
    yield Step(stop.at_s, f"{stop.name} goes", partial(world.apart, stop.name))
    if stop.away_s:
        yield Step(stop.at_s + stop.away_s, f"{stop.name} comes back", partial(world.back, stop.name))


def _text(ordered: OrderedFault) -> str:
    fault, match = ordered.order.fault, ordered.order.match
    kind = f"status {fault.status}" if fault.kind == "status" else fault.kind
    return f"{match.channel}: {kind}, {match.rate:.0%} for {ordered.seconds:.0f} s"
