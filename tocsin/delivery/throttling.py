"""What the answers of an account say of its own limit, between two reports to the bucket. Pure.

| answers | what all processes do |
|---|---|
| more than 5 % of a second's answers are 429, and two at least | call it as often as it took, then creep up |
| 429 to `USERS` users in a row, which name a time to wait | call it no more until that time has passed |

One recipient whom an account limits slows no other process: FCM also limits devices, by the same answer.
"""

USERS = 5
"""Different users whose calls were answered with 429, without a success between them."""

LONGEST_PAUSE_MS = 30_000
"""Longest common pause. What a provider asks for beyond it holds for the message that it answered."""

_REPORT_MS = 250


class Throttling:
    """Counts answers until they are reported.

    >>> seen = Throttling()
    >>> for user in ("ann", "bob", "cem", "dan", "eve"):
    ...     seen.throttled(user, retry_after_s=2)
    >>> seen.urgent, seen.pause_ms
    (True, 2000)
    """

    def __init__(self) -> None:
        self._users: set[str] = set()
        self._reported_ms = 0
        self.taken = 0
        self.refused = 0
        self.pause_ms = 0

    @property
    def urgent(self) -> bool:
        """Tell whether other processes should know soon."""
        return self.refused > 0

    def due(self, now_ms: int) -> bool:
        """Tell whether there is something to report."""
        return self.urgent or (self.taken > 0 and now_ms - self._reported_ms >= _REPORT_MS)

    def took(self) -> None:
        """Count a message that the account took."""
        self.taken += 1
        if self._users:
            self._users.clear()

    def throttled(self, user: str, retry_after_s: float | None) -> None:
        """Count a 429."""
        self.refused += 1
        self._users.add(user)
        if len(self._users) >= USERS and retry_after_s:
            self.pause_ms = max(self.pause_ms, min(round(retry_after_s * 1_000), LONGEST_PAUSE_MS))

    def reported(self, now_ms: int) -> None:
        """Begin again: what was counted is on its way."""
        self._reported_ms = now_ms
        self.taken = self.refused = self.pause_ms = 0
        if len(self._users) >= USERS:
            self._users.clear()
