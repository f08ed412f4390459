"""Accepts connections for one server: what proxies of tests have in common."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class TcpProxy:
    """Listens on 127.0.0.1 while its context is open, and connects each client to the server.

    Args:
        server: host and port.

    Attributes:
        port: of the proxy.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connected(client, socket.create_connection(self._server))

    def connected(self, client: socket.socket, server: socket.socket) -> None:
        """Begin to pass bytes between the two, in threads."""
        raise NotImplementedError
