"""A proxy before Kafka that makes a broker disagree with a producer on the order of its records."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from tests.tcp_proxy import TcpProxy

_Work = Callable[[socket.socket, socket.socket, set[bytes]], None]
_PRODUCE = 0
_OUT_OF_ORDER = struct.pack(">h", 45)
_ERROR_AT = 5
"""Where the error is behind the topic's name: behind the number of partitions and a partition's."""


class DisagreeingBroker(TcpProxy):
    """Passes requests and answers of one broker.

    Args:
        server: its address.
        topic: name of the topic whose records are refused.

    Attributes:
        address: of the proxy; the broker's answers name it, too.
        to_refuse: how many requests to write are still answered with OUT_OF_ORDER_SEQUENCE_NUMBER.
    """

    def __init__(self, server: str, topic: str) -> None:
        host, _, port = server.rpartition(":")
        super().__init__((host, int(port)))
        self._topic = topic.encode()
        self._ports = (struct.pack(">i", int(port)), struct.pack(">i", self.port))
        self.address = f"127.0.0.1:{self.port}"
        self.to_refuse = 0

    def connected(self, client: socket.socket, server: socket.socket) -> None:
        """Pass requests and answers."""
        writes = set[bytes]()
        for work in (self._requests, self._answers):
            threading.Thread(target=_run, args=(work, client, server, writes), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, writes: set[bytes]) -> None:
        while frame := _frame(client):
            if struct.unpack(">h", frame[4:6]) == (_PRODUCE,):
                writes.add(bytes(frame[8:12]))
            server.sendall(frame)

    def _answers(self, client: socket.socket, server: socket.socket, writes: set[bytes]) -> None:
        while frame := _frame(server):
            if bytes(frame[4:8]) in writes and self.to_refuse:
                self.to_refuse -= 1
                at = frame.index(self._topic) + len(self._topic) + _ERROR_AT
                frame[at : at + 2] = _OUT_OF_ORDER
            client.sendall(frame.replace(*self._ports))


def _run(work: _Work, client: socket.socket, server: socket.socket, writes: set[bytes]) -> None:
    with contextlib.suppress(OSError):
        work(client, server, writes)
    for each in (client, server):
        each.close()


def _frame(from_: socket.socket) -> bytearray:
    """Read one request or answer, its length first; empty at the end."""
    length = from_.recv(4, socket.MSG_WAITALL)
    if len(length) < 4:
        return bytearray()
    return bytearray(length + from_.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
