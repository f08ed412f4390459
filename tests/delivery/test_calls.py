"""Messages that share a request: each has one answer of its own, whatever becomes of the request."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.delivery.scripted_batches import BatchingProvider
from tests.operators.delivery import plain
from tests.providers.messages import message
from tocsin.delivery.calls import Answer, Calls
from tocsin.errors import DeliveryError, Misconfigured, RecipientGone, Rejected, Throttled, Transient, Unknown
from tocsin.model.content import Outgoing
from tocsin.model.message import Message
from tocsin.providers.base import Limits, Receipt

TEN = [f"u{n}" for n in range(10)]


def outgoing(letter: Message) -> Outgoing:
    return Outgoing(letter, plain(letter))


async def sent(provider: BatchingProvider, letters: Sequence[Message]) -> list[str]:
    """Send messages at the same moment; returns `sent` or the reason of each."""
    calls = Calls()
    answers: list[Answer] = await asyncio.gather(*[calls.send(provider, outgoing(one)) for one in letters])
    return ["sent" if isinstance(one, Receipt) else str(one.reason) for one in answers]


def letters_to(users: Sequence[str]) -> list[Message]:
    return [message(user) for user in users]


async def test_what_is_ready_at_the_same_moment_shares_a_request() -> None:
    provider = BatchingProvider()
    assert await sent(provider, letters_to(TEN)) == ["sent"] * 10
    assert provider.requests == [TEN]


async def test_a_full_request_leaves_at_once_and_the_rest_follows() -> None:
    provider = BatchingProvider(most=4)
    await sent(provider, letters_to(TEN))
    assert provider.requests == [TEN[:4], TEN[4:8], TEN[8:]]


async def test_tenants_templates_and_keys_do_not_mix() -> None:
    provider = BatchingProvider()
    provider.keys = {"e": "other", "f": "other", "g": "", "h": ""}
    await sent(
        provider,
        [
            *letters_to("abefgh"),
            message("c", tenant="globex"),
            message("d", template="goodbye"),
        ],
    )
    assert sorted(provider.requests) == [["a", "b"], ["c"], ["d"], ["e", "f"], ["g"], ["h"]]


@pytest.mark.parametrize("most", [0, 1])
async def test_an_account_may_be_told_to_send_each_alone(most: int) -> None:
    provider = BatchingProvider(most)
    await sent(provider, letters_to("ab"))
    assert provider.requests == [["a"], ["b"]]


async def test_a_bad_address_fails_only_itself() -> None:
    provider = BatchingProvider()
    provider.script("u3", RecipientGone("no such mailbox"))
    answers = await sent(provider, letters_to(TEN))
    assert answers == ["recipient_gone" if user == "u3" else "sent" for user in TEN]
    assert len(provider.requests) == 1


@pytest.mark.parametrize("bad", [("u3",), ("u0", "u9"), tuple(TEN)])
async def test_a_request_that_is_refused_for_one_message_is_taken_apart(bad: tuple[str, ...]) -> None:
    provider = BatchingProvider()
    provider.poison = dict.fromkeys(bad, Rejected("personalizations.3.to.email"))
    answers = await sent(provider, letters_to(TEN))
    assert answers == ["rejected" if user in bad else "sent" for user in TEN]
    assert sorted(call.user for call in provider.calls) == [user for user in TEN if user not in bad]


@pytest.mark.parametrize("error", [Throttled("429"), Transient("503"), Misconfigured("key"), Unknown("cut")])
async def test_a_request_that_fails_for_now_fails_for_each(error: DeliveryError) -> None:
    provider = BatchingProvider()
    provider.whole.append(error)
    assert await sent(provider, letters_to(TEN)) == [str(error.reason)] * 10
    assert len(provider.requests) == 1


@pytest.mark.parametrize("whole", [1, LookupError("a fault of the adapter")])
async def test_after_an_answer_that_cannot_be_taken_apart_each_may_have_been_sent(
    whole: int | Exception,
) -> None:
    provider = BatchingProvider()
    provider.whole.append(whole)
    assert await sent(provider, letters_to(TEN)) == ["unknown"] * 10


async def test_silence_ends_by_the_deadline_for_each() -> None:
    provider = BatchingProvider()
    provider.limits = Limits(timeout_s=0.3)
    provider.script("u5", 600.0)
    assert await sent(provider, letters_to(TEN)) == ["unknown"] * 10


async def test_a_key_that_cannot_be_made_sends_nothing() -> None:
    class Odd(BatchingProvider):
        def batch_key(self, outgoing: Outgoing) -> str:
            raise Rejected("not a mail")

    provider = Odd()
    assert await sent(provider, letters_to("ab")) == ["rejected", "rejected"]
    assert provider.requests == []


async def test_who_stops_waiting_changes_nothing_for_the_others() -> None:
    provider, calls = BatchingProvider(delay_s=0.02), Calls()
    tasks = [asyncio.ensure_future(calls.send(provider, outgoing(one))) for one in letters_to("abc")]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    kept = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in kept] == [Receipt, asyncio.CancelledError, Receipt]
    assert provider.requests == [["a", "b", "c"]]


ENDS = st.sampled_from(
    [None, Rejected("x"), RecipientGone("x"), Transient("x"), Unknown("x"), Throttled("x")]
)
WHOLE = st.sampled_from([0, 0, 0, 1, Transient("x"), Unknown("x"), Rejected("x"), KeyError("x")])


@settings(max_examples=60)
@given(
    ends=st.lists(ENDS, min_size=1, max_size=24),
    whole=st.lists(WHOLE, max_size=6),
    poison=st.sets(st.integers(0, 23), max_size=3),
    most=st.integers(1, 9),
)
def test_each_message_has_exactly_one_answer_and_it_is_its_own(
    ends: list[DeliveryError | None], whole: list[DeliveryError | int], poison: set[int], most: int
) -> None:
    """None is taken twice. `sent` was taken; what was taken is `sent`, or not known."""
    provider = BatchingProvider(most)
    provider.whole.extend(whole)
    users = [f"u{n}" for n in range(len(ends))]
    provider.poison = {f"u{n}": Rejected("poison") for n in poison}
    for user, end in zip(users, ends, strict=True):
        provider.script(user, *[end] * 9)
    answers = asyncio.run(sent(provider, letters_to(users)))
    taken = Counter(provider.taken)
    for user, end, answer in zip(users, ends, answers, strict=True):
        times = taken[message(user).message_id]
        assert times <= 1
        if answer == "sent":
            assert (end, user in provider.poison, times) == (None, False, 1)
        if times:
            assert answer in {"sent", "unknown"}
        if not whole and user not in provider.poison and not poison:
            assert answer == ("sent" if end is None else str(end.reason))
