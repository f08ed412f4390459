"""`tocsin check` and Redis: what it must be set to, and every right that Tocsin needs, by name."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from tests.providers.messages import message
from tests.providers.samples import outgoing
from tests.providers.valkey import OwnValkey, free_port
from tocsin.delivery.claim import ClaimResult
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.redis_check import Right, check, rights
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.versions import VersionWriter
from tocsin.errors import Misconfigured
from tocsin.model.raw import VersionNote
from tocsin.providers.apple_token import RedisTokenShare, Signed
from tocsin.providers.inapp import InApp, InAppAccount
from tocsin.providers.inbox import Entry, Inbox, InboxPolicy

PAGE = Path(__file__).parent.parent.parent / "docs" / "redis.md"
POLICY = InboxPolicy(prefix="t:")
WANTED = rights("t:", [POLICY], shares_tokens=True, gateway=True)


def test_check_names_what_is_wrong(own_valkey: OwnValkey) -> None:
    with own_valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        problems = check(own_valkey.url)
        assert len(problems) == 2
        assert "appendonly yes" in problems[0]
        assert "noeviction" in problems[1]
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
    assert check(own_valkey.url) == []


def test_check_says_that_nobody_answers_without_naming_the_password() -> None:
    problems = check(f"redis://:hush@127.0.0.1:{free_port()}/0")
    assert len(problems) == 1
    assert "hush" not in problems[0]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnValkey]:
    server = OwnValkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


def user_with(server: OwnValkey, rules: Sequence[str]) -> str:
    """Make the user `app` with these ACL rules; return its URL."""
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">hush", *rules)
    return server.url.replace("redis://", "redis://app:hush@")


def granted(wanted: Sequence[Right]) -> list[str]:
    """Write the ACL rules that check names, and what it asks with."""
    words = [word for right in wanted for word in str(right).split()]
    return ["resetchannels", "+eval", "+info", "+ping", "+select", *dict.fromkeys(words)]


def test_the_rights_that_check_names_are_enough_and_it_stores_nothing(valkey: OwnValkey) -> None:
    assert check(user_with(valkey, granted(WANTED)), WANTED) == []
    with valkey.client() as admin:
        assert admin.dbsize() == 0


def documented() -> list[str]:
    """Read the rules of the user that the page makes."""
    rules = PAGE.read_text().partition("ACL SETUSER tocsin on >PASSWORD ")[2].partition("```")[0]
    return rules.split()


def test_the_rights_of_the_page_are_enough(valkey: OwnValkey) -> None:
    wanted = rights("tocsin.", [InboxPolicy()], shares_tokens=True, gateway=True)
    assert check(user_with(valkey, documented()), wanted) == []
    beside = {"+ping", "+select", "+info", "+eval"}
    named = {str(right).split()[0] for right in wanted} | beside
    assert {rule for rule in documented() if rule.startswith("+")} == named


async def test_with_the_rights_of_the_page_everything_works(valkey: OwnValkey, runtime: Runtime) -> None:
    """Else a command that we send is missing from the list that `tocsin check` goes by."""
    url = user_with(valkey, documented())
    policy = LedgerPolicy(url=url, prefix="tocsin.", timeout_s=5)
    ledger, versions = Ledger(policy, "1" * 16), VersionWriter(runtime, policy, [InboxPolicy()])
    assert (await ledger.claim(message())).result is ClaimResult.FRESH
    await ledger.finish(message(), 1, [], returned=False, unknown=False)
    async with open_client(url) as client:
        assert (await RedisTokenShare(client).settle("k", Signed("t", 1), "")).token == "t"
        await use_inbox(Inbox(client, InboxPolicy()))
    versions.publish([VersionNote("acme/ann", -7_000)])
    runtime.run(versions.close(), 30)
    await ledger.close()
    with valkey.client() as admin:
        assert sorted(key.partition(b":")[0] for key in admin.scan_iter()) == [
            b"tocsin",
            b"tocsin.ledger",
            b"tocsin.version",
        ]
        admin.flushall()


async def use_inbox(inbox: Inbox) -> None:
    for name in ("m1", "m2"):
        await inbox.add("acme/ann", Entry(name, "n", "welcome", "account", "t", "b", 1))
    assert len(await inbox.newest("acme/ann")) == 2
    assert (await inbox.act("acme/ann", "click", ["m1"])).changed == ["m1"]
    assert (await inbox.act("acme/ann", "archive")).changed == ["m1", "m2"]
    acted = await inbox.act("acme/ann", "delete", ["m1"])
    assert (acted.changed, acted.counts) == (["m1"], (0, 0))
    assert len((await inbox.missed("acme/ann", "0-0")).changes) == 5
    assert await inbox.overdue(1 << 60, age_ms=1) == ["acme/ann"]
    reports = await inbox.owed("acme/ann")
    assert {report.kind for report in reports} == {"read", "clicked"}
    await inbox.settle("acme/ann", reports)


def test_a_user_with_every_right_lacks_nothing(valkey: OwnValkey) -> None:
    assert check(valkey.url, WANTED) == []


def test_a_user_without_channels_is_told_which(valkey: OwnValkey) -> None:
    """Redis 7 gives a new user no channel."""
    publish, subscribe = check(user_with(valkey, ["~*", "+@all", "resetchannels"]), WANTED)
    assert "`+publish &t:inbox:*`" in publish
    assert "`+subscribe &t:inbox:*`" in subscribe


@pytest.mark.parametrize("lacking", list({str(one): one for one in WANTED}.values()), ids=str)
def test_each_right_that_is_missing_is_named(valkey: OwnValkey, lacking: Right) -> None:
    rule = str(lacking).split()[0]
    url = user_with(valkey, ["~*", "&*", "+@all", f"-{rule[1:]}"])
    problems = check(url, WANTED)
    assert any(f"`{lacking}`" in problem for problem in problems)
    assert all(rule in problem for problem in problems)
    assert "hush" not in "".join(problems)


def test_keys_of_another_prefix_are_named(valkey: OwnValkey) -> None:
    problems = check(user_with(valkey, ["~other:*", "&*", "+@all"]), WANTED)
    assert any("~t:ledger:*" in problem for problem in problems)
    assert len(problems) == len([right for right in WANTED if right.place.startswith("~")])


@pytest.mark.parametrize("command", ["eval", "info"])
def test_a_right_that_check_itself_needs_is_named(valkey: OwnValkey, command: str) -> None:
    problems = check(user_with(valkey, ["~*", "&*", "+@all", f"-{command}"]), WANTED)
    assert any(f"'{command}'" in problem for problem in problems)


def test_a_wrong_password_is_told_as_one(valkey: OwnValkey) -> None:
    url = user_with(valkey, ["+@all"]).replace("hush", "hussh")
    assert check(url, WANTED) == ["Redis refuses the login: check user and password in TOCSIN_REDIS"]


@pytest.mark.parametrize(
    "rule", ["resetchannels", "-zadd", "-sadd", "-expire", "-scard", "-zrange", "-hexists"]
)
async def test_an_entry_without_a_right_is_not_stored_half(valkey: OwnValkey, rule: str) -> None:
    """Half an entry would count as there: the repeat would call it sent, and nobody would see it."""
    url = user_with(valkey, ["~*", "&*", "+@all", rule])
    account = InAppAccount.model_validate({"vendor": "inapp", "prefix": "t:"})
    async with Redis.from_url(url) as client:
        inapp = InApp("inapp", account, Inbox(client, account.policy()))
        for _ in range(2):
            with pytest.raises(Misconfigured, match="tocsin check"):
                await inapp.send(outgoing("inapp"))
    with valkey.client() as admin:
        assert admin.keys("t:inbox:*") == []


@pytest.mark.parametrize("rule", ["resetchannels", "-scard"])
async def test_entries_are_not_marked_or_removed_half(valkey: OwnValkey, rule: str) -> None:
    with valkey.client() as admin:
        admin.sadd("t:inbox:{a/b}:unread", "m1")
        admin.hset("t:inbox:{a/b}:entries", "m1", "{}")
        async with Redis.from_url(user_with(valkey, ["~*", "&*", "+@all", rule])) as client:
            inbox = Inbox(client, POLICY)
            with pytest.raises(redis.ResponseError):
                await inbox.act("a/b", "read", ["m1"])
            with pytest.raises(redis.ResponseError):
                await inbox.act("a/b", "delete", ["m1"])
        assert admin.smembers("t:inbox:{a/b}:unread") == {b"m1"}
        assert admin.delete("t:inbox:{a/b}:unread", "t:inbox:{a/b}:entries") == 2
