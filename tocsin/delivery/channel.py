"""One channel of a process: which messages go to which provider when. Lives in the worker's thread.

Reads nothing by itself: records come from `accept`, answers from the runtime's mailbox, time from the
runtime's clock. Keeps no durable state: what is not acknowledged is read from Kafka again, and the ledger
tells what had been done.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from tocsin.delivery.account import Account, AccountPolicy, Change
from tocsin.delivery.attempt import AttemptPolicy, Health, Then
from tocsin.delivery.breaker import BreakerPolicy, BreakerState, Condition
from tocsin.delivery.call_window import WindowPolicy
from tocsin.delivery.claim import SendLedger
from tocsin.delivery.executor import AttemptResult, Delivery, Executor, MarkOf, OnUnknown, Render, Stats
from tocsin.delivery.queue import DeliveryQueue, QueuePolicy
from tocsin.delivery.ramp import RampPolicy
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
        breaker: when an account counts as down.
        ramp: how fast an account is called after an outage.
        window: how many calls of an account may be out, by how long its answers take.
        attempt: retries and unknown outcomes.
        return_ms: with the buffer full of messages whose providers are down while other providers of
            the channel are up, the former go back to the gate for this long.
        second_look_ms: a message that was told that its account does not work waits this long before it asks
            again, if the breaker did not believe it.
        poll_ms: how often answers are fetched while calls are out.
        busy_poll_ms: the same while every credit is in use: fewer, larger turns cost less CPU.
        least_share: records are taken in only if this part of the buffer is free, for the same reason.
        drain_ms: how long the end of input waits for calls that are out.
        stream_clock: decisions are in the events' own time, so outcomes are, too. What is left until a
            message expires counts from when it was read, and the hours in which its channel may be used do
            not end for it.
    """

    channel: str
    queue: QueuePolicy = QueuePolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    ramp: RampPolicy = RampPolicy()
    window: WindowPolicy = WindowPolicy()
    attempt: AttemptPolicy = AttemptPolicy()
    return_ms: int = 30_000
    second_look_ms: int = 5_000
    poll_ms: int = 2
    busy_poll_ms: int = 4
    least_share: float = 1 / 32
    drain_ms: int = 5_000
    stream_clock: bool = False


