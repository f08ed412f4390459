"""Repeats requests to a broker that is not ready yet: it just started, or just created the topic."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

T = TypeVar("T")

_TIMEOUT_S = 15.0
_INTERVAL_S = 0.1
_NOT_READY = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)


def ask_until_ready(ask: Callable[[], T], timeout_s: float = _TIMEOUT_S) -> T:
    """Repeat a request while the broker answers that it is not ready yet.

    Args:
        ask: sends the request and returns its answer.
        timeout_s: how long to repeat it.

    Raises:
        KafkaException: another error, or still not ready after the timeout.
    """
    end_s = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _NOT_READY or time.monotonic() > end_s:
                raise
        time.sleep(_INTERVAL_S)
