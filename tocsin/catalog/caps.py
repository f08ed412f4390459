"""Describes compiled limits: caps, and the counters that caps read."""

import msgspec


class Cap(msgspec.Struct, frozen=True, gc=False):
    """At most `max` on `counter` in any `window_ms`. With `hold` the rest waits; else it is dropped."""

    counter: str
    max: int
    window_ms: int
    hold: bool = False


class Counter(msgspec.Struct, frozen=True, gc=False):
    """A counter keeps the last `keep` times of `window_ms`: as many as any cap that reads it needs."""

    name: str
    keep: int
    window_ms: int
