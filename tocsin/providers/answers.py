"""Reads what vendors' answers have in common: a body of JSON, and how long to wait."""

from typing import TypeVar

import msgspec

from tocsin.errors import DeliveryError, Throttled, Transient
from tocsin.providers.http import Response, retry_after_s

T = TypeVar("T")

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_json(body: bytes, kind: type[T]) -> T:
    """Read the JSON of an answer; one of another shape is read as an empty `kind()`.

    A proxy or a load balancer may answer in the vendor's place. The HTTP status then classes the answer.

    Args:
        body: as it came.
        kind: a struct of which each field has a default, or a list of such structs.

    >>> read_json(b"[1, 2]", list[int]), read_json(b"<html>502</html>", list[int])
    ([1, 2], [])
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except _UNREADABLE:
        return kind()


def read_search(body: bytes, kind: type[T], what: str, code: str) -> T:
    """Read the JSON of what a vendor found when it was asked for a message.

    Args:
        body: as it came.
        kind: a struct whose list has no default, or the list itself.
        what: names the answer in the text of the error.
        code: of the error.

    Raises:
        Transient: it is of another shape, so nothing is known of the message: ask again.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except _UNREADABLE:
        msg = f"{what} cannot be read"
        raise Transient(msg, code=code) from None


def wait_s(
    kind: type[DeliveryError], answer: Response, now_s: float, otherwise: float | None = None
) -> float | None:
    """Return how many seconds an answer asks to wait before the next attempt.

    Args:
        kind: the error that the answer becomes; only throttling and transient errors are repeated.
        answer: its `Retry-After` is read.
        now_s: wall time in seconds, for a `Retry-After` that is a date.
        otherwise: seconds to wait where the answer names none.

    Returns:
        the seconds; None if neither the answer nor the caller names any, or the error is of another kind.
    """
    if not issubclass(kind, Throttled | Transient):
        return None
    asked = retry_after_s(answer.headers, now_s)
    return otherwise if asked is None else asked
