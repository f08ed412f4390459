"""Attachments are fetched before the claim: late, again after a failure, and never to an account's harm."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.operators.delivery import Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.breaker import BreakerState
from tocsin.delivery.executor import WITH_ATTACHMENTS
from tocsin.delivery.retry import RetryPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.errors import DeliveryError, Rejected, Transient
from tocsin.model import topics
from tocsin.model.content import Attachment, AttachmentRef, EmailContent, Outgoing
from tocsin.model.message import Message
from tocsin.providers.base import Receipt

pytestmark = pytest.mark.integration  # a loop in a thread has sockets of its own
REF = AttachmentRef(
    "https://files.example/secret-token", is_file=False, name="bill.pdf", type="application/pdf"
)
BILL = Attachment("bill.pdf", "application/pdf", b"%PDF")


class Post(ScriptedProvider):
    """Keeps what mails bring."""

    def __init__(self) -> None:
        super().__init__()
        self.brought: list[tuple[Attachment, ...]] = []

    async def send(self, outgoing: Outgoing) -> Receipt:
        self.brought.append(outgoing.attachments)
        return await super().send(outgoing)


class Fetching:
    """Answers from a list, then with the bill; looks into the ledger meanwhile."""

    def __init__(self, store: MemoryStore, *answers: DeliveryError, takes_s: float = 0) -> None:
        self.answers = list(answers)
        self.calls = self.now = self.most_at_once = 0
        self.claimed: list[str] = []
        self._store = store
        self._takes_s = takes_s

    async def fetch(self, refs: Sequence[AttachmentRef]) -> tuple[Attachment, ...]:
        self.calls += 1
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        self.claimed += [name for name, entry in self._store.entries.items() if entry.state == "C"]
        await asyncio.sleep(self._takes_s)
        self.now -= 1
        if self.answers:
            raise self.answers.pop(0)
        return (BILL,) * len(refs)


def bill(message: Message) -> EmailContent:
    refs = () if message.user == "plain" else (REF,)
    return EmailContent("Bill", "Your bill", "", "a@example.com", attachments=refs)


class Scene:
    """A channel of mails with attachments."""

    def __init__(
        self, runtime: Runtime, *answers: DeliveryError, retry: RetryPolicy | None = None, takes_s: float = 0
    ) -> None:
        store = MemoryStore()
        self.post = Post()
        self.fetching = Fetching(store, *answers, takes_s=takes_s)
        settings = policy(attempt=AttemptPolicy(retry=retry)) if retry else policy()
        ledger = MemoryLedger(store, "a" * 16)
        self.rig = Rig(
            runtime, [self.post], settings=settings, ledger=ledger, render=bill, fetch=self.fetching.fetch
        )


def test_a_mail_brings_what_was_fetched_before_its_claim(runtime: Runtime) -> None:
    scene = Scene(runtime)
    scene.rig.feed(record(message(), 0), record(message("plain", 2), 1)).until_acked(2)
    assert sorted(scene.post.brought, key=len) == [(), (BILL,)]
    assert (scene.fetching.calls, scene.fetching.claimed) == (1, [])


def test_a_failure_for_now_uses_an_attempt_and_is_nothing_against_the_account(runtime: Runtime) -> None:
    failures = [Transient("attachment 1: its server answers 503", code="503")] * 2
    scene = Scene(runtime, *failures)
    scene.rig.feed(record(message(), 0)).until_acked(1)
    assert scene.rig.words() == [
        ("retrying", "transient", 1),
        ("retrying", "transient", 2),
        ("sent", "", 3),
    ]
    assert len(scene.post.calls) == 1
    assert scene.rig.channel.gauges().providers["first"] is BreakerState.CLOSED
    assert scene.rig.stats.results == {("email", "first", "sent"): 1}


def test_out_of_attempts_it_is_dead_and_the_account_stays_up(runtime: Runtime) -> None:
    failures = [Transient("attachment 1: its server does not answer")] * 20
    scene = Scene(runtime, *failures, retry=RetryPolicy(quick_s=(0.01,), later_s=(), jitter=0))
    letters = [record(message(f"u{number}", number), number) for number in range(5)]
    scene.rig.feed(*letters).until_acked(5)
    assert [word[:2] for word in scene.rig.words() if word[0] == "dead"] == [("dead", "transient")] * 5
    assert scene.rig.channel.gauges().providers["first"] is BreakerState.CLOSED
    assert scene.post.calls == []


def test_one_that_is_not_there_makes_the_mail_dead_with_a_reason_and_no_url(runtime: Runtime) -> None:
    scene = Scene(runtime, Rejected("attachment 1: its server answers 404", code="404"))
    scene.rig.feed(record(message(), 0)).until_acked(1)
    assert scene.rig.words() == [("dead", "attachment", 1)]
    (letter,) = scene.rig.of(topics.DEAD)
    assert b"attachment 1: its server answers 404" in dict(letter.headers)["tocsin-error"]
    assert not any(b"secret-token" in (out.value or b"") for out in scene.rig.out if out.topic != topics.DEAD)


def test_so_many_at_once_and_no_more(runtime: Runtime) -> None:
    scene = Scene(runtime, takes_s=0.02)
    letters = [record(message(f"u{number}", number), number) for number in range(3 * WITH_ATTACHMENTS)]
    scene.rig.feed(*letters).until_acked(len(letters))
    assert len(scene.post.taken) == len(letters)
    assert scene.fetching.most_at_once <= WITH_ATTACHMENTS
