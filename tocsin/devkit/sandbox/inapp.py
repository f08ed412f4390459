"""Reads the in-app inboxes from Redis for the viewer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tocsin.devkit.sandbox.content import Inbox as Shown
from tocsin.devkit.sandbox.content import encode, preview
from tocsin.devkit.sandbox.request_handler import RequestHandler
from tocsin.devkit.sandbox.sent import Call
from tocsin.devkit.sandbox.wire import Reply, json_reply
from tocsin.providers.inbox import Change, Inbox, InboxPolicy

NAME = "inapp"
SHOWN = 50
RETRY_S = 1.0
_decode = msgspec.json.Decoder(Change).decode


class Inboxes:
    """Reader of all inboxes under one prefix; without a Redis there are none."""

    def __init__(self, redis: Redis | None, prefix: str, handler: RequestHandler) -> None:
        self._redis = redis
        self._prefix = prefix
        self._handler = handler
        self._inbox = Inbox(redis, InboxPolicy(prefix)) if redis is not None else None

    async def read(self, user: str) -> Reply:
        """Give a user's inbox: entries newest first and the unread count; `null` where there is no Redis."""
        if self._inbox is None:
            return json_reply({"entries": None, "unread": 0})
        try:
            page = await self._inbox.page(user, count=SHOWN)
        except (RedisError, OSError):
            return json_reply({"error": "Redis does not answer"}, 503)
        found = [{**msgspec.to_builtins(shown.entry), "unread": shown.unread} for shown in page.shown]
        return json_reply({"entries": found, "unread": page.counts.unread})

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Show each added entry as a message while the context lasts."""
        if self._redis is None:
            yield
            return
        task = asyncio.create_task(self._follow(self._redis))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._redis.aclose()

    async def _follow(self, redis: Redis) -> None:
        """Listen on every inbox's channel; a Redis that goes away is looked for again."""
        while True:
            with contextlib.suppress(RedisError, OSError, msgspec.DecodeError):
                await self._listen(redis)
            await asyncio.sleep(RETRY_S)

    async def _listen(self, redis: Redis) -> None:
        async with redis.pubsub() as channels:
            await channels.psubscribe(f"{self._prefix}inbox:*:live")
            async for message in channels.listen():
                if message["type"] == "pmessage":
                    self._on_change(message["channel"], message["data"])

    def _on_change(self, channel: bytes, data: bytes) -> None:
        change = _decode(data)
        if change.kind != "added" or change.entry is None:
            return
        entry = change.entry
        user = channel.decode().removeprefix(f"{self._prefix}inbox:{{").removesuffix("}:live")
        call = Call(
            provider=NAME,
            channel=NAME,
            recipient=user,
            message_id=entry.message_id,
            user=user,
            title=entry.title,
            text=preview(entry.body),
            content=encode(Shown(entry.title, entry.body, entry.url)),
        )
        self._handler.sent.show(call, user, self._handler.clock_ms())