class Gauges(NamedTuple):
    """What a channel holds now.

    Attributes:
        active: messages at a provider.
        held: messages in all.
        oldest_s: age of the oldest of them, since it was written to the channel's topic.
        providers: whether each account may be called.
        accounts: the condition of each account.
        limits: calls a second that each account may get while it recovers; 0 for no limit.
    """

    active: int
    held: int
    oldest_s: float
    providers: dict[str, BreakerState]
    accounts: dict[str, Condition]
    limits: dict[str, float]


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
        known_providers: Iterable[Provider] = (),
        mark_of: MarkOf | None = None,
        on_unknown: OnUnknown | None = None,
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
            known_providers: all providers of the channel, so that one tenant's dead provider does not stop
                the channel before another tenant's was ever used.
            mark_of: makes the mark that providers give back with their reports.
            on_unknown: what a message's category says of a send that may have happened.
        """
        self.policy = policy
        self._runtime = runtime
        self._ledger = ledger
        self._providers_for = providers_for
        executor = Executor(policy.attempt, runtime, ledger, render, stats, mark_of, on_unknown)
        self._tasks = runtime.tasks(executor.run, executor.failed)
        self._queues = DeliveryQueue[Delivery](policy.queue)
        self._accounts: dict[str, Account] = {}
        for provider in known_providers:
            self._account(provider)
        self._served: dict[str, int] = {}
        self._starts = 0
        self._away_ms = 0  # since when the ledger is away
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
            urgent = job.message.priority == "critical"
            self._queues.add(job.message.tenant, job.user_key, job, urgent=urgent)
            self._relieve(job.user_key)

    def _job(self, record: RawRecord) -> Delivery:
        job = Delivery(record, decode_message(record))
        if self.policy.stream_clock:
            job.send_by_ms = 0
            ahead_ms = record.timestamp_ms - job.message.decided_ms
            job.state = msgspec.structs.replace(job.state, ahead_ms=ahead_ms)
            if job.expires_ms:
                job.expires_ms += ahead_ms
        return job

    def advance(self) -> None:
        """Take in answers, then start what may start."""
        self._take_in()
        now_ms = self._runtime.now_ms()
        self._look(now_ms)
        if self._ledger.away:
            return  # a message that starts now would wait for Redis, and go out with all others at its return
        self._queues.wake(now_ms)
        self._unpark(now_ms)
        self._tasks.submit(self._start(now_ms))

    def take_output(self) -> tuple[list[OutRecord], list[Ack]]:
        """Take what may be published, and the records that are finished with it."""
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
            self._accounts[name].due_ms(now_ms, self._late_ms(mark))
            for _, mark, *names in self._queues.parked_groups
            for name in names
        ]
        times = [due for due in dues if due is not None]
        return max(min(times), soon_ms) if times else None

    def _poll_ms(self) -> int:
        busy = self._queues.active >= self.policy.queue.credits
        return self.policy.busy_poll_ms if busy else self.policy.poll_ms

    def allowance(self, topic: str) -> int:
        """How many records of one of the channel's topics may be handed over now.

        While all accounts are down the buffer still fills, so that a critical message is known, and goes
        first, when one is back.
        """
        if self._ledger.away:
            return 0
        if topic != self._bulk:
            return self._portion(self._queues.room(), self._queues.policy.buffered)
        down = self._down()
        return 0 if down else self._portion(self._queues.spare(), self._queues.policy.credits)

    def _portion(self, room: int, most: int) -> int:
        """Return the room, but none until a whole portion fits."""
        return room if room >= int(most * self.policy.least_share) else 0

    def gauges(self) -> Gauges:
        """What the channel holds now, for metrics."""
        now_ms = self._runtime.now_ms()
        accounts = list(self._accounts.items())
        states = {name: account.breaker.state(now_ms) for name, account in accounts}
        conditions = {name: account.condition for name, account in accounts}
        limits = {name: account.ramp.per_s for name, account in accounts}
        oldest_ms = self._queues.oldest(lambda job: job.record.timestamp_ms)
        age_s = 0.0 if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1_000)
        return Gauges(self._queues.active, self._queues.total, age_s, states, conditions, limits)

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
        """Tell the account what its call came to, and the log if that changes its state."""
        job, step = result
        if job.provider is None or job.call is None:
            return
        name, call = job.provider.name, job.call
        job.call = None
        account = self._accounts[name]
        change = account.answered(call, step, self._runtime.now_ms(), again=name in job.accused)
        if step.health is Health.MISCONFIGURED:
            job.accused = {**job.accused, name: account.breaker.taken}
        self._log(name, change)

    def _look(self, now_ms: int) -> None:
        """Notice calls that are late, and the ledger's return."""
        for name, account in self._accounts.items():
            self._log(name, account.look(now_ms))
        if self._ledger.away:
            self._away_ms = self._away_ms or now_ms
        elif self._away_ms:
            for account in self._accounts.values():
                account.resume(now_ms, now_ms - self._away_ms)
            self._away_ms = 0

    def _log(self, name: str, change: Change | None) -> None:
        """Write one line when an account closes and one when it is back."""
        if change is not None:
            _log.warning("account %s is %s; %d waiting here", name, change.sentence(), self._queues.total)

    def _relieve(self, user: str) -> None:
        """Return a waiting message to the gate at once if too many stand behind it."""
        job = self._queues.over_backlog_limit(user)
        if job is not None:
            job.return_due_ms = max(job.due_ms, self._runtime.now_ms())

    def _start(self, now_ms: int) -> list[Delivery]:
        started: list[Delivery] = []
        while (job := self._queues.take()) is not None:
            providers = self._providers(job)
            job.look(now_ms)
            if not providers or job.return_due_ms is not None or job.expired or job.closed_ms:
                job.provider = None
                started.append(job)
            elif self._pick(job, providers, now_ms):
                started.append(job)
            else:
                self._park(job)
        return started

    def _providers(self, job: Delivery) -> list[Provider]:
        named = self._providers_for(job.message)
        for provider in named:
            self._account(provider)
        return [provider for provider in named if provider.name not in job.state.declined]

    def _pick(self, job: Delivery, providers: Sequence[Provider], now_ms: int) -> bool:
        """Give the job the first account that is up, best one that it has not tried in this attempt."""
        untried = [provider for provider in providers if provider.name not in job.state.tried]
        for provider in (*untried, *providers):
            account = self._accounts[provider.name]
            if not account.up(now_ms):
                continue
            if not account.free(now_ms, 1):
                account.ramp.waits()
                return False  # it works, so its messages wait for their turn
            self._begin(job, provider, now_ms)
            job.others = len(providers) > 1
            others = [other for other in untried if other.name != provider.name]
            job.fallback = any(self._accounts[other.name].up(now_ms) for other in others)
            return True
        return False

    def _begin(self, job: Delivery, provider: Provider, now_ms: int) -> None:
        account, taken = self._accounts[provider.name], job.accused.get(provider.name)
        job.provider, job.call = provider, account.begin(job.user_key, now_ms)
        job.message_at_fault = taken is not None and account.breaker.taken > taken
        self._starts += 1
        self._served[job.message.tenant] = self._starts

    def _account(self, provider: Provider) -> Account:
        account = self._accounts.get(provider.name)
        if account is None:
            limits, policy = provider.limits, self.policy
            bounds = AccountPolicy(policy.breaker, policy.ramp, policy.window)
            account = Account(bounds, limits.rate_per_s, limits.timeout_s)
            self._accounts[provider.name] = account
        return account

    def _wait(self, job: Delivery, due_ms: int) -> None:
        job.due_ms = due_ms
        self._queues.wait(job.user_key, due_ms)
        self._relieve(job.user_key)

    def _park(self, job: Delivery) -> None:
        """Wait for a provider; for a while, if those that are up have just told it that they do not work."""
        names, now_ms = [provider.name for provider in self._providers(job)], self._runtime.now_ms()
        until_ms = job.until_ms()
        up = [name for name in names if self._accounts[name].up(now_ms)]
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
        """Let parked messages go, as many as their accounts take; tenants take turns."""
        spent: dict[str, int] = defaultdict(int)
        room = self._portion(self._queues.room(), self._queues.policy.buffered)
        full = room == 0 and not self._down()
        for group in sorted(self._queues.parked_groups, key=self._turn):
            _, mark, *names = group
            slots = {name: self._free(name, now_ms, self._late_ms(mark)) - spent[name] for name in names}
            freed = self._queues.unpark(group, max(slots.values(), default=self.policy.queue.credits))
            if freed and slots:
                spent[max(slots, key=slots.__getitem__)] += len(freed)
            left = self._queues.parked(group)
            if left:
                self._note_waits(names)
            if full and left and self._others_free(names, now_ms):
                self._make_room(group, now_ms)

    def _free(self, name: str, now_ms: int, late_ms: int) -> int:
        """Calls that an account may start now; one that is down is probed late by who was refused."""
        account, most = self._accounts[name], self.policy.queue.credits
        if late_ms and not account.works:
            return account.breaker.slots(now_ms - late_ms, most)
        return account.free(now_ms, most)

    def _note_waits(self, names: Sequence[str]) -> None:
        for name in names:
            if self._accounts[name].works:
                self._accounts[name].ramp.waits()

    def _make_room(self, group: tuple[str, ...], now_ms: int) -> None:
        """Return a group's messages to the gate: they keep room from an account that works.

        Those of an account that is down come back together, to be looked at again. Those of an account with a
        limit come back when it will have got to them, so that none goes to and fro.
        """
        per_s = sum(self._accounts[name].limit_per_s() for name in group[2:])
        kept = self._queues.policy.buffered // 2 // len(self._queues.parked_groups) if per_s else 0
        most = self._queues.parked(group) - kept
        for number, job in enumerate(self._queues.unpark(group, most)):
            turn_ms = round((kept + number) * 1_000 / per_s) if per_s else 0
            job.return_due_ms = now_ms + max(self.policy.return_ms, turn_ms)

    def _others_free(self, names: Sequence[str], now_ms: int) -> bool:
        """Whether the messages of these accounts keep room from an account that works."""
        return any(self._free(name, now_ms, 0) for name in self._accounts if name not in names)

    def _turn(self, group: tuple[str, ...]) -> tuple[str, int]:
        """Order groups: tenants take turns, or one tenant's poison or flood would keep others from calls."""
        tenant, mark, *_ = group
        return mark, self._served.get(tenant, 0)

    def _down(self) -> bool:
        accounts = self._accounts.values()
        return bool(accounts) and not any(account.works for account in accounts)


def channel_policy(
    channel: Channel, *, in_flight: int = 512, on_unknown: Literal["resend", "drop"] = "resend"
) -> ChannelPolicy:
    """Build a channel's policy from what is set; it buffers sixteen messages a credit."""
    return ChannelPolicy(
        channel=channel,
        queue=QueuePolicy(credits=in_flight, buffered=16 * in_flight),
        attempt=AttemptPolicy(on_unknown=on_unknown),
    )
