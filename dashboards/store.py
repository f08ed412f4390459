"""The analytical store: where ClickHouse is, how to reach it, and what its errors mean."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httputil import default_pool_manager

from tocsin.errors import SettingsError

AWAY = (ClickHouseError, OSError)
"""What a client raises when the server is away or refuses."""
NO_SCHEMA_CODES = (60, 81)
"""UNKNOWN_TABLE and UNKNOWN_DATABASE."""


class Address(NamedTuple):
    """A ClickHouse HTTP address taken apart."""

    host: str
    port: int
    user: str
    password: str
    database: str
    secure: bool


def address(url: str) -> Address:
    """Read `http(s)://user:password@host:port/database`.

    Raises:
        SettingsError: no host, a port that is no number or 0, or a scheme other than http and https.
    """
    wrong = "TOCSIN_CLICKHOUSE: must be http(s)://user:password@host:port/database"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(wrong) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise SettingsError(wrong)
    secure = parts.scheme == "https"
    return Address(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=parts.path.strip("/") or "tocsin",
        secure=secure,
    )


def connect(url: str, *, with_database: bool = True, timeout_s: int = 60) -> Client:
    """Open a client of ClickHouse's HTTP interface, embedded or real alike.

    A proxy named by the environment (`HTTP_PROXY`) is asked for servers elsewhere, never for one on this
    machine, whatever `NO_PROXY` says.

    Raises:
        clickhouse_connect.driver.exceptions.Error: nobody answers, or the user is refused.
    """
    at = address(url)
    return clickhouse_connect.get_client(
        host=at.host,
        port=at.port,
        username=at.user,
        password=at.password,
        database=at.database if with_database else "default",
        secure=at.secure,
        autogenerate_session_id=False,
        connect_timeout=5,
        send_receive_timeout=timeout_s,
        pool_mgr=default_pool_manager() if _is_here(at.host) else None,
    )


_ERRNO = re.compile(r"\[Errno -?\d+\] ([A-Za-z][A-Za-z ,]*)")


def reason(error: Exception) -> str:
    """Name one of `AWAY` in a line of at most 400 characters; clients write whole paragraphs.

    Of a failed connection the innermost cause is named: the client puts three layers of its own around it.
    """
    first = str(error).partition("\n")[0]
    if refused := _ERRNO.search(first):
        return refused[1]
    return f"{type(error).__name__}: {first[:400]}"


def explain_failure(error: Exception) -> str:
    """Say what one of `AWAY` means, and the cure: a refusal has a code, no answer has none."""
    code = getattr(error, "code", None)
    if code in NO_SCHEMA_CODES:
        return f"ClickHouse lacks the schema; run `tocsin db migrate` ({reason(error)})"
    if code is not None:
        return f"ClickHouse refuses: {reason(error)}"
    if isinstance(error, ClickHouseError):
        return f"ClickHouse does not answer ({reason(error)}): is it up, and TOCSIN_CLICKHOUSE its address?"
    return f"no answer from a server ({reason(error)}); `tocsin check` tells which"


def ask(client: Client, text: str, bound: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run a question and name the columns of each row of its answer. Refreshes of rollups wait for it."""
    result = client.query(text, parameters=dict(bound), settings=_first(client))
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def _first(client: Client) -> dict[str, int]:
    """Give a question precedence over queries that name a lower one. A read-only user may not ask for it."""
    known = client.server_settings.get("priority")
    return {} if known is None or known.readonly else {"priority": 1}


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
