"""One live connection: which changes it is told, in order and once, and when it ends. Knows no transport."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple, Self

import msgspec
from redis.exceptions import RedisError

from tocsin.gateway.gateway import Gateway
from tocsin.gateway.inbox.bounds import LivePolicy
from tocsin.gateway.inbox.hub import Listener, Overflow, Stopped, change_id
from tocsin.gateway.inbox.service import service_of
from tocsin.gateway.inbox.tokens import InboxUser
from tocsin.gateway.problems import Problem, of_field
from tocsin.providers.inbox import NEVER, Counts

BEAT = b'{"kind":"beat"}'
_AGAIN_S = 1.0
_MOST_PARTS = 2


class Told(NamedTuple):
    """What a client is told; a heartbeat has no id."""

    id: str
    text: bytes


class End(Exception):
    """A connection ends.

    Attributes:
        code: close code of the WebSocket; also the SSE event `end` has it.
        reason: in words.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


TOKEN_OVER = 4401
_OVER = "the token is over: fetch a new one"
TOO_SLOW = 4408
RESTART = 1012
TOO_MUCH_SAID = 1008


def known_id(text: str) -> str:
    """Check the id of the last change that a client has; empty for none.

    Raises:
        Problem: 422; no server gave it this id.
    """
    parts = text.split("-")
    if text and not (len(parts) == _MOST_PARTS and all(part.isascii() and part.isdigit() for part in parts)):
        raise of_field("last_event_id", "no id", "give the id of a change as it came, or leave it away")
    if len(text) > len(str(2**64)) * _MOST_PARTS:
        raise of_field("last_event_id", "no id", "give the id of a change as it came, or leave it away")
    return text


def order_of(known: str) -> tuple[int, ...]:
    """Make ids comparable.

    >>> order_of("5-10") > order_of("5-9")
    True
    """
    return tuple(map(int, known.split("-"))) if known else (0, 0)


class Session:
    """Tells one client each change of its user's inbox once, in order.

    A client that comes back names the last id it has. It gets what it missed, or `reload` if that is too
    much. The same happens when changes may have been lost between Redis and this process.

    Args:
        gateway: the gateway.
        token: as the client sent it; it is checked again every beat, for its key may be revoked, or its user
            erased.
        known: id of the last change that the client has; empty for none.

    Raises:
        Problem: 401 for a bad token.
    """

    def __init__(self, gateway: Gateway, token: str, known: str) -> None:
        self._gateway = gateway
        self._service = service_of(gateway)
        self._token = token
        self.bounds: LivePolicy = self._service.bounds
        self._known = known_id(known)
        self._is_new = True
        self._checked_ms = gateway.clock_ms()
        self.user: InboxUser = self._service.user(token, gateway.clock_ms())
        self._inbox = self._service.inbox(self.user.tenant)
        self.listener = Listener(self._inbox.live_channel(self.user.key))

    @classmethod
    async def open(cls, gateway: Gateway, token: str, known: str) -> Self:
        """Make the session of a client that may listen.

        Raises:
            Problem: 401 for a token that opens nothing, 429 with too many connections, 503 without Redis.
        """
        session = cls(gateway, token, known)
        await session._service.refuse_erased(session.user)
        session._refuse_many()
        return session

    def _refuse_many(self) -> None:
        hub, policy = self._service.hub, self.bounds
        if hub.count(self.listener.channel) >= policy.per_user or hub.size >= policy.most:
            text = "too many live connections: close one, or read the inbox now and then instead"
            raise Problem(429, text, headers={"retry-after": "60"})

    async def join(self) -> None:
        """Begin to hear changes."""
        await self._service.hub.join(self.listener)

    async def leave(self) -> None:
        """Hear nothing more."""
        await self._service.hub.leave(self.listener)

    async def told(self) -> AsyncIterator[Told]:
        """Tell what happens, and heartbeats.

        Raises:
            End: with the code for the client.
        """
        while True:
            change = await self._next()
            await self._check_now_and_then()
            if self.listener.must_look:
                for each in await self._look():
                    yield each
            elif change is None:
                yield Told("", BEAT)
            elif self._is_news(change):
                self._known = change_id(change)
                yield Told(self._known, change)
                if self._known == NEVER:  # only an erasure has no id
                    raise End(TOKEN_OVER, _OVER)

    async def _next(self) -> bytes | None:
        left_s = (self.user.until_ms - self._gateway.clock_ms()) / 1_000
        try:
            return await self.listener.next(max(0.0, min(self.bounds.beat_s, left_s)))
        except Overflow:
            raise End(TOO_SLOW, "changes came faster than they were taken") from None
        except Stopped:
            raise End(RESTART, "the server restarts: connect again") from None

    async def _check_now_and_then(self) -> None:
        """Check the token again once a beat, also where changes leave no silence.

        Its key may be revoked, or its user erased. Without Redis no erasure is known, and nothing is told.
        """
        now_ms = self._gateway.clock_ms()
        if now_ms < min(self._checked_ms + self.bounds.beat_s * 1_000, self.user.until_ms):
            return
        self._checked_ms = now_ms
        try:
            self._service.user(self._token, now_ms)
        except Problem:
            raise End(TOKEN_OVER, _OVER) from None
        with contextlib.suppress(RedisError, OSError):
            if await self._service.is_erased(self.user):
                raise End(TOKEN_OVER, _OVER)

    def _is_news(self, change: bytes) -> bool:
        return change_id(change) == NEVER or order_of(change_id(change)) > order_of(self._known)

    async def _look(self) -> list[Told]:
        """Look up what the client misses."""
        self.listener.must_look = False
        try:
            missed = await self._inbox.missed(self.user.key, self._known)
        except (RedisError, OSError):
            await asyncio.sleep(_AGAIN_S)
            self.listener.must_look = True
            return []
        is_first, self._is_new = self._is_new, False
        self._known = missed.last
        told = [Told(change, text) for change, text in missed.changes]
        if missed.is_too_much:
            told.append(Told(missed.last, _state("reload", missed.last, missed.counts)))
        elif is_first:
            told.append(Told(missed.last, _state("hello", missed.last, missed.counts)))
        return told


def _state(kind: str, last: str, counts: Counts) -> bytes:
    about = {"id": last, "kind": kind, "unread": counts.unread, "unseen": counts.unseen}
    return msgspec.json.encode(about)
