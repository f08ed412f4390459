"""The connections of an HTTP transport: idle ones first, then new ones up to a limit, then a queue."""

import asyncio
import ssl
from collections import deque

from tocsin.errors import Transient
from tocsin.providers.http import HttpPolicy
from tocsin.providers.http_connect import Origin, Way, open_connection, read_proxy
from tocsin.providers.http_exchange import Connection, Deadlines

_IDLE_S = 30.0
"""Load balancers close idle connections after 60 s or more; a younger one is unlikely to be closing."""


class Pool:
    """Connections by origin, each for one request at a time.

    Args:
        policy: how many there may be, and how long to wait for one.
        tls: the certificates to trust.
    """

    def __init__(self, policy: HttpPolicy, tls: ssl.SSLContext) -> None:
        self._policy = policy
        self._way = Way(tls, read_proxy(policy.proxy), policy.public_only)
        self._idle: dict[Origin, deque[Connection]] = {}
        self._free = policy.max_connections
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._retired = False
        self._deadlines = Deadlines()

    def idle(self, origin: Origin) -> Connection | None:
        """Take the connection used last, if one is open and young enough."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open and connection.age_s() < _IDLE_S:
                return connection
            self._forget(connection)
        return None

    async def connect(self, origin: Origin, timeout_s: float) -> Connection:
        """Open a connection within the policy's time and `timeout_s`, or wait for one that becomes free.

        Raises:
            Transient: no connection: refused, timed out, no slot in time, or closed.
            Misconfigured: the server's certificate is not trusted, or it does not speak our TLS.
            Rejected: only public addresses are called, and this one is none.
        """
        while self._free <= 0 and not self._retired and not self._drop_idle():
            await self._slot()
            if connection := self.idle(origin):
                connection.rest()
                return connection
        if self._retired:
            msg = "no connection was free (closed)"
            raise Transient(msg)
        self._free -= 1
        try:
            return await self._open(origin, min(timeout_s, self._policy.connect_timeout_s))
        except BaseException:
            self._release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request, or close it."""
        if connection.is_open and not self._retired:
            connection.rest()
            self._idle.setdefault(connection.origin, deque()).append(connection)
            self._wake()
        else:
            self._forget(connection)

    def retire(self) -> None:
        """Close what is idle now, and what is in use as soon as it is given back."""
        self._retired = True
        for idle in self._idle.values():
            for connection in idle:
                connection.drop()
        self._idle.clear()
        while self._waiting:
            self._wake()

    async def _open(self, origin: Origin, timeout_s: float) -> Connection:
        connection = Connection(origin, self._deadlines, self._policy.first_byte_timeout_s)
        await open_connection(connection, origin, self._way, timeout_s)
        return connection

    def _drop_idle(self) -> bool:
        """Close an idle connection of another origin, so that a new one has its slot; False if none is."""
        for idle in self._idle.values():
            if idle:
                self._forget(idle.popleft())
                return True
        return False

    async def _slot(self) -> None:
        """Wait until a connection is given back or closed.

        Raises:
            Transient: none was in time.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._policy.pool_timeout_s):
                await turn
        except TimeoutError:
            failure = Transient("no connection was free (PoolTimeout)")
        else:
            return
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
        raise failure

    def _forget(self, connection: Connection) -> None:
        connection.drop()
        self._release()

    def _release(self) -> None:
        self._free += 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
