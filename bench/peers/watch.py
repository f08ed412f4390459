"""How fast a contender is, seen from outside: how many records its output topics hold at which moment.

The same measure for every contender, whatever it says of itself. A rate runs from the moment when 5 % of the
records were published to the moment of the last one, so that starting up is nobody's loss; what is decided
and not published does not count.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import psutil

from bench.peers.kafka import Topics
from tocsin.devkit.processes import Child

_EVERY_S = 0.1
_QUIET_S = 2.0
_STALLED_S = 60.0
_SKIPPED = 0.05


class Sample(NamedTuple):
    """What stood in the topics at a moment, and the CPU time used until then.

    Attributes:
        at_s: monotonic time.
        published: records in the outputs.
        cpu_s: CPU time of the contender.
        total: records in the outputs and in the topics that grow beside them.
    """

    at_s: float
    published: int
    cpu_s: float
    total: int


class Rate(NamedTuple):
    """What one run gave.

    Attributes:
        per_s: items a second.
        cpu_us: microseconds of CPU an item, over all processes of the contender.
        records: how many records it wrote.
    """

    per_s: float
    cpu_us: float
    records: int


class Failed(RuntimeError):
    """A contender ended or stood still; the text ends with its log."""


class Watcher:
    """Samples the output topics of a contender from its start."""

    def __init__(
        self,
        topics: Topics,
        outputs: Iterable[str],
        contenders: Sequence[Child],
        *,
        beside: Iterable[str] = (),
        moved: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._topics = topics
        self._places, self._beside = topics.places(outputs), topics.places(beside)
        self._contenders = contenders
        self._moved = moved
        self._before = topics.ends(self._places)
        self.samples = [Sample(time.monotonic(), 0, 0.0, 0)]

    def run(self, enough: int) -> list[Sample]:
        """Sample until there are enough records and nothing moves any more.

        Raises:
            Failed: a process ended, or nothing moves though it is not enough.
        """
        while True:
            time.sleep(_EVERY_S)
            self._look()
            still_s = time.monotonic() - self._last_move_s()
            if self.samples[-1].published >= enough and still_s > _QUIET_S:
                return self.samples
            self._complain(still_s)

    def _look(self) -> None:
        count = self._topics.ends(self._places) - self._before
        total = count + (self._topics.ends(self._beside) if self._beside else 0)
        self.samples.append(Sample(time.monotonic(), count, cpu_s(self._contenders), total))
        self._moved(count)

    def _last_move_s(self) -> float:
        last = self.samples[-1].total
        moving = [each.at_s for each in self.samples if each.total != last]
        return moving[-1] if moving else self.samples[0].at_s

    def _complain(self, still_s: float) -> None:
        for each in self._contenders:
            if not each.alive():
                raise Failed(f"{each.service.name} ended:\n{each.tail()}")
        if still_s > _STALLED_S:
            tails = "\n".join(each.tail() for each in self._contenders)
            raise Failed(f"nothing moves after {self.samples[-1].published} records:\n{tails}")


def rate_of(samples: Sequence[Sample], items: int) -> Rate:
    """Turn samples into a rate: `items` lie evenly behind the records that were counted."""
    records = samples[-1].published
    first = at_published(samples, _SKIPPED * records)
    last = next(each for each in samples if each.total == samples[-1].total)
    share = (records - first.published) / records
    passed_s, cpu = last.at_s - first.at_s, last.cpu_s - first.cpu_s
    return Rate(items * share / passed_s, cpu / (items * share) * 1e6, records)


def at_published(samples: Sequence[Sample], count: float) -> Sample:
    """Give the moment of a count, between the two samples around it."""
    number = next(number for number, each in enumerate(samples) if each.published >= count)
    after, before = samples[number], samples[max(0, number - 1)]
    grown = after.published - before.published
    share = (count - before.published) / grown if grown else 0.0
    return Sample(
        before.at_s + share * (after.at_s - before.at_s),
        round(count),
        before.cpu_s + share * (after.cpu_s - before.cpu_s),
        before.total,
    )


def cpu_s(contenders: Iterable[Child]) -> float:
    """Sum the CPU time of processes and of all they started."""
    return sum(_used_s(process) for each in contenders for process in _family(each.pid))


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _used_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
