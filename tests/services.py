"""Servers for integration tests, one set a test run; the same tests pass on all of them.

Where a server comes from, in this order: an address in the environment (`TOCSIN_TEST_KAFKA`,
`TOCSIN_TEST_REDIS`, `TOCSIN_TEST_CLICKHOUSE`, `TOCSIN_TEST_SANDBOX` as `http://host:port,host:smtp_port`);
Docker, if an engine answers at once; the embedded servers of `local/`. Nothing starts before a test asks.

Tests do not collide: `topic_prefix`, `redis_db` and `clickhouse_db` are each test's own. A Redis named in the
environment is flushed in its databases 1 to 15.
"""

import contextlib
import itertools
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from tocsin.devkit.servers import CLICKHOUSE, KAFKA, REDIS, SANDBOX, Servers

if TYPE_CHECKING:  # clients are loaded by the tests that need them: they take a second
    from testcontainers.core.container import DockerContainer

# Three workers may share a Redis that was named: each has databases of its own.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 3
_REDIS_DATABASES = itertools.cycle(range(5 * _WORKER + 1, 5 * _WORKER + 6))
_DOCKER_TIMEOUT_S = 1


@dataclass(frozen=True)
class SandboxAddress:
    """Where the provider sandbox of this run listens."""

    http: str
    smtp_host: str
    smtp_port: int


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a Kafka broker."""
    with _service(KAFKA, "TOCSIN_TEST_KAFKA", _kafka_container, tmp_path_factory) as address:
        yield address


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis, shared by all tests; most want `redis_db`."""
    with _service(REDIS, "TOCSIN_TEST_REDIS", _redis_container, tmp_path_factory) as url:
        yield url


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HTTP URL of a ClickHouse, database `default`; most want `clickhouse_db`."""
    with _service(CLICKHOUSE, "TOCSIN_TEST_CLICKHOUSE", _clickhouse_container, tmp_path_factory) as url:
        yield _with_path(url, "default")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxAddress]:
    """Find the provider sandbox of this run."""
    if named := os.environ.get("TOCSIN_TEST_SANDBOX"):
        http, _, smtp = named.partition(",")
        yield _sandbox_address(http, smtp)
        return
    with Servers(tmp_path_factory.mktemp(SANDBOX), {SANDBOX}) as servers:
        yield _sandbox_address(servers.addresses[SANDBOX], servers.addresses["smtp"])


@pytest.fixture
def topic_prefix() -> str:
    """Prefix of this test's topics."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def redis_db(redis_url: str) -> Iterator[str]:
    """URL of a database of the Redis that is this test's own, empty before and after."""
    import redis

    url = _with_path(redis_url, str(next(_REDIS_DATABASES)))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@pytest.fixture
def clickhouse_db(clickhouse_url: str) -> Iterator[str]:
    """HTTP URL of a database of the ClickHouse that is this test's own, empty, dropped afterwards."""
    with _database(clickhouse_url) as url:
        yield url


@pytest.fixture(scope="module")
def clickhouse_module_db(clickhouse_url: str) -> Iterator[str]:
    """HTTP URL of a database that the tests of one file share."""
    with _database(clickhouse_url) as url:
        yield url


@contextlib.contextmanager
def _database(clickhouse_url: str) -> Iterator[str]:
    import clickhouse_connect

    name = f"test_{uuid.uuid4().hex[:12]}"
    with contextlib.closing(clickhouse_connect.get_client(dsn=clickhouse_url)) as client:
        client.command(f"CREATE DATABASE {name}")
        yield _with_path(clickhouse_url, name)
        client.command(f"DROP DATABASE {name} SYNC")


@contextlib.contextmanager
def _service(
    name: str,
    variable: str,
    container: Callable[[contextlib.ExitStack], str],
    folders: pytest.TempPathFactory,
) -> Iterator[str]:
    """Choose where a server comes from, and hold it for the run."""
    with contextlib.ExitStack() as stack:
        if named := os.environ.get(variable):
            yield named
        elif _docker_answers():
            yield container(stack)
        else:
            servers = stack.enter_context(Servers(folders.mktemp(name), {name}))
            yield servers.settings[f"TOCSIN_{name.upper()}"]


def _docker_answers() -> bool:
    """Whether a Docker engine answers at once (asked plainly: its client leaks sockets when it does not)."""
    where = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    on_path = where.scheme == "unix"
    with socket.socket(socket.AF_UNIX if on_path else socket.AF_INET) as connection:
        connection.settimeout(_DOCKER_TIMEOUT_S)
        try:
            connection.connect(where.path if on_path else (where.hostname, where.port or 2375))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def _kafka_container(stack: contextlib.ExitStack) -> str:
    from testcontainers.kafka import KafkaContainer

    return str(stack.enter_context(KafkaContainer().with_kraft()).get_bootstrap_server())


def _redis_container(stack: contextlib.ExitStack) -> str:
    from testcontainers.redis import RedisContainer

    command = "redis-server --appendonly yes --maxmemory-policy noeviction"
    container = stack.enter_context(RedisContainer("redis:7").with_command(command))
    return f"redis://{_host_and_port(container, 6379)}/0"


def _clickhouse_container(stack: contextlib.ExitStack) -> str:
    from testcontainers.clickhouse import ClickHouseContainer

    image = ClickHouseContainer(username="default", password="test", port=8123)
    return f"http://default:test@{_host_and_port(stack.enter_context(image), 8123)}/default"


def _host_and_port(container: "DockerContainer", port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def _sandbox_address(http: str, smtp: str) -> SandboxAddress:
    host, _, port = smtp.rpartition(":")
    return SandboxAddress(http, host, int(port))
