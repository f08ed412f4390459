"""Messages that share a request have outcomes, attempts and claims of their own."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.delivery.scripted_batches import BatchingProvider
from tests.operators.delivery import Rig
from tests.providers.messages import message, record
from tocsin.delivery.runtime import Runtime
from tocsin.errors import DeliveryError, RecipientGone, Rejected, Transient, Unknown
from tocsin.model.content import Outgoing
from tocsin.model.raw import RawRecord
from tocsin.providers.base import Limits, Receipt

Build = Callable[..., Rig]
EIGHT = [f"u{n}" for n in range(8)]


def letters(users: Sequence[str]) -> list[RawRecord]:
    return [record(message(user, number), number) for number, user in enumerate(users)]


def ends(rig: Rig) -> dict[str, list[str]]:
    """Status and reason of each final outcome, by user."""
    found: dict[str, list[str]] = {}
    for line in rig.outcomes():
        if line.status in {"sent", "dead"}:
            found.setdefault(line.user, []).append(f"{line.status} {line.reason}".strip())
    return found


def test_each_message_of_a_request_has_its_own_outcome(rig: Build) -> None:
    provider = BatchingProvider()
    provider.script("u2", RecipientGone("gone", code="550"))
    provider.script("u5", Transient("busy"))
    provider.script("u6", 0.01)
    made = rig([provider]).feed(*letters(EIGHT)).until_acked(8)
    assert sorted(provider.requests[0]) == EIGHT
    expected = {user: ["sent"] for user in EIGHT} | {"u2": ["dead recipient_gone"]}
    assert ends(made) == expected
    attempts = {line.user: line.attempt for line in made.outcomes() if line.status == "sent"}
    assert attempts == {user: 2 if user == "u5" else 1 for user in EIGHT if user != "u2"}
    ids = {line.user: line.provider_message_id for line in made.outcomes() if line.status == "sent"}
    assert ids == {user: "first-9" if user == "u5" else f"first-{user}" for user in attempts}
    assert made.stats.results["email", "first", "sent"] == 7


def test_two_messages_of_a_user_are_never_in_one_request(rig: Build) -> None:
    provider = BatchingProvider(delay_s=0.01)
    users = ["ann", "bob", "ann", "bob", "ann"]
    rig([provider]).feed(*letters(users)).until_acked(5)
    assert all(len(set(request)) == len(request) for request in provider.requests)
    assert [number for user, number in provider.sent() if user == "ann"] == [0, 2, 4]


class Crashing(BatchingProvider):
    """Takes the messages of a request and never answers."""

    async def send_batch(self, batch: Sequence[Outgoing]) -> Sequence[Receipt | DeliveryError]:
        await super().send_batch(batch)
        await asyncio.sleep(60)
        raise AssertionError


def test_after_a_crash_each_message_of_an_open_request_may_have_been_sent(
    rig: Build, store: MemoryStore
) -> None:
    """The claims of all stand before the request leaves; the next start repeats what is open, and says so."""
    provider, runtime = Crashing(), Runtime()
    provider.limits = Limits(timeout_s=60)
    runtime.start()
    first = Rig(runtime, [provider], ledger=MemoryLedger(store, "a" * 16)).feed(*letters(EIGHT[:4]))
    first.until(lambda: len(provider.taken) == 4)
    assert {entry.state for entry in store.entries.values()} == {"C"}
    runtime.stop()
    second = BatchingProvider()
    made = rig([second], incarnation="b" * 16).feed(*letters(EIGHT)).until_acked(8)
    again = {user: ["sent resent_after_unknown"] for user in EIGHT[:4]}
    assert ends(made) == again | {user: ["sent"] for user in EIGHT[4:]}
    assert Counter(second.taken) == Counter(message(user, n).message_id for n, user in enumerate(EIGHT))


ANSWERS = st.lists(
    st.sampled_from([None, Rejected("x"), RecipientGone("x"), Transient("x"), Unknown("x"), 0.002]),
    max_size=3,
)
WHOLE = st.lists(st.sampled_from([0, 1, Transient("x"), Unknown("x"), Rejected("x")]), max_size=3)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts=st.lists(ANSWERS, min_size=2, max_size=10), whole=WHOLE, most=st.integers(2, 6))
def test_any_mix_of_answers_gives_each_message_one_end(
    runtime: Runtime,
    scripts: list[list[DeliveryError | float | None]],
    whole: list[DeliveryError | int],
    most: int,
) -> None:
    provider = BatchingProvider(most)
    provider.whole.extend(whole)
    users = [f"u{n}" for n in range(len(scripts))]
    for user, script in zip(users, scripts, strict=True):
        provider.script(user, *script)
    made = Rig(runtime, [provider]).feed(*letters(users)).until_acked(len(users))
    found, returned = ends(made), {retry.message.user for retry in made.retries()}
    assert {user: len(words) for user, words in found.items()} == dict.fromkeys(set(users) - returned, 1)
    assert not returned & found.keys()
    sent = {user for user, words in found.items() if words[0].startswith("sent")}
    taken = Counter(provider.taken)
    assert all(taken[message(user, n).message_id] for n, user in enumerate(users) if user in sent)
    maybe = {line.user for line in made.outcomes() if line.reason == "unknown"}
    doubled = {user for n, user in enumerate(users) if taken[message(user, n).message_id] > 1}
    assert doubled <= maybe
