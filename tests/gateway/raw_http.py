"""A client of HTTP that sends bytes in parts, and loses nothing that was answered."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence

from tests.waiting import PATIENCE_S, soon

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SMALL = 4_096  # fits into the buffers of a socket whose server reads nothing


class _Answers:
    """Reads answers as they come: those before a reset are there, too."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.found = b""

    async def read(self) -> None:
        with contextlib.suppress(ConnectionError):
            while part := await self._reader.read(1 << 16):
                self.found += part


async def exchanged(port: int, parts: Sequence[bytes], pause_s: float) -> bytes:
    """Send parts one by one; return all that is answered until the end of the connection.

    What follows a part that expects `100 Continue` is sent when that was answered.
    """
    connection = socket.create_connection(("127.0.0.1", port))
    at_once = _sent_at_once(connection, parts)
    reader, writer = await asyncio.open_connection(sock=connection)
    answers = _Answers(reader)
    reading = asyncio.create_task(answers.read())
    with contextlib.suppress(ConnectionError):
        for number, part in enumerate(parts):
            writer.write(part[at_once:] if number == 0 else part)
            await writer.drain()
            await asyncio.sleep(pause_s)
            if b"100-continue" in part:
                await soon(lambda: reading.done() or _CONTINUE in answers.found, "the interim answer")
    await asyncio.wait_for(reading, PATIENCE_S)
    writer.close()
    return answers.found


def _sent_at_once(connection: socket.socket, parts: Sequence[bytes]) -> int:
    """Send the first part, unless it is large: it is there before the server takes the connection.

    So no head is late because the machine stood still between the connection and the head.
    """
    first = parts[0] if parts else b""
    return connection.send(first) if len(first) <= _SMALL else 0
