"""Calls that got no answer, to providers that can be asked: what was taken is not sent again."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.operators.delivery import QUICK, Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.errors import Misconfigured, Transient, Unknown
from tocsin.model.content import Outgoing
from tocsin.model.statuses import Channel
from tocsin.model.unanswered import OnUnknown
from tocsin.providers.base import Receipt

Build = Callable[..., Rig]


def asking(on_unknown: OnUnknown = "ask") -> object:
    return policy(attempt=AttemptPolicy(retry=QUICK, on_unknown=on_unknown))


class Forgetful(ScriptedProvider):
    """Takes what it is told to take, and then cuts the connection; it can be asked."""

    ask_after_s = 0.0

    def __init__(self, name: str = "first", share: float = 1.0) -> None:
        super().__init__(name, Channel.EMAIL)
        self._chance = random.Random(7)
        self._share = share
        self.cut: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.refuses: list[Exception] = []

    async def send(self, outgoing: Outgoing) -> Receipt:
        receipt = await super().send(outgoing)
        if outgoing.message.message_id not in self.cut:
            self.cut.add(outgoing.message.message_id)
            if self._chance.random() >= self._share:
                self.taken.remove(outgoing.message.message_id)
            raise Unknown("cut")
        return receipt

    async def find(self, outgoing: Outgoing, since_ms: int) -> Receipt | None:
        self.asked.append((outgoing.message.message_id, since_ms))
        if self.refuses:
            raise self.refuses.pop(0)
        return Receipt("found-1", "found") if outgoing.message.message_id in self.taken else None


def test_what_was_taken_is_found_and_its_outcome_has_the_providers_id(rig: Build) -> None:
    provider = Forgetful()
    made = rig([provider], settings=asking()).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "unknown", 1), ("sent", "found_after_unknown", 2)]
    line = made.outcomes()[-1]
    assert (line.provider, line.provider_message_id, line.code) == ("first", "found-1", "found")
    assert len(provider.calls) == 1
    (_, since_ms), called_ms = provider.asked[0], made.outcomes()[0].at_ms
    assert called_ms - 6_000 < since_ms < called_ms, "not what was sent to the same address before"


def test_what_is_found_waits_for_its_receipt_like_what_was_sent(rig: Build) -> None:
    accounts, patient = [Forgetful("first"), ScriptedProvider("second")], message(failover_ms=60_000)
    reporting = frozenset({"first", "second"})
    made = rig(accounts, settings=asking(), reporting=reporting).feed(record(patient, 0)).until_acked(1)
    assert made.words()[-1] == ("sent", "found_after_unknown", 2)
    (retry,) = made.retries()
    assert (retry.reason, retry.message.sent_by) == ("awaiting_receipt", ("first",))


def test_of_many_none_is_doubled_and_none_is_lost(rig: Build) -> None:
    provider = Forgetful(share=0.5)
    letters = [record(message(f"u{i % 20}", i), i) for i in range(80)]
    made = rig([provider], settings=asking()).feed(*letters).until_acked(80)
    assert Counter(provider.taken).most_common(1)[0][1] == 1
    assert len(provider.taken) == 80
    ends = Counter(line.reason for line in made.outcomes() if line.status == "sent")
    assert set(ends) == {"found_after_unknown", "resent_after_unknown"}


def test_a_crash_between_call_and_answer_doubles_nothing(rig: Build) -> None:
    """The next process does not know which account was called: it asks each."""
    first, second = Forgetful("first"), Forgetful("second")
    first.delay_s = 30
    rig([second, first], incarnation="a" * 16, settings=asking())
    before = rig([first, second], incarnation="a" * 16, settings=asking()).feed(record(message(), 0))
    before.until(lambda: bool(first.calls))
    first.taken.append(message().message_id)
    after = rig([second, first], incarnation="b" * 16, settings=asking()).feed(record(message(), 0))
    after.until_acked(1)
    assert after.words() == [("retrying", "unknown", 1), ("sent", "found_after_unknown", 2)]
    assert (after.outcomes()[-1].provider, len(second.calls)) == ("first", 0)


def test_one_that_cannot_be_asked_for_now_is_asked_again(rig: Build) -> None:
    provider = Forgetful()
    provider.refuses = [Transient("busy")]
    made = rig([provider], settings=asking()).feed(record(message(), 0)).until_acked(1)
    assert [word[:2] for word in made.words()] == [
        ("retrying", "unknown"),
        ("retrying", "transient"),
        ("sent", "found_after_unknown"),
    ]
    assert len(provider.calls) == 1


@pytest.mark.parametrize(
    ("on_unknown", "words"),
    [("ask", ("sent", "resent_after_unknown", 2)), ("ask_or_drop", ("dead", "unknown", 2))],
)
def test_without_a_way_to_ask_the_policy_decides(
    rig: Build, on_unknown: OnUnknown, words: tuple[str, str, int]
) -> None:
    plain = ScriptedProvider()
    plain.script("ann", Unknown("cut"))
    made = rig([plain], settings=asking(on_unknown)).feed(record(message(), 0)).until_acked(1)
    assert made.words()[-1] == words
    paid = Forgetful()
    paid.refuses = [Misconfigured("access forbidden", code="403")]
    made = rig([paid], settings=asking(on_unknown)).feed(record(message("bob", 1), 1)).until_acked(1)
    assert made.words()[-1] == words


def test_a_list_that_is_behind_is_asked_when_it_can_know_without_using_an_attempt(rig: Build) -> None:
    provider = Forgetful()
    provider.ask_after_s = 0.3
    made = rig([provider], settings=asking()).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "unknown", 1), ("sent", "found_after_unknown", 2)]
    unknown, found = made.outcomes()
    assert found.at_ms - unknown.at_ms >= 300
    assert len(provider.asked) == 1
