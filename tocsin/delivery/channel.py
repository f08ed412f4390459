"""One channel of a process: which messages go to which provider when. Lives in the worker's thread.

Reads nothing by itself: records come from `accept`, answers from the runtime's mailbox, time from the
runtime's clock. Keeps no durable state: what is not acknowledged is read from Kafka again, and the ledger
tells what had been done.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from tocsin.delivery.attempt import AttemptPolicy, Health, Then
from tocsin.delivery.breaker import AccountState, Breaker, BreakerPolicy, BreakerState, Condition
from tocsin.delivery.claim import SendLedger
from tocsin.delivery.executor import AttemptResult, Delivery, Executor, MarkOf, Render, Stats
from tocsin.delivery.queue import DeliveryQueue, QueuePolicy
from tocsin.delivery.rate import Rate
from tocsin.delivery.records import expand
from tocsin.delivery.runtime import Runtime
from tocsin.errors import DecodeError
from tocsin.formats.codec import dead_letter, decode_message
from tocsin.model import topics
from tocsin.model.message import Message
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Channel
from tocsin.providers.base import Provider

ProvidersFor = Callable[[Message], Sequence[Provider]]
Ack = tuple[str, int, int]
_ACCUSED = "accused"
_log = logging.getLogger("tocsin.delivery")


class ChannelPolicy(msgspec.Struct, frozen=True):
    """How one channel delivers.

    Attributes:
        channel: its name; `messages.<channel>.now` and `.bulk` are its topics.
        queue: credits and buffers.
        breaker: when a provider counts as down.
        attempt: retries and unknown outcomes.
        return_ms: with the buffer full of messages whose providers are down while other providers of
            the channel are up, the former go back to the gate for this long.
        second_look_ms: a message that was told that its account does not work waits this long before it asks
            again, if the breaker did not believe it.
        poll_ms: how often answers are fetched while calls are out.
        busy_poll_ms: the same while every credit is in use: fewer, larger turns cost less CPU.
        least_share: records are taken in only if this part of the buffer is free, for the same reason.
        drain_ms: how long the end of input waits for calls that are out.
        stream_clock: decisions are in the events' own time, so what is left until a message expires counts
            from when it was read.
    """

    channel: str
    queue: QueuePolicy = QueuePolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    attempt: AttemptPolicy = AttemptPolicy()
    return_ms: int = 30_000
    second_look_ms: int = 5_000
    poll_ms: int = 2
    busy_poll_ms: int = 4
    least_share: float = 1 / 32
    drain_ms: int = 5_000
    stream_clock: bool = False


class Gauges(NamedTuple):
    """What a channel holds now."""

    active: int
    held: int
    providers: dict[str, BreakerState]
    accounts: dict[str, Condition]


class ChannelDelivery:
    """Queues, breakers and attempts of one channel."""

    def __init__(
        self,
        policy: ChannelPolicy,
        *,
        runtime: Runtime,
        ledger: SendLedger,
        render: Render,
        providers_for: ProvidersFor,
        stats: Stats,
        known_providers: Iterable[str] = (),
        mark_of: MarkOf | None = None,
    ) -> None:
        """Set a channel up.

        Args:
            policy: its bounds and schedules.
            runtime: the loop; the same for all channels.
            ledger: the send ledger; the same for all channels.
            render: makes a message's content; may raise `RenderError`.
            providers_for: the providers that can carry a message, first choice first; a message without
                any is dead as misconfigured, so that it blocks nobody.
            stats: counts provider calls.
            known_providers: names of all providers of the channel, so that one tenant's dead provider
                does not stop the channel before another tenant's was ever used.
            mark_of: makes the mark that providers give back with their reports.
        """
        self.policy = policy
        self._runtime = runtime
        self._ledger = ledger
        self._providers_for = providers_for
        executor = Executor(policy.attempt, runtime, ledger, render, stats, mark_of)
        self._tasks = runtime.tasks(executor.run, executor.failed)
        self._queues = DeliveryQueue[Delivery](policy.queue)
        self._breakers = {name: Breaker(policy.breaker) for name in known_providers}
        self._rates: dict[str, Rate] = {}
        self._probed_ms: dict[str, int] = {}
        self._bulk = topics.messages(policy.channel, bulk=True)
        self._out: list[OutRecord] = []
        self._acks: list[Ack] = []

    def accept(self, records: Iterable[RawRecord]) -> None:
        """Queue records; what cannot be decoded becomes a dead letter."""
        for record in records:
            try:
                job = self._job(record)
            except DecodeError as error:
                self._out.append(dead_letter(record, "deliver", error.reason, str(error)))
                self._acks.append((record.topic, record.partition, record.offset))
                continue
            self._queues.add(job.message.tenant, job.user_key, job)
            self._relieve(job.user_key)

    def _job(self, record: RawRecord) -> Delivery:
        job = Delivery(record, decode_message(record))
        if self.policy.stream_clock and job.expires_ms:
            job.expires_ms += record.timestamp_ms - job.message.decided_ms
        return job

    def advance(self) -> None:
        """Take in answers, then start what may start."""
        self._take_in()
        now_ms = self._runtime.now_ms()
        self._queues.wake(now_ms)
        self._unpark(now_ms)
        self._tasks.submit(self._start(now_ms))

    def take_output(self) -> tuple[list[OutRecord], list[Ack]]:
        """Take what may be shown, and the records that are finished with it."""
        out, acks = self._out, self._acks
        self._out, self._acks = [], []
        return out, acks

    def drain(self) -> None:
        """Wait for the calls that are out, a bounded time; start nothing more."""
        until_ms = self._runtime.monotonic_ms() + self.policy.drain_ms
        while self._tasks.pending and self._runtime.monotonic_ms() < until_ms:
            self._tasks.wait(0.02)
            self._take_in()

    def wake_at_ms(self) -> int | None:
        """When to call `advance` again; None if only a new record can change anything."""
        now_ms = self._runtime.now_ms()
        soon_ms = now_ms + self._poll_ms()
        if self._tasks.pending or self._out or self._acks:
            return soon_ms
        dues = [self._queues.next_due()]
        dues += [
            self._due_ms(name, now_ms, self._late_ms(mark))
            for _, mark, *names in self._queues.parked_groups
            for name in names
        ]
        times = [due for due in dues if due is not None]
        return max(min(times), soon_ms) if times else None

    def _poll_ms(self) -> int:
        busy = self._queues.active >= self.policy.queue.credits
        return self.policy.busy_poll_ms if busy else self.policy.poll_ms

    def allowance(self, topic: str) -> int:
        """How many records of one of the channel's topics may be handed over now."""
        now_ms = self._runtime.now_ms()
        if self._ledger.away:
            return 0
        if self._down(now_ms):
            return self._probes(now_ms)
        policy, bulk = self.policy, topic == self._bulk
        room = self._queues.spare() if bulk else self._queues.room()
        most = policy.queue.credits if bulk else policy.queue.buffered
        return room if room >= int(most * policy.least_share) else 0

    def gauges(self) -> Gauges:
        """What the channel holds now, for metrics."""
        now_ms = self._runtime.now_ms()
        breakers = list(self._breakers.items())
        states = {name: breaker.state(now_ms) for name, breaker in breakers}
        conditions = {name: breaker.condition for name, breaker in breakers}
        return Gauges(self._queues.active, self._queues.total, states, conditions)

    def _take_in(self) -> None:
        for result in self._tasks.drain():
            self._note(result)
            self._apply(result)

    def _apply(self, result: AttemptResult) -> None:
        job, step = result
        self._out += expand(job.record, job.message, step.outputs)
        if step.then is Then.FINISHED:
            self._acks.append((job.record.topic, job.record.partition, job.record.offset))
            self._queues.finish(job.user_key)
        elif step.then is Then.PARK:
            self._park(job)
        else:
            self._wait(job, step.due_ms)

    def _note(self, result: AttemptResult) -> None:
        """Tell the breaker of the account what its call came to, and the log if that changes its state."""
        provider = result.job.provider
        if provider is None:
            return
        breaker = self._breaker(provider.name)
        before = breaker.condition.state
        self._tell(breaker, provider.name, result)
        if before is not breaker.condition.state and AccountState.OK in (before, breaker.condition.state):
            self._log_change(provider.name, breaker.condition)

    def _tell(self, breaker: Breaker, name: str, result: AttemptResult) -> None:
        (job, step), now_ms = result, self._runtime.now_ms()
        if step.health is Health.TOOK:
            breaker.took()
        elif step.health is Health.GOOD:
            breaker.succeeded()
        elif step.health is Health.FAILED:
            breaker.failed(job.user_key, now_ms, step.retry_after_s, step.code)
        elif step.health is Health.MISCONFIGURED:
            breaker.misconfigured(job.user_key, now_ms, step.code, again=name in job.accused)
            job.accused = {**job.accused, name: breaker.taken}
        else:
            breaker.abandoned()

    def _log_change(self, name: str, condition: Condition) -> None:
        """Write one line when an account closes and one when it is back."""
        if condition.state is AccountState.OK:
            _log.warning("account %s is back; %d messages wait", name, self._queues.total)
        else:
            _log.warning("account %s is %s; %d messages wait", name, condition.sentence(), self._queues.total)

    def _relieve(self, user: str) -> None:
        """Return a waiting message to the gate at once if too many stand behind it."""
        job = self._queues.over_backlog_limit(user)
        if job is not None:
            job.return_due_ms = max(job.due_ms, self._runtime.now_ms())

    def _start(self, now_ms: int) -> list[Delivery]:
        started: list[Delivery] = []
        while (job := self._queues.take()) is not None:
            providers = self._providers(job)
            job.expired = 0 < job.expires_ms < now_ms
            if not providers or job.return_due_ms is not None or job.expired:
                job.provider = None
                started.append(job)
            elif self._pick(job, providers, now_ms):
                started.append(job)
            else:
                self._park(job)
        return started

    def _providers(self, job: Delivery) -> list[Provider]:
        named = self._providers_for(job.message)
        return [provider for provider in named if provider.name not in job.state.declined]

    def _pick(self, job: Delivery, providers: Sequence[Provider], now_ms: int) -> bool:
        """Give the job the first provider that is up, best one that it has not tried in this attempt."""
        untried = [provider for provider in providers if provider.name not in job.state.tried]
        for provider in (*untried, *providers):
            breaker, rate = self._breaker(provider.name), self._rate(provider)
            if breaker.slots(now_ms, 1) and not rate.free(now_ms):
                return False  # it works, so its messages wait for their turn
            if breaker.begin(now_ms):
                rate.take()
                if breaker.state(now_ms) is BreakerState.HALF_OPEN:
                    self._probed_ms[job.message.tenant] = now_ms
                job.provider = provider
                job.others = len(providers) > 1
                job.message_at_fault = breaker.taken > job.accused.get(provider.name, breaker.taken)
                others = [other for other in untried if other.name != provider.name]
                job.fallback = any(self._breaker(other.name).slots(now_ms, 1) for other in others)
                return True
        return False

    def _rate(self, provider: Provider) -> Rate:
        rate = self._rates.get(provider.name)
        if rate is None:
            rate = self._rates[provider.name] = Rate(provider.limits.rate_per_s)
        return rate

    def _free(self, name: str, now_ms: int, late_ms: int) -> int:
        """Calls that an account may start now, by its breaker and its rate."""
        most = self.policy.queue.credits
        slots = self._breaker(name).slots(now_ms - late_ms, most)
        rate = self._rates.get(name)
        return min(slots, rate.free(now_ms)) if rate and slots else slots

    def _due_ms(self, name: str, now_ms: int, late_ms: int) -> int:
        """When an account may start its next call."""
        rate = self._rates.get(name)
        return max(self._breaker(name).until_ms + late_ms, rate.due_ms(now_ms) if rate else 0)

    def _wait(self, job: Delivery, due_ms: int) -> None:
        job.due_ms = due_ms
        self._queues.wait(job.user_key, due_ms)
        self._relieve(job.user_key)

    def _park(self, job: Delivery) -> None:
        """Wait for a provider; for a while, if those that are up have just told it that they do not work."""
        names, now_ms = [provider.name for provider in self._providers(job)], self._runtime.now_ms()
        until_ms = job.expires_ms + 1 if job.expires_ms else 0
        up = [name for name in names if self._breaker(name).slots(now_ms, 1)]
        if up and job.accused.keys() >= set(up):
            due_ms = now_ms + self.policy.second_look_ms
            self._wait(job, min(due_ms, until_ms or due_ms))
        else:
            mark = _ACCUSED if job.accused.keys() >= set(names) else ""
            self._queues.park(job.user_key, (job.message.tenant, mark, *names), until_ms)

    def _late_ms(self, mark: str) -> int:
        """Tell how much later than others it may probe: who was refused is no good probe."""
        return self.policy.breaker.cooldown_ms if mark == _ACCUSED else 0

    def _unpark(self, now_ms: int) -> None:
        most = self.policy.queue.credits
        full = self._queues.room() == 0 and not self._down(now_ms)
        for group in sorted(self._queues.parked_groups, key=self._turn):
            _, mark, *names = group
            late_ms = self._late_ms(mark)
            slots = max([self._free(name, now_ms, late_ms) for name in names], default=most)
            freed = self._queues.unpark(group, slots)
            if full and not freed and self._others_free(names, now_ms):
                for job in self._queues.unpark(group, most):
                    job.return_due_ms = now_ms + self.policy.return_ms

    def _others_free(self, names: Sequence[str], now_ms: int) -> bool:
        """Whether the messages of these accounts keep room from an account that works."""
        return any(self._free(name, now_ms, 0) for name in self._breakers if name not in names)

    def _turn(self, group: tuple[str, ...]) -> tuple[str, int]:
        """Order groups for a probe: tenants take turns, or one tenant's poison would keep others from it."""
        tenant, mark, *_ = group
        return mark, self._probed_ms.get(tenant, 0)

    def _breaker(self, name: str) -> Breaker:
        if name not in self._breakers:
            self._breakers[name] = Breaker(self.policy.breaker)
        return self._breakers[name]

    def _down(self, now_ms: int) -> bool:
        states = [breaker.state(now_ms) for breaker in self._breakers.values()]
        return bool(states) and BreakerState.CLOSED not in states

    def _probes(self, now_ms: int) -> int:
        """With every provider down: one record to probe with, if none is held that could.

        Those that were told that their account does not work do not count, or one of them, held alone, would
        keep the channel closed for ever.
        """
        ready = any(breaker.slots(now_ms, 1) for breaker in self._breakers.values())
        held = self._queues.active or any(mark != _ACCUSED for _, mark, *_ in self._queues.parked_groups)
        return int(ready and not held and self._queues.room() > 0)


def channel_policy(
    channel: Channel, *, in_flight: int = 512, on_unknown: Literal["resend", "drop"] = "resend"
) -> ChannelPolicy:
    """Build a channel's policy from what is set; it buffers eight messages a credit."""
    return ChannelPolicy(
        channel=channel,
        queue=QueuePolicy(credits=in_flight, buffered=8 * in_flight),
        attempt=AttemptPolicy(on_unknown=on_unknown),
    )
