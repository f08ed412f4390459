"""The changes of all inboxes that a process serves live, over one subscription to Redis.

A listener has a bounded queue. One that does not take its changes in time is told so and dropped; nothing is
kept for it. When the connection to Redis breaks, changes may be lost: then each listener is told to look up
what it missed.
"""

import asyncio
import contextlib
import logging
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from tocsin.delivery.redis_client import open_client

_log = logging.getLogger("tocsin.gateway.inbox")
_QUEUE = 64
_PAUSES_S = (0.1, 0.5, 1.0, 2.0)
_SILENCE_S = 20.0
_STEP_S = 5.0
_ID = slice(len(b'{"id":"'), None)


class Overflow(Exception):
    """A listener was too slow."""


class Stopped(Exception):
    """The process ends."""


class Listener:
    """One live connection's queue of changes.

    Attributes:
        channel: where its changes are told.
        must_look: it must look up what it missed, for changes may have been lost.
    """

    __slots__ = ("_changes", "_failure", "_waker", "channel", "must_look")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.must_look = False
        self._changes: deque[bytes] = deque()
        self._waker: asyncio.Future[None] | None = None
        self._failure: type[Exception] | None = None

    def put(self, change: bytes) -> None:
        """Take a change; too many of them are the listener's end."""
        if len(self._changes) >= _QUEUE:
            self.fail(Overflow)
        elif self._failure is None:
            self._changes.append(change)
            self._wake()

    def look(self) -> None:
        """Ask the listener to look up what it missed."""
        self.must_look = True
        self._wake()

    def fail(self, failure: type[Exception]) -> None:
        """End it."""
        self._failure = self._failure or failure
        self._changes.clear()
        self._wake()

    async def next(self, timeout_s: float) -> bytes | None:
        """Wait for a change; None after the time, or when `must_look` was set.

        Raises:
            Overflow: too many changes were waiting.
            Stopped: the process ends.
        """
        if not self._changes and self._failure is None and not self.must_look:
            await self._wait(timeout_s)
        if self._failure is not None:
            raise self._failure
        return self._changes.popleft() if self._changes and not self.must_look else None

    async def _wait(self, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._waker = waker = loop.create_future()
        timer = loop.call_later(timeout_s, self._wake)
        try:
            await waker
        finally:
            timer.cancel()
            self._waker = None

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)


def change_id(change: bytes) -> str:
    """Read the id of a change without decoding it.

    >>> change_id(b'{"id":"17-1","kind":"read"}')
    '17-1'
    """
    return change[_ID].partition(b'"')[0].decode()


class Hub:
    """Hands the changes of each channel to its listeners; an async context manager.

    Args:
        url: of Redis.
        idle: a channel that nobody uses, for a subscription needs one.
    """

    def __init__(self, url: str, idle: str) -> None:
        self._url: Final = url
        self._idle: Final = idle
        self._listeners: dict[str, set[Listener]] = {}
        self._subscribed: set[str] = set()
        self._feed: PubSub | None = None
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._heard_s = 0.0
        self._is_stopped = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def stop(self) -> None:
        """End all listeners, and those to come: the process ends."""
        self._is_stopped = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.fail(Stopped)

    @property
    def size(self) -> int:
        """Count the listeners."""
        return sum(map(len, self._listeners.values()))

    def count(self, channel: str) -> int:
        """Count the listeners of one channel."""
        return len(self._listeners.get(channel, ()))

    async def join(self, listener: Listener) -> None:
        """Hand it changes. Once none can be missed any more, it is asked to look up those before."""
        listeners = self._listeners.setdefault(listener.channel, set())
        listeners.add(listener)
        self._wanted.set()
        if self._is_stopped:
            listener.fail(Stopped)
        elif listener.channel in self._subscribed:
            listener.look()
        elif len(listeners) == 1:
            await self._say("subscribe", listener.channel)

    async def leave(self, listener: Listener) -> None:
        """Hand it nothing more."""
        listeners = self._listeners.get(listener.channel, set())
        listeners.discard(listener)
        if not listeners and self._listeners.pop(listener.channel, None) is not None:
            self._subscribed.discard(listener.channel)
            await self._say("unsubscribe", listener.channel)

    async def _say(self, command: str, channel: str) -> None:
        """Change the subscription; where that fails, `_run` subscribes to all channels again."""
        async with self._lock:
            if self._feed is not None:
                # redis-py fails with an AttributeError where another task has just lost the connection.
                with contextlib.suppress(RedisError, OSError, AttributeError):
                    await getattr(self._feed, command)(channel)

    async def _run(self) -> None:
        await self._wanted.wait()
        failures = 0
        while True:
            began_s = self._now_s()
            try:
                await self._serve()
            except (RedisError, OSError) as error:
                failures = 0 if self._now_s() - began_s > _SILENCE_S else failures + 1
                _log.warning("the live inboxes lost Redis (%s): they look again", type(error).__name__)
                await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])

    async def _serve(self) -> None:
        """Listen until the connection breaks."""
        async with open_client(self._url) as client, client.pubsub() as feed:
            try:
                # Two first commands at once would each take a connection, and one would never be read.
                async with self._lock:
                    await feed.subscribe(self._idle, *self._listeners)
                    self._feed = feed
                await self._listen(feed)
            finally:
                self._feed = None
                self._subscribed.clear()

    async def _listen(self, feed: PubSub) -> None:
        self._heard_s = self._now_s()
        asked_s = 0.0
        while True:
            said = await feed.get_message(timeout=_STEP_S)
            now_s = self._now_s()
            if said is not None:
                self._heard_s = now_s
                self._hand_out(said)
            elif now_s - self._heard_s > _SILENCE_S:
                msg = "Redis is silent"
                raise OSError(msg)
            elif now_s - asked_s > _STEP_S:
                asked_s = now_s
                await feed.ping()

    def _hand_out(self, said: dict[str, Any]) -> None:
        channel = (said["channel"] or b"").decode()
        listeners = tuple(self._listeners.get(channel, ()))
        if said["type"] == "message":
            for listener in listeners:
                listener.put(said["data"])
        elif said["type"] == "subscribe" and listeners:
            # Also the second one: whoever left and came back may have heard nothing between the two.
            self._subscribed.add(channel)
            for listener in listeners:
                listener.look()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
