"""Limits: what was admitted in a window, exact, one packed counter for each scope and kind of window.

The counter of a rolling window is a list of times. It keeps no more than its largest limit asks for, so a
check looks at one number: the time of the `max`-th last admission. The counter of a calendar period is the
start, the end and one number, however large the limit is.

A failed send gives its slot back (`give_back`). Critical notifications are counted beyond a limit that they
do not meet, so that a rolling counter keeps a few times more than its limit: a slot that comes back from a
full window must not make room for one too many.
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from tocsin.catalog.caps import Cap, Counter
from tocsin.decision.periods import period

_TIME = Struct("<q")
_SIZE = _TIME.size
_pack, _unpack_from = _TIME.pack, _TIME.unpack_from
_TWO = Struct("<qq")
_pack_two, _unpack_two = _TWO.pack, _TWO.unpack_from
# Of a calendar counter: minus its end, its start, the number. A rolling one begins with its window.
_PERIOD = Struct("<qqI")
_pack_period, _unpack_period = _PERIOD.pack, _PERIOD.unpack
_MOST = (1 << 32) - 1
_number_of, _NUMBER_AT = Struct("<I").unpack_from, 2 * _SIZE
_SPARE_TIMES = 64
_FEW_TIMES = _SPARE_TIMES * _SIZE
"""A rolling counter of so many bytes has room for one more time, whatever its limit."""


class Window(NamedTuple):
    """What a limit sees at one moment: how many it counts, and from when to when."""

    number: int
    start_ms: int
    end_ms: int


def is_full(counts: dict[str, bytes], caps: Iterable[Cap], now_ms: int) -> bool:
    """Whether any of these limits has no room for one more now."""
    for cap in caps:
        if (times := counts.get(cap.counter)) is None:
            continue
        # No further look at the most: a rolling counter that is not long enough, a number that is too low.
        if _number_of(times, _NUMBER_AT)[0] < cap.max if cap.period else len(times) <= cap.max * _SIZE:
            continue
        if room_at(counts, cap, now_ms):
            return True
    return False


def room_at(counts: dict[str, bytes], cap: Cap, now_ms: int) -> int:
    """When there is room for one more: 0 for now, else the time in ms."""
    times = counts.get(cap.counter)
    if times is None:
        return 0
    if cap.period:
        end_ms, _, number = _PERIOD.unpack(times)
        return -end_ms if number >= cap.max and -end_ms > now_ms else 0
    at = len(times) - cap.max * _SIZE
    if at < _SIZE:
        return 0
    free_ms: int = _unpack_from(times, at)[0] + cap.window_ms
    return free_ms if free_ms > now_ms else 0


def free_at(counts: dict[str, bytes], cap: Cap, ahead: list[int], zone: str, now_ms: int) -> int:
    """When a limit has room for one more, once those that wait `ahead` are admitted at their times.

    Args:
        counts: counters of the user.
        cap: the limit.
        ahead: times of admissions to come.
        zone: of the calendar.
        now_ms: the earliest time.
    """
    if cap.period:
        return _period_free_at(counts, cap, ahead, zone, now_ms)
    times = sorted([*_times(counts.get(cap.counter, b"")), *ahead])
    return max(now_ms, times[-cap.max] + cap.window_ms) if len(times) >= cap.max else now_ms


def _period_free_at(counts: dict[str, bytes], cap: Cap, ahead: list[int], zone: str, now_ms: int) -> int:
    start_ms, end_ms = period(cap.period, zone, now_ms)
    number = 0
    if (stored := counts.get(cap.counter)) is not None:
        last_ms, _, counted = _PERIOD.unpack(stored)
        if -last_ms > now_ms:
            end_ms, number = -last_ms, counted
    at_ms = now_ms
    while number + sum(start_ms <= time < end_ms for time in ahead) >= cap.max:
        at_ms = start_ms = end_ms
        end_ms, number = period(cap.period, zone, at_ms)[1], 0
    return at_ms


def window(counts: dict[str, bytes], cap: Cap, now_ms: int) -> Window:
    """Say how many the cap's window holds; only of a counter that has counted."""
    times = counts.get(cap.counter, b"")
    if cap.period:
        end_ms, start_ms, number = _PERIOD.unpack(times)
        return Window(number if -end_ms > now_ms else 0, start_ms, -end_ms)
    start_ms = now_ms - cap.window_ms
    return Window(sum(time > start_ms for time in _times(times)), start_ms, now_ms)


