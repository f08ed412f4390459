"""Unit tests do not reach for a socket: who tries fails, even where the error is swallowed.

An audit hook sees every socket of Python's own (not those inside librdkafka and other C libraries, whose
clients have no place in a unit test either). Three levels: `none` for unit tests; `loopback` for tests that
stand up a server of their own on this machine; `any` for integration and end-to-end tests.
"""

import ipaddress
import sys
from typing import Any, Literal

Level = Literal["none", "loopback", "any"]

_EVENTS = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"})


class SocketReached(RuntimeError):
    """A test reached for a socket that its level does not allow."""


class SocketGuard:
    """Raises in the test at the attempt, and remembers it."""

    def __init__(self) -> None:
        self.level: Level = "any"
        self.attempts: list[str] = []

    def install(self) -> None:
        """Start to watch; an audit hook cannot be taken back."""
        sys.addaudithook(self._hook)

    def enter(self, level: Level) -> None:
        """Set the level of the test that begins."""
        self.level = level
        self.attempts = []

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.level == "any" or event not in _EVENTS:
            return
        host = _host(event, arguments)
        if self.level == "loopback" and is_local(host):
            return
        attempt = f"{event} {host}"
        self.attempts.append(attempt)
        msg = f"{attempt}: a unit test must not; mark it `integration` if it needs a server"
        raise SocketReached(msg)


def _host(event: str, arguments: tuple[Any, ...]) -> str:
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    return host.decode() if isinstance(host, bytes) else str(host)


def is_local(host: str) -> bool:
    """Whether a host is this machine: a loopback address, every address of it, or a Unix socket."""
    if host in {"", "localhost", "None"} or host.startswith("/"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
