"""Housekeeping: repeated tasks beside the flow."""

import os
import threading

import pytest

from flows.housekeeping import every, parent_watch
from tests.waiting import PATIENCE_S


def test_housekeeping_goes_on_after_a_failure_and_says_where_it_was(caplog: pytest.LogCaptureFixture) -> None:
    looks = threading.Semaphore(0)

    def look() -> None:
        looks.release()
        raise KeyError("ann@mail.example")

    with every(0.01, look):
        for _ in range(3):
            assert looks.acquire(timeout=PATIENCE_S), "housekeeping is dead"
    assert "housekeeping: KeyError at test_housekeeping.py:" in caplog.text
    assert "ann@mail.example" not in caplog.text


def test_a_shard_whose_supervisor_was_gone_before_it_looked_ends_too() -> None:
    gone = os.getpid()  # anything but the parent
    asked = []
    for parent in (os.getppid(), gone):
        stop = threading.Event()
        parent_watch(parent, stop)()
        asked.append(stop.is_set())
    assert asked == [False, True]
