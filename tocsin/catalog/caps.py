"""Limits, compiled: what a cap allows, and what a counter must keep for the caps that read it."""

import msgspec


class Cap(msgspec.Struct, frozen=True, gc=False):
    """At most `max` on `counter` in any `window_ms`. `hold`: wait for room instead of dropping."""

    counter: str
    max: int
    window_ms: int
    hold: bool = False


class Counter(msgspec.Struct, frozen=True, gc=False):
    """What a counter must keep for every cap that reads it: the last `keep` times of `window_ms`."""

    name: str
    keep: int
    window_ms: int
