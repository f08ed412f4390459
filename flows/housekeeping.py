"""Housekeeping: small tasks that a process repeats beside its flow."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tocsin.errors import kind_and_place

_log = logging.getLogger("tocsin")


@contextmanager
def every(seconds: float, task: Callable[[], None]) -> Iterator[None]:
    """Repeat a task on a thread of its own while the context is open.

    An exception of the task is logged without its text, which may hold personal data; the next call is made
    all the same.
    """
    done = threading.Event()

    def loop() -> None:
        while not done.wait(seconds):
            try:
                task()
            except Exception as error:  # the flow's edge: nobody else polls catalog, Kafka and parent
                _log.error("housekeeping: %s", kind_and_place(error))

    thread = threading.Thread(target=loop, name="housekeeping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(5)


def parent_watch(parent: int, stop: threading.Event) -> Callable[[], None]:
    """Make a task that ends the flow in order once the supervisor is gone.

    Args:
        parent: process id of the supervisor.
        stop: set to end the flow.
    """

    def look() -> None:
        if os.getppid() != parent:
            stop.set()

    return look
