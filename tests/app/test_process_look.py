"""What processes say of their accounts: read from their metrics, compared and added up."""

import pytest

from tests.app.test_metrics import Process
from tests.waiting import PATIENCE_S
from tocsin.app import process_look
from tocsin.app.health import HealthServer
from tocsin.app.metrics import registry
from tocsin.app.process_look import AccountLoad, ProcessLook, account_loads, look_at


def look(at_s: float, sent: float, failed: float, **gauges: float) -> ProcessLook:
    calls: dict[tuple[str, ...], float] = {
        ("tocsin_provider_calls_total", "main", "sent"): sent,
        ("tocsin_provider_calls_total", "main", "transient"): failed,
    }
    calls |= {(f"tocsin_{name}", "main"): value for name, value in gauges.items()}
    return ProcessLook(at_s, calls)


def test_processes_are_added_up_and_the_oldest_is_that_of_all() -> None:
    pairs = [
        (look(0, 100, 5), look(2, 140, 6, account_waiting=30, account_oldest_seconds=9, breaker_open=1)),
        (look(0, 10, 0), look(4, 50, 0, account_waiting=15, account_oldest_seconds=4, account_in_flight=3)),
    ]
    assert account_loads(pairs) == [AccountLoad("main", 1, 3, 45, 9, 30.0, 0.5, 0)]
    assert account_loads(pairs)[0].drain_s == 1.5


def test_a_process_that_started_between_the_looks_does_not_count_backwards() -> None:
    [load] = account_loads([(look(0, 100, 5), look(1, 3, 0, account_waiting=2))])
    assert load.taken_per_s == 0
    assert load.drain_s is None, "no rate says when"


def test_what_a_process_serves_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_look, "_TIMEOUT_S", PATIENCE_S)
    process = Process()
    server = HealthServer("127.0.0.1", 0, registry(process), process.checks)
    found = look_at(f"http://127.0.0.1:{server.port}/metrics")
    server.close()
    assert found is not None
    assert found.values["tocsin_provider_calls_total", "twilio", "sent"] == 1
    assert found.values["tocsin_account_waiting", "twilio"] == 4


def test_nobody_there_is_no_error_and_no_address_is_one() -> None:
    assert look_at("http://127.0.0.1:9/metrics") is None
    with pytest.raises(ValueError, match="url"):
        look_at("ten.0.0.7")
