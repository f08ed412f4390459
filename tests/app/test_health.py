"""`/healthz` and `/metrics` over HTTP."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from tests.waiting import PATIENCE_S
from tocsin.app.health import Fact, HealthChecks, HealthServer, Severity
from tocsin.devkit.processes import free_ports
from tocsin.errors import SettingsError

pytestmark = pytest.mark.loopback


class Served:
    """A server and what it is told."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        checks = HealthChecks()
        checks.register("kafka", lambda: self.facts)
        checks.register("redis", list)
        registry = CollectorRegistry()
        Counter("tocsin_example", "an example", registry=registry).inc(3)
        self.server = HealthServer("127.0.0.1", 0, registry, checks)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.server.port}{path}", timeout=PATIENCE_S
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.server.close()


def test_healthy_is_200_and_an_error_is_503_with_its_sentence(served: Served) -> None:
    code, body = served.get("/healthz")
    assert (code, json.loads(body)) == (
        200,
        {
            "healthy": True,
            "alive": True,
            "problems": [],
            "warnings": [],
            "checks": {"kafka": [], "redis": []},
        },
    )
    served.facts = [Fact("events/3 is paused")]
    code, body = served.get("/healthz")
    assert code == 503
    found = json.loads(body)
    assert (found["healthy"], found["problems"]) == (False, ["events/3 is paused"])
    assert found["checks"]["kafka"] == [{"sentence": "events/3 is paused", "severity": "error"}]


def test_a_warning_is_told_and_fails_no_probe(served: Served) -> None:
    served.facts = [Fact("ClickHouse is away", Severity.WARNING)]
    code, body = served.get("/healthz")
    assert code == 200
    found = json.loads(body)
    assert (found["healthy"], found["problems"], found["warnings"]) == (True, [], ["ClickHouse is away"])


@pytest.mark.parametrize(
    ("severity", "live", "ready"),
    [(Severity.WARNING, 200, 200), (Severity.ERROR, 200, 503), (Severity.STALLED, 503, 503)],
)
def test_each_probe_fails_by_its_own_facts(served: Served, severity: Severity, live: int, ready: int) -> None:
    served.facts = [Fact("something is wrong", severity)]
    answers = {path: served.get(path) for path in ("/livez", "/readyz", "/healthz")}
    assert {path: code for path, (code, _) in answers.items()} == {
        "/livez": live,
        "/readyz": ready,
        "/healthz": ready,
    }
    assert all("something is wrong" in body for _, body in answers.values())


def test_two_checks_of_one_name_are_refused() -> None:
    checks = HealthChecks()
    checks.register("kafka", list)
    with pytest.raises(ValueError, match="'kafka' is registered twice"):
        checks.register("kafka", list)


def test_metrics_are_prometheus_text(served: Served) -> None:
    code, body = served.get("/metrics?name=x")
    assert code == 200
    assert "tocsin_example_total 3.0" in body


def test_anything_else_is_404_and_says_what_there_is(served: Served) -> None:
    code, body = served.get("/")
    assert code == 404
    assert "/healthz" in body


def test_a_port_in_use_is_a_setting_to_mend(served: Served) -> None:
    port = served.server.port
    with pytest.raises(
        SettingsError, match=rf"TOCSIN_HTTP_PORT: cannot listen on 127\.0\.0\.1:{port} \(Addr"
    ):
        HealthServer("127.0.0.1", port, CollectorRegistry(), HealthChecks())


def test_a_shard_s_port_beyond_the_last_is_a_setting_to_mend() -> None:
    with pytest.raises(SettingsError, match=r"TOCSIN_HTTP_PORT: cannot listen on 127\.0\.0\.1:65536"):
        HealthServer("127.0.0.1", 65_536, CollectorRegistry(), HealthChecks())


KILLED = """
import signal, sys
from prometheus_client import CollectorRegistry
from tocsin.app.health import Fact, HealthChecks, HealthServer, Severity
print(HealthServer("127.0.0.1", int(sys.argv[1]), CollectorRegistry(), HealthChecks()).port, flush=True)
signal.pause()
"""


def test_the_port_of_a_killed_process_is_free_at_once_although_connections_to_it_are_open() -> None:
    (port,) = free_ports(1)  # of those that no outgoing connection takes meanwhile
    command = [sys.executable, "-c", KILLED, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert int(process.stdout.readline()) == port
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert connection.recv(8) == b"HTTP/1.0"
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S):
                process.kill()
                process.wait()
                again = HealthServer("127.0.0.1", port, CollectorRegistry(), HealthChecks())
                assert again.port == port
                again.close()
