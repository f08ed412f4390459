"""Pace: how much of a worker's time timers may take while events come.

Very many timers may be due at one moment, such as the end of a night's quiet hours. All key groups of a shard
share one worker, and each of them would fire some before it lets the next one work. An event would wait for
all of them, and an epoch would last as long. What all of them have changed in an epoch is stored at its end,
while nobody works, so an epoch has a bound, too. Events come first: where the end of the epoch before took
longer than without timers, that time is taken from them. And their bound falls where ends of epochs take long
because of timers: the disk, Kafka or the processor takes their records more slowly than timers fire.
"""

import math
from collections.abc import Callable
from typing import Protocol

_BURST_S = 0.02
"""Timers may fire for so long at once: less than half of an epoch."""
_REFILL = 2.0
"""So many seconds of firing for each second of other work: two thirds of the worker's time."""
_EPOCH_S = 1.0
"""Timers may fire for so long in an epoch. Its end takes a tenth of that, for 4 µs a record that changed."""
_SPENT_REST_S = 0.02
"""Where an epoch has had enough, a key group asks again after so long."""
_LONGER_S = 0.1
"""With timers, an end of an epoch may take so much longer than without; in short epochs half an epoch."""
_LEAST_S = 0.005
"""Timers may fire for so long in each epoch, however long its end takes: some eighty are decided."""
_FEW_S = 1.2 * _LEAST_S
"""In an epoch of few timers they fire for no longer: the last of them may end behind the bound."""


class Pace(Protocol):
    """Tells whether a worker may fire timers."""

    def begins(self) -> bool:
        """Tell whether a key group may begin to fire."""
        ...

    def goes_on(self) -> bool:
        """Tell whether a key group may fire one more; asked after each timer."""
        ...

    def rest_s(self) -> float:
        """Tell for how long it is of no use to ask again."""
        ...

    def end_epoch(self) -> None:
        """Learn that an epoch ends; called by each key group."""
        ...


class Unpaced:
    """Fires whatever is due."""

    def begins(self) -> bool:
        """Fire."""
        return True

    def goes_on(self) -> bool:
        """Fire on."""
        return True

    def rest_s(self) -> float:
        """Rest never."""
        return 0.0

    def end_epoch(self) -> None:
        """Keep no account of epochs."""


UNPACED = Unpaced()


class EpochShare:
    """Says for how long timers may fire in an epoch.

    Falls where the end of an epoch takes too long in which timers fired, down to half at once. Grows by a
    quarter where timers used it up and the end is short. With timers, an end may take half an epoch longer
    than without, or twice as long. Ends that are long without timers are those of a slow disk, and it does
    not help to fire fewer.

    Args:
        most_s: the share of an epoch whose end is short.
        length_s: how long an epoch is to last, with the end of the one before.
    """

    def __init__(self, most_s: float, length_s: float) -> None:
        self.seconds = self._most_s = most_s
        self._length_s = length_s
        self._longer_s = min(_LONGER_S, length_s / 2)
        self._usual_s = 0.0
        self._fired_before_s = 0.0

    def ended(self, took_s: float, fired_s: float) -> None:
        """Learn how long the end of an epoch took, and for how long timers fired in it."""
        limit_s = self._usual_s + max(self._longer_s, self._usual_s)
        if took_s <= limit_s:
            if fired_s > 0.8 * self.seconds:
                self.seconds = min(self._most_s, self.seconds * 1.25)
        elif fired_s > _LEAST_S:
            self.seconds = max(_LEAST_S, min(self.seconds, fired_s) * max(0.5, limit_s / took_s))
        self._learn(took_s, fired_s)

    def _learn(self, took_s: float, fired_s: float) -> None:
        """Learn what an end takes without timers, or slowly with few: some may be due in every epoch."""
        before_s, self._fired_before_s = self._fired_before_s, fired_s
        longest_s = max(before_s, fired_s)  # an end also waits until the epoch before is published
        if longest_s <= _FEW_S:
            self._usual_s += (took_s - self._usual_s) / (32 if longest_s else 8)

    def after(self, took_s: float) -> float:
        """Return for how long timers may fire in the next epoch: it has lost what the end took too long."""
        return max(_LEAST_S, min(self.seconds, self._length_s + self._usual_s - took_s))


class TimerPace:
    """Gives timers two thirds of a worker's time, at most 20 ms at once; all key groups share it.

    An epoch has a second of it at most, however long it lasts, and less where ends take long (`EpochShare`).

    Which timers fire in which turn changes no decision: each is decided at its own time, and those of a
    record's own user always fire before the record is decided.

    Args:
        monotonic_s: a clock.
        burst_s: how long timers may fire at once.
        refill: seconds of firing for each second of other work.
        epoch_s: how long timers may fire in an epoch at most.
        length_s: how long an epoch is to last.

    >>> now_s = iter([0.0, 0.015, 0.025, 0.026, 0.036])
    >>> pace = TimerPace(lambda: next(now_s))
    >>> pace.begins(), pace.goes_on(), pace.goes_on()
    (True, True, False)
    >>> pace.begins(), pace.begins()
    (False, True)
    """

    def __init__(
        self,
        monotonic_s: Callable[[], float],
        burst_s: float = _BURST_S,
        refill: float = _REFILL,
        epoch_s: float = _EPOCH_S,
        length_s: float = math.inf,
    ) -> None:
        self._monotonic_s = monotonic_s
        self._burst_s = burst_s
        self._refill = refill
        self._at_s = 0.0
        self._left_s = burst_s
        self._share = EpochShare(epoch_s, length_s)
        self._epoch_left_s = epoch_s
        self._fired_s = 0.0

    def begins(self) -> bool:
        """Count the time since the last timer as other work."""
        self._left_s = min(self._burst_s, self._left_s + self._refill * self._passed_s())
        return self._left_s > 0 and self._epoch_left_s > 0

    def goes_on(self) -> bool:
        """Count the time since the last question as firing."""
        passed_s = self._passed_s()
        self._left_s -= passed_s
        self._epoch_left_s -= passed_s
        self._fired_s += passed_s
        return self._left_s > 0 and self._epoch_left_s > 0

    def rest_s(self) -> float:
        """Rest until half of a burst is there, as far as is known since the last question."""
        if self._epoch_left_s <= 0:
            return _SPENT_REST_S
        return max(0.0, (self._burst_s / 2 - self._left_s) / self._refill)

    def end_epoch(self) -> None:
        """Let the next epoch have its whole time."""
        self._epoch_left_s = self._share.seconds

    def ended(self, took_s: float) -> None:
        """Learn that an epoch is durable, and how long its end took."""
        self._share.ended(took_s, self._fired_s)
        self._epoch_left_s, self._fired_s = self._share.after(took_s), 0.0

    def _passed_s(self) -> float:
        before_s, self._at_s = self._at_s, self._monotonic_s()
        return self._at_s - before_s


def timer_pace(monotonic_s: Callable[[], float], epoch_ms: float) -> TimerPace:
    """Give timers what a shard with epochs of this length has to spare."""
    return TimerPace(monotonic_s, length_s=epoch_ms / 1000)


def broadcast_pace(monotonic_s: Callable[[], float]) -> TimerPace:
    """Give the turns of broadcasts a fifth of a worker's time, at most 5 ms at once.

    So a broadcast whose rate is more than a busy worker can take slows down, and events do not wait for it.
    """
    return TimerPace(monotonic_s, burst_s=0.005, refill=0.25)
