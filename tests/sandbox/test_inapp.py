"""The in-app inboxes as the viewer reads them, from a real Redis."""

import time
from pathlib import Path

from redis.asyncio import Redis

from tests.sandbox.box import Box, start
from tocsin.providers.inbox import Entry, Inbox, InboxPolicy


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
    deadline = time.monotonic() + 60
    while len(box.sent(channel="inapp")) < messages:
        assert time.monotonic() < deadline, "the feed did not bring the entry"
        time.sleep(0.05)


async def test_entries_are_shown_as_they_are_added(tmp_path: Path, redis_db: str) -> None:
    with start(tmp_path, f"--redis={redis_db}", "--inapp-prefix=t:") as box:
        async with Redis.from_url(redis_db) as redis:
            inbox = Inbox(redis, InboxPolicy("t:"))
            await _until_followed(redis, "t:inbox:*:live")
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


async def _until_followed(redis: Redis, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not await redis.pubsub_numpat():
        assert time.monotonic() < deadline, pattern


def test_without_redis_there_is_no_inbox(box: Box) -> None:
    assert box.http.get("/inbox", params={"user": "a"}).json() == {"entries": None, "unread": 0}


def test_a_redis_that_is_away_is_said_so(tmp_path: Path) -> None:
    with start(tmp_path, "--redis=redis://127.0.0.1:1/0") as box:
        assert box.http.get("/inbox", params={"user": "a"}).status_code == 503
        assert box.twilio().status_code == 201
