"""The user of Redis whom the page describes may do all that the gateway does there."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.delivery.test_redis_check import documented, user_with, valkey
from tests.providers.valkey import OwnValkey
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.cli import check
from tocsin.delivery.rate_bucket import RateBuckets
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.shared_rate import Wanted
from tocsin.formats.link_tokens import TrackedLink
from tocsin.gateway.broadcasts.notes import Notes
from tocsin.gateway.callbacks.memory import CallbackMemory
from tocsin.gateway.key_store import KeyStore
from tocsin.gateway.keys import Key
from tocsin.gateway.links.judge import Bursts
from tocsin.gateway.nonces import Nonces
from tocsin.gateway.people.entry import Change, changed
from tocsin.gateway.people.view import ProfileView, Swap
from tocsin.gateway.producers.sent import SentIndex

__all__ = ["valkey"]
PREFIX = "tocsin."


async def test_with_the_rights_of_the_page_the_gateway_does_all_that_it_does(valkey: OwnValkey) -> None:
    """Else a command that it sends is missing from the list that `tocsin check` goes by."""
    async with open_client(user_with(valkey, documented())) as redis:
        await use_view(ProfileView(redis, PREFIX))
        await use_notes(Notes(redis, PREFIX))
        await use_keys(redis)
        await use_callbacks(redis)
    with valkey.client() as admin:
        admin.flushall()


@pytest.mark.parametrize(("url", "asked"), [("https://notify.example.com", True), ("", False)])
def test_check_asks_for_them_where_the_gateway_has_an_address(tmp_path: Path, url: str, asked: bool) -> None:
    settings = Settings(gateway_url=url, catalog=example_catalog(), providers=tmp_path / "none.yaml")
    wanted = {str(right) for right in check.redis_rights(settings)}
    assert ("+mget ~tocsin.profile*" in wanted) is asked


async def use_view(view: ProfileView) -> None:
    seen, ready = await view.look("t/u")
    entry = changed(seen.entry, Change(b"{}"), 1)
    assert (ready, await view.look_all(["t/u"])) == (False, [seen])
    await view.note_open("t/u", 1, 1)
    assert await view.swap([Swap("t/u", seen, entry)]) == [True]
    assert await view.open_before(2, 10) == [("t/u", 1)]
    await view.note_done("t/u", 1)
    assert await view.advance("profiles/0", None, 1)
    assert await view.set_ready(await view.offsets())
    assert (await view.is_ready(), await view.feeds("me", 1_000), await view.erased_ms("t/u")) == (
        True,
        True,
        0,
    )
    await view.rest("me")
    await view.move_devices("t", [], {"token": "u"})
    assert await view.owners_of("t", ["token"]) == ["u"]
    await view.move_devices("t", [("token", "u")], {})
    await view.set_topics([("t/u", "x", 0), ("t/u", "y", None)])
    assert await view.topics_of("t/u") == {"x": 0}
    assert await view.stop("t/u", "offers", "one", again=True) == "one"
    assert await view.stop("t/u", "offers", "two", again=False) == "one"
    await view.forget_stop("t/u", "offers")


async def use_notes(notes: Notes) -> None:
    assert await notes.claim("t", "b", "body") == "body"
    assert await notes.claim("t", "b", "other") == "body"
    upload = notes.upload("t", "b", 0)
    assert (await upload.begin(), await upload.keep(), await upload.end(7)) == (0, True, True)
    await notes.start("t", "b")
    found = await notes.find("t", "b")
    assert found is not None
    assert (found.started, found.chunks) == (True, {0: 7})


async def use_keys(redis: Redis) -> None:
    store = KeyStore(redis, PREFIX)
    assert await store.set(Key(key_id="k", tenant="t", scopes=(), secrets=()))
    await store.note_used({"k": 1})
    held = await store.find("k")
    assert held is not None
    assert ([held.key], await store.used(), await store.version()) == (await store.all(), {"k": 1}, 1)
    assert await Nonces(redis, PREFIX).is_new("k", "nonce", 1, redis_away=False)
    granted = await RateBuckets(redis, PREFIX, "me", 1.0).lease(Wanted("gateway:k", 10, 1, urgent=True))
    assert granted.calls == 1


async def use_callbacks(redis: Redis) -> None:
    memory = CallbackMemory(redis, PREFIX)
    assert (await memory.use("token", b"a"), await memory.use("token", b"b")) == (True, False)
    await memory.note(["report"])
    assert (await memory.came(["report"]), await memory.messages(["m"])) == ({"report"}, {})
    bursts = Bursts(redis, PREFIX)
    for number in range(1, 4):
        await bursts.note(TrackedLink("m", None, "https://x.example", number, 0, 1))
    bursts._own.clear()  # noqa: SLF001 -- only Redis knows
    assert await bursts.is_one(TrackedLink("m", None, "https://x.example", 1, 0, 1))
    index = SentIndex(redis)
    index._waiting["tocsin:gateway:sent:x"] = b"x"  # noqa: SLF001 -- what a request would leave
    await index._write()  # noqa: SLF001
    assert await index._read("tocsin:gateway:sent:x") == b"x"  # noqa: SLF001
