"""Profile versions reach Redis, late if need be, the newest of each user."""

import time
from collections.abc import Iterator

import pytest
import redis

from tests.providers.valkey import OwnValkey
from tests.waiting import PATIENCE_S, until
from tocsin.delivery.ledger import LedgerPolicy, version_key
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.versions import VersionWriter
from tocsin.model.raw import VersionNote
from tocsin.providers.inbox import InboxPolicy


@pytest.fixture
def writer(runtime: Runtime, own_valkey: OwnValkey) -> Iterator[VersionWriter]:
    versions = VersionWriter(runtime, LedgerPolicy(url=own_valkey.url, prefix="t:", ttl_s=99, timeout_s=0.3))
    yield versions
    runtime.run(versions.close(), PATIENCE_S)


def await_version(client: redis.Redis, user_key: str, version: int | str) -> None:
    until(lambda: client.get(version_key("t:", user_key)) == str(version).encode(), "the version")


def test_the_newest_version_stands_and_expires(writer: VersionWriter, own_valkey: OwnValkey) -> None:
    writer.publish([VersionNote("acme/ann", 1), VersionNote("acme/bob", 7), VersionNote("acme/ann", 2)])
    with own_valkey.client() as client:
        await_version(client, "acme/ann", 2)
        await_version(client, "acme/bob", 7)
        assert 90 < client.ttl(version_key("t:", "acme/ann")) <= 99


def test_an_erasure_stands_beside_every_later_version(writer: VersionWriter, own_valkey: OwnValkey) -> None:
    """Else what was decided before it would pass again: a user who comes back begins at version 1."""
    with own_valkey.client() as client:
        writer.publish([VersionNote("acme/ann", 5), VersionNote("acme/ann", -7_000)])
        await_version(client, "acme/ann", "0/7000")
        writer.publish([VersionNote("acme/ann", 2)])
        await_version(client, "acme/ann", "2/7000")
        writer.publish(
            [VersionNote("acme/bob", 5), VersionNote("acme/bob", -7_000), VersionNote("acme/bob", 2)]
        )
        await_version(client, "acme/bob", "2/7000")
        writer.publish([VersionNote("acme/bob", -9_000)])
        await_version(client, "acme/bob", "0/9000")


def test_an_erasure_that_waited_for_redis_stands_too(
    writer: VersionWriter, own_valkey: OwnValkey, caplog: pytest.LogCaptureFixture
) -> None:
    own_valkey.kill()
    writer.publish([VersionNote("acme/ann", -7_000)])
    until(lambda: "wait for Redis" in caplog.text, "a write that fails")
    writer.publish([VersionNote("acme/ann", 2)])
    own_valkey.start()
    with own_valkey.client() as client:
        await_version(client, "acme/ann", "2/7000")


def test_an_erasure_empties_the_inbox(runtime: Runtime, own_valkey: OwnValkey) -> None:
    policies = [InboxPolicy(prefix="a:"), InboxPolicy(prefix="b:")]
    versions = VersionWriter(runtime, LedgerPolicy(url=own_valkey.url, prefix="t:"), policies)
    with own_valkey.client() as client:
        for key in ("a:inbox:{acme/ann}:entries", "b:inbox:{acme/ann}:entries", "a:inbox:{acme/bob}:entries"):
            client.hset(key, "m1", "{}")
        versions.publish([VersionNote("acme/bob", 3), VersionNote("acme/ann", -7_000)])
        runtime.run(versions.close(), PATIENCE_S)
        assert client.keys("*:inbox:*") == [b"a:inbox:{acme/bob}:entries"]


def test_what_queues_for_an_inline_recipient_is_called_back_and_nobody_is_erased(
    runtime: Runtime, own_valkey: OwnValkey
) -> None:
    policy, inboxes = LedgerPolicy(url=own_valkey.url, prefix="t:"), [InboxPolicy(prefix="a:")]
    versions = VersionWriter(runtime, policy, inboxes)
    with own_valkey.client() as client:
        client.hset("a:inbox:{acme/ann}:entries", "m1", "{}")
        versions.publish([VersionNote("acme/ann", -7_000, keeps_user=True)])
        runtime.run(versions.close(), PATIENCE_S)
        await_version(client, "acme/ann", "0/7000")
        assert client.exists("a:inbox:{acme/ann}:entries")


def test_redis_away_blocks_nobody_and_is_caught_up(
    writer: VersionWriter, own_valkey: OwnValkey, caplog: pytest.LogCaptureFixture
) -> None:
    own_valkey.kill()
    started = time.monotonic()
    writer.publish([VersionNote("acme/ann", 1)])
    writer.confirm(60)
    assert time.monotonic() - started < 20, "an epoch waits for Redis"
    until(lambda: "wait for Redis" in caplog.text, "a write that fails")
    writer.publish([VersionNote("acme/ann", 2), VersionNote("acme/eve", 5)])
    own_valkey.start()
    with own_valkey.client() as client:
        await_version(client, "acme/ann", 2)
        await_version(client, "acme/eve", 5)


def test_many_users_at_once(writer: VersionWriter, own_valkey: OwnValkey) -> None:
    writer.publish([VersionNote(f"acme/u{i}", i) for i in range(3_000)])
    with own_valkey.client() as client:
        for i in (0, 499, 500, 2_999):
            await_version(client, f"acme/u{i}", i)


def test_close_writes_what_is_left(runtime: Runtime, own_valkey: OwnValkey) -> None:
    versions = VersionWriter(runtime, LedgerPolicy(url=own_valkey.url, prefix="t:"))
    versions.publish([VersionNote("acme/ann", 9)])
    runtime.run(versions.close(), PATIENCE_S)
    with own_valkey.client() as client:
        assert client.get(version_key("t:", "acme/ann")) == b"9"
