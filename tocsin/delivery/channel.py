"""One channel of a process: which messages go to which provider when. Lives in the worker's thread.

Reads nothing by itself: records come from `accept`, answers from the runtime's mailbox, time from the
runtime's clock. Keeps no durable state: what is not acknowledged is read from Kafka again, and the ledger
tells what had been done.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from typing import NamedTuple, Protocol

import msgspec

from tocsin.delivery.account import Account, AccountPolicy, Change
from tocsin.delivery.asking import Asker
from tocsin.delivery.attempt import AttemptPolicy, Health, Then
from tocsin.delivery.breaker import BreakerPolicy, BreakerState, Condition
from tocsin.delivery.call_window import WindowPolicy
from tocsin.delivery.claim import SendLedger
from tocsin.delivery.executor import (
    AttemptResult,
    Delivery,
    Executor,
    Fetch,
    MarkOf,
    OnUnknown,
    Render,
    Stats,
)
from tocsin.delivery.queue import DeliveryQueue, QueuePolicy
from tocsin.delivery.ramp import RampPolicy
from tocsin.delivery.records import expand
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.shared_rate import Granted, SharedRate, Wanted
from tocsin.errors import DecodeError
from tocsin.formats.codec import dead_letter, decode_message
from tocsin.model import topics
from tocsin.model.message import Message
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason
from tocsin.model.unanswered import OnUnknown as UnknownPolicy
from tocsin.providers.base import BatchLimits, Provider


class Buckets(Protocol):
    """Where calls are leased from that all processes share."""

    async def lease(self, wanted: Wanted) -> Granted:
        """Ask once; does not raise."""
        ...

    def lost(self, wanted: Wanted) -> Granted:
        """Return the answer that none came."""
        ...


ProvidersFor = Callable[[Message], Sequence[Provider]]
Ack = tuple[str, int, int]
_ACCUSED = "accused"
_USUAL_BUFFER = 4_096  # messages of some 3 KB each
_ONE = BatchLimits()
_FOR_A_CONNECTION = 2
"""Messages for each connection: while one is at the provider, the other is claimed or written down."""
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
        probe_poll_ms: the same while only calls of accounts that are down are out: an outage lasts longer.
        busy_poll_ms: the same while every credit is in use: fewer, larger turns cost less CPU.
        least_share: records are taken in only if this part of the buffer is free, for the same reason.
        own_work: messages that this process works on at once, to render, claim and write them down. Those at
            a provider do not count. Where the process is the limit, more would only make each wait longer.
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
    probe_poll_ms: int = 50
    busy_poll_ms: int = 4
    least_share: float = 1 / 16
    own_work: int = 256
    drain_ms: int = 5_000
    stream_clock: bool = False


class AccountQueue(NamedTuple):
    """What an account has before it.

    Attributes:
        out: messages at it now.
        waiting: messages in the operator that wait for an account and have this one as their first choice.
        oldest_s: age of the oldest of them, since it was written to the channel's topic.
    """

    out: int = 0
    waiting: int = 0
    oldest_s: float = 0.0


class Gauges(NamedTuple):
    """What a channel holds now.

    Attributes:
        active: messages at a provider.
        held: messages in all.
        oldest_s: age of the oldest of them, since it was written to the channel's topic.
        providers: whether each account may be called.
        accounts: the condition of each account.
        limits: calls a second that each account may get while it recovers (from this process) or answers 429
            (from all processes); 0 for no limit.
        queues: what each account has before it.
    """

    active: int
    held: int
    oldest_s: float
    providers: dict[str, BreakerState]
    accounts: dict[str, Condition]
    limits: dict[str, float]
    queues: dict[str, AccountQueue]


class ChannelDelivery:
    """Queues, breakers and attempts of one channel.

    What waits or has a rate here goes by the steady clock of the runtime: a step of the wall clock lets
    nothing wait longer. Expiries, due times of retries and what people read are wall time.
    """

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
        reporting: Set[str] = frozenset(),
        buckets: Buckets | None = None,
        fetch: Fetch | None = None,
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
            reporting: accounts that report deliveries: without a report, another account may send a message.
            buckets: the rates of accounts that all processes share; None if each keeps them by itself.
            fetch: fetches the attachments of mails.
        """
        self._reporting = reporting
        self.policy = policy
        self._runtime = runtime
        self._ledger = ledger
        self._providers_for = providers_for
        asker = Asker(runtime, providers_for)
        executor = Executor(policy.attempt, runtime, ledger, render, stats, mark_of, on_unknown, asker, fetch)
        self._executor = executor
        self._tasks = runtime.tasks(executor.run, executor.failed)
        self._queues = DeliveryQueue[Delivery](policy.queue)
        self._accounts: dict[str, Account] = {}
        self._shared: dict[str, SharedRate] = {}
        self._leases = None if buckets is None else runtime.tasks(buckets.lease, buckets.lost)
        for provider in known_providers:
            self._account(provider)
        self._served: dict[str, int] = {}
        self._starts = 0
        self._room: dict[str, int] = {}
        """Calls that accounts may still start in this turn: asked once for all messages of a turn."""
        self._away_ms = 0  # since when the ledger is away
        self.dead_letters: Counter[Reason] = Counter()
        """Dead letters of this process, by reason."""
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
                self.dead_letters[error.reason] += 1
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
        now_ms = self._runtime.steady_ms()
        self._look(now_ms)
        if self._ledger.away:
            return  # a message that starts now would wait for Redis, and go out with all others at its return
        self._take_leases(now_ms)
        self._queues.wake(now_ms)
        self._unpark(now_ms)
        self._tasks.submit(self._start(now_ms))
        self._ask_for_leases(now_ms)

    def _take_leases(self, now_ms: int) -> None:
        if self._leases is not None and self._leases.pending:
            for answer in self._leases.drain():
                self._accounts[answer.account].granted(answer, now_ms)

    def _ask_for_leases(self, now_ms: int) -> None:
        if self._leases is not None and self._shared:
            asked = (rate.ask(now_ms) for rate in self._shared.values())
            self._leases.submit(wanted for wanted in asked if wanted is not None)

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
        """When to call `advance` again, as wall time; None if only a new record can change anything."""
        due_ms = self._due_ms(now_ms := self._runtime.steady_ms())
        return None if due_ms is None else self._runtime.now_ms() + due_ms - now_ms

    def _due_ms(self, now_ms: int) -> int | None:
        soon_ms = now_ms + self._poll_ms()
        leases = 0 if self._leases is None else self._leases.pending
        if self._tasks.pending > self._out_at_down() or leases or self._out or self._acks:
            return soon_ms
        dues = [self._queues.next_due(), now_ms + self.policy.probe_poll_ms if self._tasks.pending else None]
        dues += [
            self._accounts[name].due_ms(now_ms, self._late_ms(mark))
            for _, mark, *names in self._queues.parked_groups
            for name in names
            if not self._accounts[name].breaker.is_probing
        ]
        times = [due for due in dues if due is not None]
        return max(min(times), soon_ms) if times else None

    def _out_at_down(self) -> int:
        """Count the calls that are out at accounts which are down."""
        return sum(account.window.out for account in self._accounts.values() if not account.works)

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

    def conditions(self) -> dict[str, Condition]:
        """Return the condition of each account; from any thread."""
        return {name: self._since(account.condition) for name, account in list(self._accounts.items())}

    def _since(self, condition: Condition) -> Condition:
        """Write since when it is so as wall time."""
        if not condition.since_ms:
            return condition
        elapsed_ms = self._runtime.steady_ms() - condition.since_ms
        return condition._replace(since_ms=self._runtime.now_ms() - elapsed_ms)

    def gauges(self) -> Gauges:
        """What the channel holds now, for metrics."""
        now_ms = self._runtime.now_ms()
        accounts = list(self._accounts.items())
        steady_ms = self._runtime.steady_ms()
        states = {name: account.breaker.state(steady_ms) for name, account in accounts}
        conditions = self.conditions()
        limits = {name: account.learned_per_s for name, account in accounts}
        oldest_ms = self._queues.oldest(_written_ms)
        age_s = 0.0 if oldest_ms is None else _age_s(oldest_ms, now_ms)
        queues = self._account_queues(now_ms)
        return Gauges(self._queues.active, self._queues.total, age_s, states, conditions, limits, queues)

    def _account_queues(self, now_ms: int) -> dict[str, AccountQueue]:
        found = {name: AccountQueue(account.window.out) for name, account in list(self._accounts.items())}
        for (_, _, *names), (count, oldest_ms) in self._queues.waiting_in(_written_ms).items():
            before = found.get(names[0], AccountQueue())
            oldest_s = max(before.oldest_s, _age_s(oldest_ms, now_ms))
            found[names[0]] = AccountQueue(before.out, before.waiting + count, oldest_s)
        return found

    def _take_in(self) -> None:
        for result in self._tasks.drain():
            self._note(result)
            self._apply(result)

    def _apply(self, result: AttemptResult) -> None:
        job, step = result.job, result.step
        self._out += expand(job.record, job.message, step.outputs)
        if step.dead:
            self.dead_letters[step.dead] += 1
        if step.then is Then.FINISHED:
            self._acks.append((job.record.topic, job.record.partition, job.record.offset))
            self._queues.finish(job.user_key)
        elif step.then is Then.PARK:
            self._park(job)
        else:
            self._wait(job, step.due_ms, step.due_ms + job.steady_ahead_ms)

    def _note(self, result: AttemptResult) -> None:
        """Tell the account what its call came to, and the log if that changes its state."""
        job, step = result.job, result.step
        if job.provider is None or job.call is None:
            return
        name, call = job.provider.name, job.call
        job.call = None
        account = self._accounts[name]
        change = account.answered(call, step, self._runtime.steady_ms(), again=name in job.accused)
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
            if change.after.since_ms:
                change = change._replace(after=self._since(change.after))
            _log.warning("account %s is %s; %d waiting here", name, change.sentence(), self._queues.total)

    def _relieve(self, user: str) -> None:
        """Return a waiting message to the gate at once if too many stand behind it."""
        job = self._queues.over_backlog_limit(user)
        if job is not None:
            job.return_due_ms = max(job.due_ms, self._runtime.now_ms())

    def _start(self, now_ms: int) -> list[Delivery]:
        started: list[Delivery] = []
        self._room.clear()
        most, wall_ms = self.policy.own_work - (self._tasks.pending - self._executor.calling), 0
        while len(started) < most and (job := self._queues.take()) is not None:
            providers = self._providers(job)
            wall_ms = wall_ms or self._runtime.now_ms()
            job.look(wall_ms)
            if not providers or job.return_due_ms is not None or job.expired or job.closed_ms:
                job.provider = None
                started.append(job)
            elif self._pick(job, providers, now_ms):
                started.append(job)
            else:
                self._park(job)
        return started

    def _providers(self, job: Delivery) -> Sequence[Provider]:
        named = self._providers_for(job.message)
        for provider in named:
            self._account(provider)
        declined, sent_by = job.state.declined, job.message.sent_by
        if not declined and not sent_by:
            return named
        return [each for each in named if each.name not in declined and each.name not in sent_by]

    def _pick(self, job: Delivery, providers: Sequence[Provider], now_ms: int) -> bool:
        """Give the job the first account that is up, best one that it has not tried in this attempt."""
        tried = job.state.tried
        untried = [one for one in providers if one.name not in tried] if tried else providers
        for provider in (*untried, *providers) if tried else providers:
            if not self._room.get(provider.name):
                account = self._accounts[provider.name]
                if not account.up(now_ms):
                    continue
                self._room[provider.name] = account.free(now_ms, self.policy.queue.credits)
                if not self._room[provider.name]:
                    account.waits(urgent=job.message.priority == "critical")
                    return False  # it works, so its messages wait for their turn
            self._room[provider.name] -= 1
            self._begin(job, provider, now_ms)
            job.others = len(providers) > 1
            if job.message.failover_ms:
                job.awaits_receipt = job.others and provider.name in self._reporting
            job.fallback = job.others and self._fallback(provider, untried, now_ms)
            return True
        return False

    def _fallback(self, provider: Provider, untried: Sequence[Provider], now_ms: int) -> bool:
        """Tell whether another account that was not tried is up."""
        others = [other for other in untried if other.name != provider.name]
        return any(self._accounts[other.name].up(now_ms) for other in others)

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
            shared = None
            if self._leases is not None:
                shared = self._shared[provider.name] = SharedRate(provider.name, limits.rate_per_s)
            account = Account(bounds, limits.rate_per_s, limits.timeout_s, shared, _at_once(provider))
            self._accounts[provider.name] = account
        return account

    def _wait(self, job: Delivery, due_ms: int, steady_ms: int) -> None:
        job.due_ms = due_ms
        self._queues.wait(job.user_key, steady_ms)
        self._relieve(job.user_key)

    def _steadily(self, at_ms: int) -> int:
        """Return the steady time at which the wall clock shows a time, unless it steps until then."""
        return self._runtime.steady_ms() + at_ms - self._runtime.now_ms()

    def _park(self, job: Delivery) -> None:
        """Wait for a provider; for a while, if those that are up have just told it that they do not work."""
        names, now_ms = [provider.name for provider in self._providers(job)], self._runtime.steady_ms()
        until_ms = job.until_ms()
        up = [name for name in names if self._accounts[name].up(now_ms)]
        if up and job.accused.keys() >= set(up):
            due_ms = self._runtime.now_ms() + self.policy.second_look_ms
            due_ms = min(due_ms, until_ms or due_ms)
            self._wait(job, due_ms, self._steadily(due_ms))
        else:
            mark = _ACCUSED if job.accused.keys() >= set(names) else ""
            wakes_ms = self._steadily(until_ms) if until_ms else 0
            self._queues.park(job.user_key, (job.message.tenant, mark, *names), wakes_ms)

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
                self._note_waits(names, now_ms, urgent=self._queues.urgent(group))
            if full and left and self._others_free(names, now_ms):
                self._make_room(group, self._runtime.now_ms())

    def _free(self, name: str, now_ms: int, late_ms: int) -> int:
        """Calls that an account may start now; one that is down is probed late by who was refused."""
        account, most = self._accounts[name], self.policy.queue.credits
        if late_ms and not account.works:
            return account.breaker.slots(now_ms - late_ms, most)
        return account.free(now_ms, most)

    def _note_waits(self, names: Sequence[str], now_ms: int, *, urgent: bool) -> None:
        """Ask for calls of accounts that would take some; a probe, too, needs one of the rate it shares."""
        for name in names:
            if self._accounts[name].up(now_ms):
                self._accounts[name].waits(urgent=urgent)

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
        return any(account.spare(now_ms) for name, account in self._accounts.items() if name not in names)

    def _turn(self, group: tuple[str, ...]) -> tuple[str, int]:
        """Order groups: tenants take turns, or one tenant's poison or flood would keep others from calls."""
        tenant, mark, *_ = group
        return mark, self._served.get(tenant, 0)

    def _down(self) -> bool:
        accounts = self._accounts.values()
        return bool(accounts) and not any(account.works for account in accounts)


def channel_policy(
    channel: str, *, in_flight: int = 1_024, on_unknown: UnknownPolicy = "resend"
) -> ChannelPolicy:
    """Build a channel's policy from what is set; it buffers sixteen messages a call, beyond 4,096 four."""
    return ChannelPolicy(
        channel=channel,
        queue=QueuePolicy(credits=in_flight, buffered=min(16 * in_flight, max(_USUAL_BUFFER, 4 * in_flight))),
        attempt=AttemptPolicy(on_unknown=on_unknown),
    )


def _at_once(provider: Provider) -> int:
    """Count the messages that may be at a provider, or on their way to it; 0 for no bound.

    A call without a connection would wait for one, and its deadline would not: it would fail although the
    provider is well.
    """
    batch: BatchLimits = getattr(provider, "batch", _ONE)
    return _FOR_A_CONNECTION * batch.most * provider.limits.at_once


def _written_ms(job: Delivery) -> int:
    return job.record.timestamp_ms


def _age_s(since_ms: int, now_ms: int) -> float:
    return max(0.0, (now_ms - since_ms) / 1_000)
