"""Bounds the memory that the bodies of all requests of a process take together."""

from tocsin.gateway.connections import shed
from tocsin.gateway.problems import Problem

SMALL_BYTES = 1 << 16
"""A body up to this size does not count: TOCSIN_GATEWAY_CONNECTIONS bounds how many there are of these."""
_AGAIN_S = 1


class BodyBudget:
    """Bytes of large bodies that may be held at once.

    Only bytes that came are held, not those that were declared: who declares much and sends little takes
    nothing from others.

    Args:
        most_bytes: of all bodies together.

    Attributes:
        held_bytes: of the bodies that are held now.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.held_bytes = 0

    def check(self, size: int, held: int = 0) -> None:
        """Refuse a body of this size for now, if it is large and does not fit beside the others.

        Args:
            size: of the body, as far as it is known.
            held: bytes of this body that are held already.

        Raises:
            Problem: 503 with Retry-After.
        """
        if size > SMALL_BYTES and self.held_bytes - held + size > self._most_bytes:
            shed["bodies"] += 1
            detail = "bodies of other requests take all the memory there is for them: send it again"
            headers = {"retry-after": str(_AGAIN_S), "connection": "close"}
            raise Problem(503, detail, headers=headers)

    def hold(self, size: int) -> None:
        """Hold further bytes."""
        self.held_bytes += size

    def free(self, size: int) -> None:
        """Hold these bytes no longer."""
        self.held_bytes -= size
