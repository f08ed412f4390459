"""Draws random names. They are no secrets: for these, take `secrets`."""

import os

_AT_ONCE = 4_096


class RandomIds:
    """Asks the system once for the bytes of many names: a call for each takes longer than all the rest.

    >>> ids = RandomIds()
    >>> first, second = ids.draw(4), ids.draw(4)
    >>> len(first), first == second
    (8, False)
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0

    def draw(self, size: int) -> str:
        """Draw so many bytes, at most 4,096, as hex digits."""
        begin, end = self._used, self._used + size
        if end > len(self._bytes):
            self._bytes = os.urandom(_AT_ONCE)
            begin, end = 0, size
        self._used = end
        return self._bytes[begin:end].hex()

    def forget(self) -> None:
        """Drop what was not drawn yet."""
        self._bytes, self._used = b"", 0


_ids = RandomIds()
random_hex = _ids.draw
"""Draws a name of this process. Only the event loop may: no lock is taken."""
os.register_at_fork(after_in_child=_ids.forget)
