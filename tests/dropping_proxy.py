"""A TCP proxy that drops answers: the server did what it was asked, and the client never hears it."""

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from tests.tcp_proxy import TcpProxy

_CHUNK = 65_536


class DroppingProxy(TcpProxy):
    """Passes bytes between clients and one server, and cuts connections where a marked request was answered.

    Args:
        url: the server's URL.
        marker: bytes that a request must hold for its answer to be dropped.

    Attributes:
        url: the same URL through the proxy.
        to_drop: how many answers to marked requests are still to be dropped.
        dropped: how many were.
    """

    def __init__(self, url: str, marker: bytes) -> None:
        parts = urlsplit(url)
        super().__init__((parts.hostname or "", parts.port or 0))
        self._marker = marker
        login = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{login}{'@' if login else ''}127.0.0.1:{self.port}"))
        self.to_drop = 0
        self.dropped = 0
        self._counting = threading.Lock()

    def connected(self, client: socket.socket, server: socket.socket) -> None:
        """Pass bytes until an answer is dropped."""
        _Pair(self, client, server).start()

    def marks(self, request: bytes) -> bool:
        """Tell whether the answer to this request may be dropped."""
        return self._marker in request

    def takes(self) -> bool:
        """Tell whether an answer is to be dropped now, and count it."""
        with self._counting:
            if not self.to_drop:
                return False
            self.to_drop -= 1
            self.dropped += 1
            return True


class _Pair:
    """One connection of a client, and ours to the server."""

    def __init__(self, proxy: DroppingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._marked = False
        self._ended = threading.Semaphore(0)

    def start(self) -> None:
        for work in (self._requests, self._answers):
            threading.Thread(target=self._run, args=(work,), daemon=True).start()
        threading.Thread(target=self._close, daemon=True).start()

    def _run(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            work()
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ended.release()

    def _close(self) -> None:
        for _ in range(2):
            self._ended.acquire()
        self._client.close()
        self._server.close()

    def _requests(self) -> None:
        while data := self._client.recv(_CHUNK):
            self._marked = self._marked or self._proxy.marks(data)
            self._server.sendall(data)

    def _answers(self) -> None:
        while data := self._server.recv(_CHUNK):
            if self._marked and self._proxy.takes():
                return
            self._marked = False
            self._client.sendall(data)
