"""The port of a place where returned mails lie until they are read."""

from collections.abc import Iterator
from threading import Event
from typing import Protocol

from tocsin.bounces.reader import BounceReader, Finished


class Source(Protocol):
    """A place where mails lie: a Maildir or an IMAP folder.

    A mail leaves its place only after the reader is done with it.
    """

    def waiting(self) -> int:
        """Tell how many mails lie there."""
        ...

    def read(self, reader: BounceReader) -> Iterator[tuple[str, Finished]]:
        """Read all mails that are there, and let each go when it is done with; gives their names."""
        ...

    def peek(self, reader: BounceReader) -> Iterator[tuple[str, Finished]]:
        """Read all mails that are there, and let them lie."""
        ...

    def wait(self, stop: Event, seconds: float) -> None:
        """Wait until mail may have come."""
        ...

    def forget(self) -> None:
        """Drop a connection that no longer works."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...
