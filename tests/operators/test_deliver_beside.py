"""An outage on one channel leaves the calls of another as they were: the same ones, at the same times.

Time is a number here, so two runs can be compared call by call. `bench.outage` compares them by the clock.
"""

import asyncio
import statistics
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.operators.delivery import Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tocsin.delivery.runtime import Runtime, Tasks
from tocsin.errors import Misconfigured, Transient, Unknown
from tocsin.model.content import Outgoing
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Receipt

NOON_MS, TURN_S, SECONDS = 1_700_000_000_000, 0.005, 4


class ManualLoop(asyncio.SelectorEventLoop):
    """A loop whose time goes on when it is told."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def settle(self) -> None:
        """Run what is ready, and what that makes ready."""
        for _ in range(12):
            self.call_soon(self.stop)
            self.run_forever()


class ManualRuntime:
    """What a channel needs of the runtime, by the time of a loop."""

    def __init__(self, loop: ManualLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return NOON_MS + round(self._loop.now_s * 1_000)

    def steady_ms(self) -> int:
        return self.now_ms()

    def monotonic_ms(self) -> float:
        return self._loop.now_s * 1_000

    def call(self, function: Any, *args: Any) -> None:
        self._loop.call_soon(function, *args)

    def tasks(self, run: Any, failed: Any) -> Tasks[Any, Any]:
        return Tasks(cast("Runtime", self), run, failed)


class Timed(ScriptedProvider):
    """Notes when each call came and when its answer went."""

    def __init__(self, loop: ManualLoop, channel: Channel) -> None:
        super().__init__(channel.value, channel, delay_s=0.02)
        self.limits = Limits(timeout_s=0.3)
        self._loop = loop
        self.times: list[tuple[str, float, float]] = []

    async def send(self, outgoing: Outgoing) -> Receipt:
        began_s = self._loop.now_s
        receipt = await super().send(outgoing)
        self.times.append((outgoing.message.user, began_s, self._loop.now_s))
        return receipt


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    made = ManualLoop()
    yield made
    for task in asyncio.all_tasks(made):
        task.cancel()
    made.settle()
    made.close()


def play(loop: ManualLoop, answer: Any) -> tuple[list[tuple[str, float, float]], int]:
    """Send mails beside a flood of texts that are answered so; return the calls of the mails."""
    loop.now_s = 0.0
    runtime, store = cast("Runtime", ManualRuntime(loop)), MemoryStore()
    mail, text = Timed(loop, Channel.EMAIL), Timed(loop, Channel.SMS)
    text.always = answer
    mails = Rig(runtime, [mail], ledger=MemoryLedger(store, "a" * 16))
    texts = Rig(runtime, [text], settings=policy(channel="sms"), ledger=MemoryLedger(store, "a" * 16))
    for turn in range(round(SECONDS / TURN_S)):
        loop.now_s = turn * TURN_S
        if turn % 4 == 0:
            mails.feed(record(message(f"m{turn % 28}", turn), turn))
        texts.feed(record(message(f"t{turn}", 100_000 + turn, channel="sms"), turn))
        texts.step()
        mails.step()
        loop.settle()
    return mail.times, len(text.taken)


@pytest.mark.parametrize(
    "outage",
    [Transient("down"), Misconfigured("bad key"), Unknown("cut"), 600.0],
    ids=["refused", "misconfigured", "cut", "no answer"],
)
def test_mails_are_sent_as_if_texts_were(loop: ManualLoop, outage: Any) -> None:
    usual, taken = play(loop, None)
    beside, none = play(loop, outage)
    assert taken > 500
    assert none == 0
    assert beside == usual
    assert len(usual) > 150
    waits = [ended - began for _, began, ended in usual]
    assert statistics.quantiles(waits, n=100)[98] < 0.03
