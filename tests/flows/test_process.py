"""What a shard does beside its flow."""

import threading

import pytest

from flows.process import _every


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
