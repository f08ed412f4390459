"""What operators are told, when, and by which account: never twice in a window, never by a broken account."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.dropping_proxy import DroppingProxy
from tests.operators.delivery import ScriptedProvider
from tocsin.delivery.alert_sender import AlertSender
from tocsin.delivery.alerts import GATE, Alert, AlertPolicy, AlertWatch
from tocsin.delivery.breaker import AccountState, Condition
from tocsin.delivery.redis_client import open_client
from tocsin.errors import Misconfigured, SettingsError
from tocsin.model.content import ChatContent, EmailContent, Outgoing
from tocsin.model.statuses import Channel
from tocsin.providers.accounts import load_accounts
from tocsin.providers.alert_settings import AlertSettings
from tocsin.providers.base import Receipt

POLICY = AlertPolicy(window_ms=100_000, down_ms=5_000, dead_letters=3, quiet_ms=10_000)
OK = Condition(AccountState.OK)
DOWN = Condition(AccountState.SUSPECT, "503", 1_000)
REFUSED = Condition(AccountState.DISABLED, "401", 1_000)
ALERT = Alert("account/main", "account main is down", "It is down since noon & so on.", "main")
SETTINGS = AlertSettings.model_validate(
    {
        "to": [
            {"account": "mail", "address": "ops@example.com", "sender": "tocsin@example.com"},
            {"account": "chat"},
        ]
    }
)


def subjects(
    watch: AlertWatch, now_ms: int, dead: int = 0, reason: str = "rejected", **found: Condition
) -> list[str]:
    return [alert.subject for alert in watch.look(now_ms, found, {("sms", reason): dead} if dead else {})]


def test_an_account_that_is_down_for_long_is_told_of_once_and_again_when_it_is_back() -> None:
    watch = AlertWatch(POLICY)
    assert subjects(watch, 5_900, main=DOWN) == []
    assert subjects(watch, 6_000, main=DOWN) == ["account main is down"]
    assert subjects(watch, 7_000, main=DOWN) == []
    assert subjects(watch, 8_000, main=OK) == ["account main is back"]
    assert subjects(watch, 9_000, main=OK) == []


def test_a_refused_account_is_told_of_at_once() -> None:
    (alert,) = AlertWatch(POLICY).look(1_000, {"main": REFUSED}, {})
    assert alert.subject == "account main is refused by its provider"
    assert "(401): fix its credentials" in alert.text


def test_an_account_that_is_down_for_a_moment_only_is_not_told_of() -> None:
    watch = AlertWatch(POLICY)
    assert subjects(watch, 3_000, main=DOWN) + subjects(watch, 9_000, main=OK) == []


def test_the_first_message_that_is_given_up_is_told_of() -> None:
    watch = AlertWatch(POLICY)
    told = "1 sms message given up after the last attempt"
    assert subjects(watch, 0, 1, "out_of_attempts") == [told]
    assert subjects(watch, 1_000, 5, "out_of_attempts") == []
    assert subjects(watch, 11_100, 5, "out_of_attempts") == [
        "over: 1 sms message given up after the last attempt"
    ]


def test_a_run_of_dead_letters_is_told_of_and_single_ones_are_not() -> None:
    watch = AlertWatch(POLICY)
    slow = [subjects(watch, second * 6_000, second) for second in range(1, 9)]
    assert slow == [[]] * 8, "two in ten seconds at most"
    assert subjects(watch, 49_000, 11) == ["5 sms messages dead as rejected"]
    found = list(AlertWatch(POLICY).look(0, {}, {(GATE, "bad_json"): 3}))
    assert [alert.subject for alert in found] == ["3 events dead as bad_json"]
    assert "The record is not JSON." in found[0].text


@given(
    st.lists(
        st.tuples(st.integers(0, 40_000), st.sampled_from([OK, DOWN, REFUSED]), st.integers(0, 4)),
        max_size=40,
    )
)
def test_whatever_happens_an_alert_comes_once_a_window_and_ends_only_after_it_began(
    script: list[tuple[int, Condition, int]],
) -> None:
    watch, now_ms, dead = AlertWatch(POLICY), 0, 0
    begun: dict[str, int] = {}
    running: set[str] = set()
    for passed_ms, condition, more in script:
        now_ms, dead = now_ms + passed_ms, dead + more
        for alert in watch.look(now_ms, {"main": condition}, {("sms", "rejected"): dead}):
            if alert.resolved:
                running.remove(alert.key)
                continue
            assert now_ms - begun.get(alert.key, -POLICY.window_ms) >= POLICY.window_ms
            begun[alert.key] = now_ms
            running.add(alert.key)
    assert len(running) <= 2


class Taking(ScriptedProvider):
    """Keeps what it was handed."""

    def __init__(self, name: str, channel: Channel) -> None:
        super().__init__(name, channel)
        self.got: list[Outgoing] = []

    async def send(self, outgoing: Outgoing) -> Receipt:
        self.got.append(outgoing)
        return await super().send(outgoing)


class Post:
    """Two accounts of operators, and what processes share."""

    def __init__(self, redis: Redis) -> None:
        self.mail, self.chat = Taking("mail", Channel.EMAIL), Taking("chat", Channel.SLACK)
        self.counts: Counter[tuple[str]] = Counter()
        self.redis = redis

    def process(self, owner: str = "a") -> AlertSender:
        providers = {"mail": self.mail, "chat": self.chat}
        return AlertSender(SETTINGS, providers, self.redis, "t:", owner, self.counts)


@pytest.fixture
async def post(redis_db: str) -> AsyncIterator[Post]:
    async with open_client(redis_db) as client:
        yield Post(client)


async def test_everybody_is_told_in_the_form_of_their_channel(post: Post) -> None:
    assert await post.process().send(ALERT, {}, 5)
    (mail,), (chat,) = post.mail.got, post.chat.got
    assert isinstance(mail.content, EmailContent)
    assert mail.message.target.address == "ops@example.com"
    assert (mail.content.sender, mail.content.subject) == (
        "tocsin@example.com",
        "Tocsin: account main is down",
    )
    assert mail.content.text == "It is down since noon & so on.\n"
    assert "<p>It is down since noon &amp; so on.</p>" in mail.content.html
    assert isinstance(chat.content, ChatContent)
    assert chat.content.text.startswith("Tocsin: account main is down. It is down")
    assert post.counts == {("sent",): 2}


@pytest.mark.parametrize("channel", ["email", "sms", "whatsapp", "voice", "slack", "webhook", "teams"])
async def test_each_channel_that_reaches_operators_carries_the_whole_alert(post: Post, channel: str) -> None:
    account = Taking("any", channel)  # type: ignore[arg-type]  # a name that a tenant may choose
    target = {"account": "any", "address": "ops@example.com", "sender": "+15005550006"}
    settings = AlertSettings.model_validate({"to": [target]})
    sender = AlertSender(settings, {"any": account}, post.redis, "t:", "a", post.counts)
    assert await sender.send(ALERT, {}, 5)
    said = msgspec.json.encode(account.got[0].content).decode()
    assert "account main is down" in said
    assert "It is down since noon" in said


async def test_of_many_processes_one_tells_it_and_the_end_is_another_alert(post: Post) -> None:
    senders = [post.process(f"p{number}") for number in range(5)]
    assert await asyncio.gather(*[sender.send(ALERT, {}, 5) for sender in senders]) == [True] * 5
    assert await post.process("p9").send(ALERT._replace(resolved=True), {}, 6)
    assert (len(post.mail.got), len(post.chat.got)) == (2, 2)
    assert post.counts == {("sent",): 4, ("told",): 4}


async def test_an_account_carries_no_alert_about_itself_nor_while_it_is_down(post: Post) -> None:
    about_mail = Alert("account/mail", "account mail is down", "It is.", "mail")
    assert await post.process().send(about_mail, {"mail": DOWN}, 5)
    assert await post.process().send(ALERT, {"mail": DOWN, "main": DOWN}, 5)
    assert (len(post.mail.got), len(post.chat.got)) == (0, 2)
    assert await post.process().send(about_mail._replace(resolved=True), {"mail": OK}, 6)
    assert len(post.mail.got) == 1


async def test_what_nobody_took_is_due_again_later_on_any_process(post: Post) -> None:
    """A failure to alert makes no alert: it is a count and a line in the log."""
    post.mail.always = post.chat.always = Misconfigured("no")
    watch = AlertWatch(POLICY)
    (alert,) = watch.look(6_000, {"main": DOWN}, {})
    assert not await post.process().send(alert, {}, 6_000)
    watch.failed(alert, 6_000)
    assert post.counts == {("failed",): 2}
    assert subjects(watch, 30_000, main=DOWN) == []
    post.mail.always = None
    (again,) = watch.look(66_000, {"main": DOWN}, {})
    assert await post.process("b").send(again, {}, 66_000)
    assert len(post.mail.got) == 2


async def test_an_adapter_that_breaks_does_not_break_the_others(post: Post) -> None:
    post.mail.always = ValueError("a fault")
    assert await post.process().send(ALERT, {}, 5)
    assert len(post.chat.taken) == 1


async def test_without_redis_it_is_told_all_the_same() -> None:
    async with open_client("redis://127.0.0.1:1", timeout_s=0.2) as client:
        post = Post(client)
        assert await post.process().send(ALERT, {}, 5)
    assert len(post.mail.got) == 1


@pytest.fixture
def proxy(redis_db: str) -> Iterator[DroppingProxy]:
    with DroppingProxy(redis_db, b"alert:raised") as between:
        yield between


async def test_a_lost_answer_of_redis_silences_nobody(proxy: DroppingProxy) -> None:
    async with open_client(proxy.url) as client:
        post = Post(client)
        proxy.to_drop = 1
        assert await post.process().send(ALERT, {}, 5)
        assert proxy.dropped == 1
        assert len(post.mail.got) == 1
        assert await post.process("b").send(ALERT, {}, 6)
        assert len(post.mail.got) == 1, "the first one has it"


FILE = """accounts:
  mail: {vendor: smtp, host: h}
  inbox: {vendor: inapp}
alerts:
  to:
"""


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("{account: nope}", "providers.yaml:6: alerts.to.0.account: there is no account nope"),
        ("{account: inbox}", "providers.yaml:6: alerts.to.0.account: inapp reaches users"),
        ("{account: mail}", "providers.yaml:6: alerts.to.0: has no address"),
        ("{account: mail, address: ops@x.example}", "providers.yaml:6: alerts.to.0: has no sender"),
        ("{acount: mail}", "providers.yaml:6: alerts.to.0.account: is missing"),
    ],
)
def test_a_wrong_target_is_named_with_its_line(tmp_path: Path, target: str, told: str) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(f"{FILE}    - {target}\n")
    with pytest.raises(SettingsError) as caught:
        load_accounts(path, {})
    assert told in str(caught.value)
