"""Replays keep the laws: each subject has one final outcome, and `again` sends nothing twice."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.replays.facts import Facts
from sources.replays.rewriting import Rewriter
from tests.decision.gate_world import NOON, SECOND, World, profile
from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tocsin.app.audit import Audit
from tocsin.delivery import records
from tocsin.delivery.attempt import Answered, AttemptPolicy, AttemptState, Claimed, Then, Write, transition
from tocsin.delivery.records import ProviderCall
from tocsin.errors import Rejected
from tocsin.formats.codec import decode_outcome, decode_retry, encode
from tocsin.model.event import Origin, Replay
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord
from tocsin.providers.base import Receipt

KINDS = ("flight.landed", "later", "once", "few", "nobody.asks", "daytime")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.sampled_from(KINDS), st.integers(0, 3)),
        st.tuples(st.just("replay"), st.booleans(), st.integers(0, 9)),
        st.tuples(st.just("message"), st.booleans(), st.integers(0, 9)),
        st.tuples(st.just("deliver"), st.booleans(), st.integers(1, 9)),
    ),
    min_size=1,
    max_size=25,
)


class Run:
    """A gate and a delivery with a ledger; what they say is audited."""

    def __init__(self) -> None:
        self.world = World()
        self.world.profile(profile())
        self.ledger = MemoryLedger(MemoryStore(), "1" * 16)
        self.audit = Audit()
        self.events: list[tuple[str, str, int, Origin]] = []
        self.delivered = 0
        self.sent: Counter[tuple[str, ...]] = Counter()
        self.roots: dict[str, str] = {}
        self.forced = 0
        self.at = SECOND

    def step(self, kind: str, choice: Any, number: int) -> None:
        self.at += SECOND
        if kind == "event":
            self._event(str(choice), f"e{number}", self.at, None)
        elif kind == "replay" and self.events:
            name, event_id, time, root = self.events[number % len(self.events)]
            self.forced += choice
            self._event(name, event_id, time, Replay(f"r{self.at}", choice, root))
        elif kind == "message" and self.world.messages:
            self._message(self.world.messages[number % len(self.world.messages)], force=choice)
        elif kind == "deliver":
            for message in self.world.messages[self.delivered : self.delivered + number]:
                asyncio.run(self.deliver(message, works=choice))
                self.delivered += 1

    def _event(self, kind: str, event_id: str, time: int, replay: Replay | None) -> None:
        origin = Origin("events", 3, 100 + len(self.events))
        self.world.event(kind, event_id=event_id, at=self.at, time=time, origin=origin, replay=replay)
        self.events.append((kind, event_id, time, replay.origin if replay else origin))
        self.roots[str(origin)] = str(replay.origin if replay else origin)
        self.audit.event(str(origin))

    def _message(self, message: Message, *, force: bool) -> None:
        """Replay a message as the command does."""
        self.forced += force
        raw = RawRecord("messages.email.now", 0, 0, NOON + self.at, b"", encode(message), ())
        written = Rewriter(f"r{self.at}", force, NOON + self.at, 4).written(Facts(raw))
        retry = decode_retry(RawRecord(written.topic, 0, 0, NOON + self.at, None, written.value, ()))
        self.world.advance(self.at)
        record = self.world.record(message.user)
        self.world.apply(message.user, self.world.gate.on_retry(record, retry, NOON + self.at))

    async def deliver(self, message: Message, *, works: bool) -> None:
        raw = RawRecord("messages.email.now", 0, 0, NOON + self.at, b"", encode(message), ())
        claim = await self.ledger.claim(message)
        state, now_ms = AttemptState(raw, message, message.attempt), NOON + self.at
        step = transition(AttemptPolicy(), state, Claimed(claim, now_ms))
        if step.then is Then.CALL:
            answer = Receipt("id") if works else Rejected("refused")
            step = transition(
                AttemptPolicy(), step.state, Answered(answer, ProviderCall(now_ms, "p", 1), now_ms)
            )
            self.sent[self._first_of(message)] += works
        if step.write is not Write.NOTHING:
            done = step.state
            await self.ledger.finish(message, done.attempt, done.outputs, returned=False, unknown=False)
        for record in records.expand(raw, message, step.outputs):
            if record.topic == "outcomes":
                self.audit.outcome(decode_outcome(RawRecord("outcomes", 0, 0, 0, None, record.value, ())))

    def _first_of(self, message: Message) -> tuple[str, ...]:
        """Name what a user would call the same message, whatever ids it has."""
        root = self.roots[str(message.origin)]
        return root, message.notification, message.channel, message.target.address

    def finish(self) -> None:
        self.world.advance(200 * 3_600 * SECOND)
        for message in self.world.messages[self.delivered :]:
            asyncio.run(self.deliver(message, works=True))
        for outcome in self.world.outcomes:
            self.audit.outcome(outcome)
        for message in self.world.messages:
            self.audit.message(message.message_id)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_is_replayed_the_audit_is_zero_and_again_sends_nothing_twice(
    steps: list[tuple[str, Any, int]],
) -> None:
    run = Run()
    for step in steps:
        run.step(*step)
    run.finish()
    audited = run.audit.reconcile()
    assert audited.sentences() == []
    assert (audited.settled, audited.in_flight) == (audited.events, 0)
    if not run.forced:
        assert max(run.sent.values(), default=0) <= 1


def test_force_sends_once_more_knowingly() -> None:
    run = Run()
    for step in [
        ("event", "flight.landed", 0),
        ("deliver", True, 9),
        ("replay", True, 0),
        ("deliver", True, 9),
    ]:
        run.step(*step)
    run.finish()
    assert list(run.sent.values()) == [2, 2]
    assert msgspec.structs.asdict(run.audit.reconcile())["doubled"] == []
