"""The sweep: state that no later decision needs leaves the store, a few users at a time.

Dedup keys and counters expire when their user is next written. Users who never come back, such as one-off
recipients, are never written again; the sweep reads them in turns and drops what has expired.
"""

from tocsin.decision.user_state import UserRecord, expire
from tocsin.store.key_group import KeyGroup

_USERS_A_TURN = 32
"""A turn takes 0.2 ms: in 64 key groups a million users are read in 8 minutes, for 1 % of a core."""
_TURN_EVERY_S = 1.0
_PASS_EVERY_S = 60.0
_MARGIN_MS = 3_600_000
"""Producers' clocks lag: a record may come with a time before the wall's, and still needs its windows."""


class Sweep:
    """Walks the users of one key group, in turns, again and again.

    A sweep never changes a decision: it drops only what `tocsin.decision.user_state.expire` drops. What it
    writes is part of the epoch's changes, so a crash repeats or loses a turn and nothing else.
    """

    def __init__(self) -> None:
        self.next_s = 0.0
        """When the next turn is due, wall time in seconds since 1970."""

    def turn(self, key_group: KeyGroup[UserRecord], until_ms: int, wall_s: float) -> None:
        """Take one turn if it is due.

        Args:
            key_group: the key group's state.
            until_ms: the time that its timers may fire up to.
            wall_s: wall time in seconds since 1970.
        """
        if wall_s < self.next_s:
            return
        seen = 0
        for user, record in key_group.sweep(_USERS_A_TURN):
            seen += 1
            if expire(record, until_ms - _MARGIN_MS):
                key_group.put(user, None if record.is_empty() else record)
        self.next_s = wall_s + (_TURN_EVERY_S if seen == _USERS_A_TURN else _PASS_EVERY_S)
