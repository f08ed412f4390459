"""Turns mails that came back into receipts, in batches: read, find the users, write, and only then let go."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tocsin.bounces.returned import QUARANTINED, Keys, Result, Returned, understand
from tocsin.formats.marks import Marked
from tocsin.model.outcome import ReceiptEvent

Find = Callable[[Sequence[str]], Mapping[str, Marked]]
"""Finds the users of messages by their ids, where a report quotes no mark; leaves out what nobody knows.

Raises `LookupAwayError` where the servers that know are away.
"""
Write = Callable[[Sequence[ReceiptEvent]], None]
"""Writes receipts; returns when Kafka has all of them, and else raises."""


class LookupAwayError(Exception):
    """The servers that know the users of messages are away; the mails stay where they are."""


class Incoming(NamedTuple):
    """A mail as it lies in a mailbox.

    Attributes:
        raw: its bytes; empty where it is too large to be read.
        received_ms: when it arrived.
        recipients: of its envelope, where they are known.
    """

    raw: bytes
    received_ms: int
    recipients: tuple[str, ...] = ()


class Finished(NamedTuple):
    """A mail that is done with: its receipt is in Kafka, if it has one.

    Attributes:
        returned: what it means.
        named: user and message of its receipt; None without one.
    """

    returned: Returned
    named: Marked | None = None

    @property
    def quarantined(self) -> bool:
        """Tell whether a person may want to look at it."""
        return self.returned.result in QUARANTINED


class BounceReader:
    """Reads mails in batches, from any thread. One that is read twice gives the same receipt, id included.

    Args:
        keys: opens tokens and marks.
        find: finds the users of messages.
        write: writes receipts.
    """

    def __init__(self, keys: Keys, find: Find, write: Write) -> None:
        self._keys = keys
        self._find = find
        self._write = write
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def count(self, *results: Result) -> None:
        """Count mails by what became of them."""
        with self._lock:
            self.counts.update(result.value for result in results)

    def read(self, mails: Sequence[Incoming]) -> list[Finished]:
        """Read mails, write their receipts, and say of each what it was, in the same order.

        Raises:
            LookupAwayError: no receipt was written.
        """
        understood = [understand(one.raw, self._keys, one.received_ms, one.recipients) for one in mails]
        finished = self._named(understood)
        receipts = [one.returned.receipt(one.named) for one in finished if one.named and one.returned.kind]
        if receipts:
            self._write(receipts)
        self.count(*(one.returned.result for one in finished))
        return finished

    def _named(self, understood: Sequence[Returned]) -> list[Finished]:
        wanted = {one.message_id for one in understood if one.kind and one.named is None}
        found = self._find(sorted(wanted)) if wanted else {}
        return [_finished(one, found.get(one.message_id)) for one in understood]


def _finished(returned: Returned, found: Marked | None) -> Finished:
    if returned.kind and returned.named is None:
        if found is None:
            return Finished(returned._replace(result=Result.UNKNOWN_MESSAGE))
        return Finished(returned.about(found), found)
    return Finished(returned, returned.named)
