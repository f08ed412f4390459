"""Limits: rolling windows over the times of what was admitted, exact, one packed list a counter.

A counter keeps no more times than its largest limit asks for, so a check looks at one number: the time of
the `max`-th last admission.
"""

from struct import Struct

from tocsin.catalog.caps import Cap, Counter

_TIME = Struct("<q")
_SIZE = _TIME.size
_pack, _unpack_from = _TIME.pack, _TIME.unpack_from


def room_at(counts: dict[str, bytes], cap: Cap, now_ms: int) -> int:
    """When there is room for one more: 0 for now, else the time in ms."""
    times = counts.get(cap.counter)
    if times is None:
        return 0
    at = len(times) - cap.max * _SIZE
    if at < _SIZE:
        return 0
    free_ms: int = _unpack_from(times, at)[0] + cap.window_ms
    return free_ms if free_ms > now_ms else 0


def free_at(counts: dict[str, bytes], cap: Cap, ahead: list[int]) -> int:
    """When a full limit has room for one more, once those that wait `ahead` are admitted at their times."""
    times: list[int] = [time for (time,) in _TIME.iter_unpack(counts[cap.counter][_SIZE:])]
    return sorted(times + ahead)[-cap.max] + cap.window_ms


def count_in(counts: dict[str, bytes], cap: Cap, now_ms: int) -> int:
    """How many the cap's window holds."""
    times = counts.get(cap.counter, b"")
    return sum(time > now_ms - cap.window_ms for (time,) in _TIME.iter_unpack(times[_SIZE:]))


def count(counts: dict[str, bytes], counter: Counter, now_ms: int) -> None:
    """Note one admission. Its time never runs backwards, which keeps the list sorted."""
    times = counts.get(counter.name)
    if times is None:
        counts[counter.name] = _pack(counter.window_ms) + _pack(now_ms)
        return
    start, horizon = _SIZE, now_ms - counter.window_ms
    while start < len(times) and _unpack_from(times, start)[0] <= horizon:
        start += _SIZE
    start = max(start, len(times) - (counter.keep - 1) * _SIZE)
    last = _unpack_from(times, len(times) - _SIZE)[0] if start < len(times) else now_ms
    counts[counter.name] = _pack(counter.window_ms) + times[start:] + _pack(max(last, now_ms))


def expire(counts: dict[str, bytes], now_ms: int) -> bool:
    """Drop times that have left their counter's longest window; whether there were any."""
    changed = False
    for name, times in list(counts.items()):
        horizon = now_ms - _unpack_from(times)[0]
        live = [time for (time,) in _TIME.iter_unpack(times[_SIZE:]) if time > horizon]
        if len(live) * _SIZE + _SIZE == len(times):
            continue
        changed = True
        if live:
            counts[name] = times[:_SIZE] + times[len(times) - len(live) * _SIZE :]
        else:
            del counts[name]
    return changed
