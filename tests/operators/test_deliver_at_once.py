"""How many messages are out at once: as the provider takes them, and no more than the process can serve."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.operators.delivery import HoldingProvider, Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tocsin.delivery.call_window import WindowPolicy
from tocsin.delivery.channel import channel_policy
from tocsin.delivery.claim import Claim
from tocsin.delivery.queue import QueuePolicy
from tocsin.model.message import Message
from tocsin.providers.base import BatchLimits, Limits

Build = Callable[..., Rig]
ROOMY = QueuePolicy(credits=64, buffered=400)


class HeldLedger(MemoryLedger):
    """Answers no claim until it is told to."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), "a" * 16)
        self.open = asyncio.Event()
        self.waiting = 0

    async def claim(self, message: Message, *, only_look: bool = False) -> Claim:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        return await super().claim(message, only_look=only_look)


def some(count: int) -> list[Any]:
    return [record(message(f"u{number}", number), number) for number in range(count)]


def test_only_so_many_messages_are_in_the_process_own_hands(rig: Build) -> None:
    ledger = HeldLedger()
    made = rig([ScriptedProvider()], settings=policy(queue=ROOMY, own_work=8), ledger=ledger)
    made.feed(*some(40)).until(lambda: ledger.waiting >= 8)
    for _ in range(20):
        made.step()
    assert ledger.waiting == 8
    made.runtime.call(ledger.open.set)
    made.until_acked(40)


def test_calls_at_a_provider_do_not_count_as_own_work(rig: Build) -> None:
    provider, wide = HoldingProvider(), WindowPolicy(first=64)
    made = rig([provider], settings=policy(queue=ROOMY, own_work=8, window=wide)).feed(*some(200))
    made.until_out(provider, 64).until_acked(200)


def test_an_account_gets_no_more_messages_than_two_for_each_connection(rig: Build) -> None:
    provider = HoldingProvider()
    provider.limits = Limits(timeout_s=provider.limits.timeout_s, at_once=3)
    made = rig([provider], settings=policy(queue=ROOMY)).feed(*some(60))
    made.until_out(provider, 6).until_acked(60)
    assert provider.most_at_once == 6


def test_a_request_that_carries_several_messages_needs_one_connection(rig: Build) -> None:
    provider = HoldingProvider()
    provider.limits = Limits(timeout_s=provider.limits.timeout_s, at_once=1)
    provider.batch = BatchLimits(most=1)  # type: ignore[attr-defined]  # a provider of one mail a request
    provider.batch_key = lambda _: ""  # type: ignore[attr-defined]  # as above
    made = rig([provider], settings=policy(queue=ROOMY)).feed(*some(20))
    made.until_out(provider, 2).until_acked(20)
    assert provider.most_at_once == 2


@pytest.mark.parametrize(("in_flight", "buffered"), [(16, 256), (256, 4_096), (1_024, 4_096), (2_048, 8_192)])
def test_a_channel_buffers_enough_for_its_calls_in_bounded_memory(in_flight: int, buffered: int) -> None:
    made = channel_policy("sms", in_flight=in_flight)
    assert (made.queue.credits, made.queue.buffered) == (in_flight, buffered)
