"""The in-app inboxes as the viewer reads them, from a real Redis."""

import asyncio
import time
from pathlib import Path

import msgspec
from redis.asyncio import Redis

from tests.sandbox.box import Box, start
from tests.waiting import PATIENCE_S, until
from tocsin.providers.inbox import Change, Entry, Inbox, InboxPolicy


def entry(number: int) -> Entry:
    return Entry(
        message_id=f"{number:032x}",
        notification_id="n",
        notification="flight.landed",
        category="trip",
        title=f"Landed {number}",
        body="Bags on belt 4",
        at_ms=number,
        url="https://example.org/f/1",
    )


def wait_for(box: Box, messages: int) -> None:
    until(lambda: len(box.sent(channel="inapp")) >= messages, "the entry in the feed")


async def test_entries_are_shown_as_they_are_added(tmp_path: Path, redis_db: str, topic_prefix: str) -> None:
    """Channels are of the whole Redis, whatever the database: a prefix of its own keeps other tests out."""
    with start(tmp_path, f"--redis={redis_db}", f"--inapp-prefix={topic_prefix}") as box:
        async with Redis.from_url(redis_db) as redis:
            inbox = Inbox(redis, InboxPolicy(topic_prefix))
            await _until_followed(redis, f"{topic_prefix}inbox:{{nobody}}:live")
            for number in (1, 2):
                await inbox.add("acme/ada", entry(number))
            wait_for(box, 2)
            await inbox.act("acme/ada", "read", [entry(1).message_id])
            shown = box.sent(channel="inapp")
            assert [message["title"] for message in shown] == ["Landed 2", "Landed 1"]
            assert {message["user"] for message in shown} == {"acme/ada"}
            assert shown[0]["content"]["url"] == "https://example.org/f/1"
            read = box.http.get("/inbox", params={"user": "acme/ada"}).json()
            assert read["unread"] == 1
            assert [(found["title"], found["unread"]) for found in read["entries"]] == [
                ("Landed 2", True),
                ("Landed 1", False),
            ]
        assert box.send_log() == []


async def _until_followed(redis: Redis, channel: str) -> None:
    """Wait until somebody hears a channel, by changes that show nothing."""
    nothing = msgspec.json.encode(Change("seen", 0, 0))
    deadline = time.monotonic() + PATIENCE_S
    while not await redis.publish(channel, nothing):
        assert time.monotonic() < deadline, channel
        await asyncio.sleep(0.005)


def test_without_redis_there_is_no_inbox(box: Box) -> None:
    assert box.http.get("/inbox", params={"user": "a"}).json() == {"entries": None, "unread": 0}


def test_a_redis_that_is_away_is_said_so(tmp_path: Path) -> None:
    with start(tmp_path, "--redis=redis://127.0.0.1:1/0") as box:
        assert box.http.get("/inbox", params={"user": "a"}).status_code == 503
        assert box.twilio().status_code == 201
