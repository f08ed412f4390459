"""What delivery tests share: scripted providers, a channel driven by hand, its outputs decoded."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any

import msgspec

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.waiting import PATIENCE_S
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.breaker import BreakerPolicy, BreakerState
from tocsin.delivery.channel import Buckets, ChannelDelivery, ChannelPolicy
from tocsin.delivery.claim import SendLedger
from tocsin.delivery.executor import Fetch, OnUnknown
from tocsin.delivery.queue import QueuePolicy
from tocsin.delivery.ramp import RampPolicy
from tocsin.delivery.retry import RetryPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.errors import DeliveryError
from tocsin.formats.marks import Marks
from tocsin.model import topics
from tocsin.model.content import Content, Outgoing, SmsContent
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Provider, Receipt

Answer = DeliveryError | Exception | float | None
Key = tuple[str, int]
DOWN = (BreakerState.OPEN, BreakerState.HALF_OPEN)
QUICK = RetryPolicy(quick_s=(0.02, 0.05), jitter=0)


class ScriptedProvider:
    """A provider that answers each user's calls from a script, then with success.

    A number is a time to take before success; an exception is raised; None is success at once.
    """

    def __init__(self, name: str = "first", channel: Channel = Channel.EMAIL, delay_s: float = 0) -> None:
        self.name = name
        self.channel = channel
        self.limits = Limits(timeout_s=PATIENCE_S)
        self.called_s: list[float] = []
        self.delay_s = delay_s
        self.scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self.always: Answer = None
        self.calls: list[Message] = []
        self.marks: list[str] = []
        self.taken: list[str] = []
        self.most_at_once = 0
        self._now = 0

    def script(self, user: str, *answers: Answer) -> None:
        self.scripts[user].extend(answers)

    def accepts(self, message: Message) -> bool:
        return message.channel == self.channel

    async def send(self, outgoing: Outgoing) -> Receipt:
        message = outgoing.message
        self.calls.append(message)
        self.marks.append(outgoing.mark)
        self.called_s.append(time.monotonic())
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await self._answer(message.user)
        finally:
            self._now -= 1
        self.taken.append(message.message_id)
        return Receipt(provider_message_id=f"{self.name}-{len(self.calls)}", code="202")

    async def close(self) -> None:
        """Nothing to give back."""

    async def _answer(self, user: str) -> None:
        script = self.scripts[user]
        answer = script.popleft() if script else self.always
        await asyncio.sleep(answer if isinstance(answer, int | float) else self.delay_s)
        if isinstance(answer, Exception):
            raise answer

    def sent(self) -> list[Key]:
        """User and event number of each call."""
        return [(call.user, call.origin.offset) for call in self.calls]


MARKS = Marks(b"the secret of these tests")


class HoldingProvider(ScriptedProvider):
    """Answers no call before `open` is set: how many are out at once then rests on no machine's speed."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def _answer(self, user: str) -> None:
        await self.open.wait()


class NoStats:
    """Counts calls in a dict."""

    def __init__(self) -> None:
        self.results: dict[tuple[str, str, str], int] = defaultdict(int)

    def call(self, channel: str, provider: str, result: str, provider_ms: int) -> None:
        self.results[channel, provider, result] += 1


def plain(message: Message) -> Content:
    return SmsContent(text="hello", segments=1, encoding="GSM-7")


def policy(**changes: Any) -> ChannelPolicy:
    base: dict[str, Any] = {
        "channel": Channel.EMAIL,
        "queue": QueuePolicy(credits=16, buffered=200),
        "breaker": BreakerPolicy(threshold=3, cooldown_ms=60, longest_ms=200),
        "ramp": RampPolicy(unknown_per_s=1_000, least_per_s=1_000),
        "attempt": AttemptPolicy(retry=QUICK),
        "second_look_ms": 100,
    }
    return ChannelPolicy(**(base | changes))


