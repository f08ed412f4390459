"""A clock that only its owner moves."""


class ManualClock:
    """Milliseconds since 1970; call it to read it.

    >>> clock = ManualClock(1_000)
    >>> clock.advance(s=2)
    3000
    >>> clock()
    3000
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int = 0, *, s: float = 0) -> int:
        """Move forward, and read."""
        self.now_ms += ms + round(s * 1_000)
        return self.now_ms
