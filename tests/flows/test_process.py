"""What a shard does beside its flow."""

import os
import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from flows.process import Opened, ShardPlan, _every, _parent_watch
from tocsin.app.settings import Settings
from tocsin.errors import SettingsError


def test_housekeeping_goes_on_after_a_failure_and_says_where_it_was(caplog: pytest.LogCaptureFixture) -> None:
    looks = threading.Semaphore(0)

    def look() -> None:
        looks.release()
        raise KeyError("ann@mail.example")

    with _every(0.01, look):
        for _ in range(3):
            assert looks.acquire(timeout=10), "housekeeping is dead"
    assert "housekeeping: KeyError at test_process.py:" in caplog.text
    assert "ann@mail.example" not in caplog.text


@pytest.mark.parametrize("url", ["http:///db", "http://h:1:2/db"])
def test_an_address_of_clickhouse_that_cannot_be_one_is_refused_before_any_thread_writes(url: str) -> None:
    settings = Settings().model_copy(update={"clickhouse": url})
    shard: Any = SimpleNamespace(_settings=settings, _plan=ShardPlan(0, 1, "track", ()), _stack=ExitStack())
    before = set(threading.enumerate())
    with pytest.raises(SettingsError, match="TOCSIN_CLICKHOUSE"):
        Opened._writer(shard)
    assert set(threading.enumerate()) <= before


def test_a_shard_whose_supervisor_was_gone_before_it_looked_ends_too() -> None:
    gone = os.getpid()  # anything but the parent
    asked = []
    for parent in (os.getppid(), gone):
        stop = threading.Event()
        _parent_watch(parent, stop)()
        asked.append(stop.is_set())
    assert asked == [False, True]
