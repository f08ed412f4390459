"""Asking a broker that is up and not ready: after its start, or a topic's creation."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

T = TypeVar("T")

_PATIENCE_S = 15.0
_EVERY_S = 0.1
_SETTLING = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)


def settled(ask: Callable[[], T], patience_s: float = _PATIENCE_S) -> T:
    """Ask, and again while the broker says that it will know soon, for a bounded time.

    Raises:
        KafkaException: another error, or still the same after that time.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _SETTLING or time.monotonic() > end:
                raise
        time.sleep(_EVERY_S)