def count(counts: dict[str, bytes], counters: Iterable[Counter], now_ms: int, zone: str) -> None:
    """Note one admission on each of some counters."""
    for counter in counters:
        name = counter.name
        times = counts.get(name)
        if counter.period:
            end_ms, counted = (0, b"") if times is None else _one_more(times)
            counts[name] = counted if end_ms > now_ms else _first_of(period(counter.period, zone, now_ms))
        elif times is None:
            counts[name] = _pack_two(counter.window_ms, now_ms)
        else:
            counts[name] = _with(times, counter, now_ms)


@lru_cache(maxsize=16_384)
def _one_more(counted: bytes) -> tuple[int, bytes]:
    """Return the end of a calendar counter, and the counter with one more: many users have the same."""
    end_ms, start_ms, number = _unpack_period(counted)
    return -end_ms, _pack_period(end_ms, start_ms, min(number + 1, _MOST))


@lru_cache(maxsize=16_384)
def _first_of(bounds: tuple[int, int]) -> bytes:
    """Return the calendar counter of the first admission in a period."""
    start_ms, end_ms = bounds
    return _pack_period(-end_ms, start_ms, 1)


def _with(times: bytes, counter: Counter, now_ms: int) -> bytes:
    """Add a time to a rolling counter. It never runs backwards, which keeps the list sorted."""
    window_ms, (known_ms, first_ms) = counter.window_ms, _unpack_two(times)
    if first_ms > now_ms - window_ms and len(times) <= _FEW_TIMES and known_ms == window_ms:
        last_ms: int = _unpack_from(times, -_SIZE)[0]
        return times + _pack(now_ms if now_ms > last_ms else last_ms)
    return _trimmed(times, counter, now_ms)


def _trimmed(times: bytes, counter: Counter, now_ms: int) -> bytes:
    """Add a time to a rolling counter that may have times to drop, or had another window."""
    size, start, window_ms = len(times), _SIZE, counter.window_ms
    most = (counter.keep + _SPARE_TIMES - 1) * _SIZE
    horizon = now_ms - window_ms
    while start < size and _unpack_from(times, start)[0] <= horizon:
        start += _SIZE
    start = max(start, size - most)
    if start < size:
        now_ms = max(now_ms, _unpack_from(times, size - _SIZE)[0])
    return _pack(window_ms) + times[start:] + _pack(now_ms)


def give_back(counts: dict[str, bytes], name: str, counted_ms: int) -> bool:
    """Take one admission off that was counted at a time; False if no window holds it any more."""
    times = counts.get(name)
    if times is None:
        return False
    if _unpack_from(times)[0] < 0:
        end_ms, start_ms, number = _PERIOD.unpack(times)
        if not start_ms <= counted_ms < -end_ms:
            return False
        left = _PERIOD.pack(end_ms, start_ms, number - 1) if number > 1 else b""
    else:
        at = next((at for at in range(len(times) - _SIZE, 0, -_SIZE) if _is_at(times, at, counted_ms)), 0)
        if not at:
            return False
        left = times[:at] + times[at + _SIZE :] if len(times) > 2 * _SIZE else b""
    if left:
        counts[name] = left
    else:
        del counts[name]
    return True


def counts_until(times: bytes, counted_ms: int) -> int:
    """Return until when a counter counts what it counted at a time."""
    window_ms: int = _unpack_from(times)[0]
    return -window_ms if window_ms < 0 else counted_ms + window_ms


def expire(counts: dict[str, bytes], now_ms: int) -> bool:
    """Drop times and periods that are over; whether there were any."""
    changed = False
    for name, times in list(counts.items()):
        left = _unexpired(times, now_ms)
        if len(left) == len(times):
            continue
        changed = True
        if left:
            counts[name] = left
        else:
            del counts[name]
    return changed


def _unexpired(stored: bytes, now_ms: int) -> bytes:
    window_ms = _unpack_from(stored)[0]
    if window_ms < 0:
        return stored if -window_ms > now_ms else b""
    live = sum(time > now_ms - window_ms for time in _times(stored))
    return stored[:_SIZE] + stored[len(stored) - live * _SIZE :] if live else b""


def _times(stored: bytes) -> list[int]:
    return [time for (time,) in _TIME.iter_unpack(stored[_SIZE:])]


def _is_at(times: bytes, at: int, time_ms: int) -> bool:
    return bool(_unpack_from(times, at)[0] == time_ms)
