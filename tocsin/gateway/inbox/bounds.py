"""Bounds of live connections."""

import msgspec


class LivePolicy(msgspec.Struct, frozen=True):
    """Bounds of live connections.

    Attributes:
        per_user: connections of one user, in one process.
        most: connections of one process.
        beat_s: after so much silence the server says that it is there.
        send_s: a client that takes nothing for so long is dropped.
    """

    per_user: int = 10
    most: int = 20_000
    beat_s: float = 25.0
    send_s: float = 10.0