class Rig:
    """A channel, its ledger and the records it put out; drives the channel as the operator does."""

    def __init__(
        self,
        runtime: Runtime,
        providers: Sequence[Provider] | Callable[[Message], Sequence[Provider]],
        *,
        settings: ChannelPolicy | None = None,
        render: Callable[[Message], Content] = plain,
        ledger: SendLedger | None = None,
        on_unknown: OnUnknown | None = None,
        reporting: Set[str] = frozenset(),
        buckets: Buckets | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self.runtime = runtime
        self.stats = NoStats()
        self.channel = ChannelDelivery(
            settings or policy(),
            runtime=runtime,
            ledger=ledger or MemoryLedger(MemoryStore(), "a" * 16),
            render=render,
            providers_for=providers if callable(providers) else lambda _: providers,
            stats=self.stats,
            on_unknown=on_unknown,
            mark_of=MARKS.of,
            reporting=reporting,
            buckets=buckets,
            fetch=fetch,
        )
        self.out: list[OutRecord] = []
        self.acks: list[tuple[str, int, int]] = []

    def feed(self, *records: RawRecord) -> "Rig":
        self.channel.accept(records)
        return self

    def step(self) -> None:
        self.channel.advance()
        out, acks = self.channel.take_output()
        self.out += out
        self.acks += acks

    def skip(self, seconds: float) -> "Rig":
        """Put the clock of the channel forward: waits and expiries by the clock instead of by sleeping."""
        self.step_wall(seconds)
        steady_ms, skipped_ms = self.runtime.steady_ms, round(seconds * 1_000)
        self.runtime.steady_ms = lambda: steady_ms() + skipped_ms  # type: ignore[method-assign]  # of this test
        return self

    def step_wall(self, seconds: float) -> "Rig":
        """Step the wall clock alone, as whoever sets the clock of a machine does."""
        now_ms, stepped_ms = self.runtime.now_ms, round(seconds * 1_000)
        self.runtime.now_ms = lambda: now_ms() + stepped_ms  # type: ignore[method-assign]  # of this test alone
        return self

    def until_out(self, provider: HoldingProvider, count: int) -> "Rig":
        """Go on until so many calls are out, see that they are all, and let them be answered."""
        self.until(lambda: provider.most_at_once >= count).run_for(0.05)
        assert provider.most_at_once == count
        self.runtime.call(provider.open.set)
        return self

    def run_for(self, seconds: float) -> "Rig":
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
            time.sleep(0.001)
        return self

    def until(self, reached: Callable[[], bool], within_s: float = PATIENCE_S) -> "Rig":
        end = time.monotonic() + within_s
        while not reached():
            assert time.monotonic() < end, f"not reached; out: {[o.status for o in self.outcomes()]}"
            self.step()
            time.sleep(0.001)
        return self

    def until_down(self, name: str = "first") -> "Rig":
        """Go on until an account takes no calls."""
        return self.until(lambda: self.channel.gauges().providers.get(name) in DOWN)

    def until_acked(self, count: int, within_s: float = PATIENCE_S) -> "Rig":
        return self.until(lambda: len(self.acks) >= count, within_s)

    def of(self, topic: str) -> list[OutRecord]:
        return [record for record in self.out if record.topic == topic]

    def outcomes(self) -> list[Outcome]:
        return decoded(self.of(topics.OUTCOMES), Outcome)

    def words(self) -> list[tuple[str, str, int]]:
        """Status, reason and attempt of each outcome."""
        return [(line.status, line.reason, line.attempt) for line in self.outcomes()]

    def retries(self) -> list[Retry]:
        return decoded(self.of(topics.RETRIES), Retry)

    def receipts(self) -> list[ReceiptEvent]:
        return decoded(self.of(topics.RECEIPTS), ReceiptEvent)


def decoded(records: Iterable[OutRecord], kind: type[Any]) -> list[Any]:
    return [msgspec.json.decode(record.value or b"", type=kind) for record in records]
