"""One attempt at one message, on the runtime's loop: render, claim, call, write down what came of it.

Nothing is put out before the ledger has it; nothing is sent before the ledger has the claim. What follows
(wait, park, next in the queue) is the worker's to decide: an attempt only says what happened.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Literal, NamedTuple, Protocol

import msgspec

from operators import delivery_records as records
from operators.delivery_records import Call
from tocsin.delivery.deadlines import Deadlines
from tocsin.delivery.ledger import Answer, Claim, Ledger, Output
from tocsin.delivery.retry import Next, RetryPolicy, after_failure
from tocsin.delivery.runtime import Runtime
from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    OptedOut,
    RecipientGone,
    RenderError,
    Unknown,
)
from tocsin.model.content import Content, Outgoing
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status
from tocsin.providers.base import Provider, Receipt

Render = Callable[[Message], Content]


class Job:
    """One message in the operator, and what is known of it."""

    __slots__ = (
        "accused",
        "at_fault",
        "attempt",
        "burnt",
        "content",
        "declined",
        "due_ms",
        "expired",
        "expires_ms",
        "fallback",
        "first_failed_ms",
        "given_back",
        "last_reason",
        "message",
        "others",
        "outputs",
        "provider",
        "record",
        "tried",
        "unknown",
        "user_key",
    )

    def __init__(self, record: RawRecord, message: Message) -> None:
        self.record = record
        self.message = message
        self.user_key = f"{message.tenant}/{message.user}"
        self.attempt = message.attempt
        self.outputs: tuple[Output, ...] = ()
        self.content: Content | None = None
        self.unknown = False
        self.first_failed_ms = 0
        self.last_reason = Reason.TRANSIENT
        # Of the attempt that is on: who makes the call, who tried before, whether another could take over.
        self.provider: Provider | None = None
        self.tried: set[str] = set()
        self.fallback = False
        self.burnt = False
        # Accounts that cannot carry it, and whether any is left beside the one that makes the call.
        self.declined: frozenset[str] = frozenset()
        self.others = False
        # Accounts that it was told do not work, with the number of messages they had taken by then; and
        # whether that of the call has taken any since, so that this message is to blame and not the account.
        self.accused: Mapping[str, int] = {}
        self.at_fault = False
        # Set to the due time when the message must go back to the gate without another call.
        self.given_back: int | None = None
        self.due_ms = 0
        self.expired = False
        self.expires_ms = message.expires_ms


class Then(Enum):
    """What the worker does with the job next."""

    FINISHED = "finished"
    AGAIN = "again"
    PARK = "park"


class Health(Enum):
    """What a step says about its provider."""

    UNTOUCHED = "untouched"
    GOOD = "good"
    TOOK = "took"
    FAILED = "failed"
    MISCONFIGURED = "misconfigured"


HEALTH: Mapping[About, Health] = {
    About.RECIPIENT: Health.GOOD,
    About.MESSAGE: Health.UNTOUCHED,
    About.ACCOUNT: Health.MISCONFIGURED,
    About.MOMENT: Health.FAILED,
}
"""What a failure that is about one of these says of the account."""


class Step(NamedTuple):
    """What one step of a job came to: `outputs` are in the ledger and may be shown."""

    job: Job
    then: Then
    outputs: tuple[Output, ...] = ()
    due_ms: int = 0
    health: Health = Health.UNTOUCHED
    retry_after_s: float | None = None
    code: str = ""


class AttemptPolicy(msgspec.Struct, frozen=True):
    """How attempts end.

    Attributes:
        retry: the schedule.
        on_unknown: a send that may have happened: `resend` and say so, or `drop` it as dead.
    """

    retry: RetryPolicy = RetryPolicy()
    on_unknown: Literal["resend", "drop"] = "resend"


class Stats(Protocol):
    """Where provider calls are counted; called on the runtime's thread."""

    def call(self, channel: str, provider: str, result: str, provider_ms: int) -> None:
        """Count one call: `result` is `sent` or the reason of the failure."""
        ...


class Attempts:
    """Carries out attempts. `run` raises nothing but what is a fault of ours."""

    def __init__(
        self, policy: AttemptPolicy, runtime: Runtime, ledger: Ledger, render: Render, stats: Stats
    ) -> None:
        self._policy = policy
        self._stats = stats
        self._runtime = runtime
        self._ledger = ledger
        self._render = render
        self._deadlines = Deadlines()

    async def run(self, job: Job) -> Step:
        """Take one job one step further: at most one provider call."""
        now_ms = self._runtime.now_ms()
        fault = self._fault(job)
        job.expired |= 0 < job.expires_ms < now_ms
        only_look = job.expired or fault is not None or job.given_back is not None
        claim = await self._ledger.claim(job.message, only_look=only_look)
        shown = self._adopt(job, claim)
        step = await self._act(job, claim, fault)
        return step._replace(outputs=shown + step.outputs) if shown else step

    def failed(self, job: Job) -> Step:
        """Say what follows when `run` raised: the same again, a little later."""
        return Step(job, Then.AGAIN, due_ms=self._runtime.now_ms() + 1_000)

    def _fault(self, job: Job) -> tuple[Reason, str] | None:
        """Render once; say what keeps this message from ever being sent."""
        if job.given_back is not None:
            return None
        if job.provider is None:
            return Reason.MISCONFIGURED, "no provider account can carry it: add one and replay"
        if job.content is not None:
            return None
        try:
            job.content = self._render(job.message)
        except RenderError as error:
            return Reason.RENDER_ERROR, str(error)
        except Exception as error:  # the flow's edge: a template must not stop those behind it
            return Reason.RENDER_ERROR, f"the renderer failed ({type(error).__name__})"
        return None

    def _adopt(self, job: Job, claim: Claim) -> tuple[Output, ...]:
        """Take over what an earlier incarnation wrote; returns what must be shown once more."""
        job.unknown |= claim.unknown
        if claim.answer is Answer.FRESH or len(claim.outputs) <= len(job.outputs):
            return ()
        shown = claim.outputs[len(job.outputs) :]
        job.attempt, job.outputs = claim.attempt, claim.outputs
        return shown

    async def _act(self, job: Job, claim: Claim, fault: tuple[Reason, str] | None) -> Step:
        if claim.answer in (Answer.DONE, Answer.OLD):
            return Step(job, Then.FINISHED)
        if claim.answer is Answer.OPEN:
            return await self._left_open(job)
        if claim.answer is Answer.STALE:
            return self._stale(job)
        if job.given_back is not None:
            return await self._hand_back(job, job.last_reason, job.given_back)
        if job.expired:
            return await self._end(job, self._line(job, Status.EXPIRED, Reason.TOO_LATE, self._no_call()))
        if fault is not None:
            return await self._bury(job, *fault, self._no_call(), Health.UNTOUCHED)
        return await self._send(job)

    async def _send(self, job: Job) -> Step:
        assert job.provider is not None, "the worker picks a provider before it submits"
        assert job.content is not None, "rendered above"
        at_ms, started = self._runtime.now_ms(), self._runtime.monotonic_ms()
        answer = await self._deliver(job.provider, Outgoing(job.message, job.content))
        call = Call(
            at_ms=at_ms,
            provider=job.provider.name,
            provider_ms=round(self._runtime.monotonic_ms() - started),
            code=answer.code,
            provider_message_id=answer.provider_message_id if isinstance(answer, Receipt) else "",
        )
        result = answer.reason if isinstance(answer, DeliveryError) else Status.SENT
        self._stats.call(job.message.channel, call.provider, result, call.provider_ms)
        if isinstance(answer, DeliveryError):
            return (await self._failed(job, answer, call))._replace(code=call.code)
        reason = Reason.RESENT_AFTER_UNKNOWN if job.unknown else Reason.NONE
        return await self._end(job, self._line(job, Status.SENT, reason, call), health=Health.TOOK)

    async def _deliver(self, provider: Provider, outgoing: Outgoing) -> Receipt | DeliveryError:
        try:
            return await self._deadlines.within(provider.limits.timeout_s, provider.send(outgoing))
        except DeliveryError as error:
            return error
        except TimeoutError:
            return Unknown("no answer within the deadline", code="timeout")
        except Exception as error:  # the flow's edge: a fault of an adapter leaves the outcome unknown
            return Unknown("the adapter failed", code=type(error).__name__)

    async def _failed(self, job: Job, error: DeliveryError, call: Call) -> Step:
        if isinstance(error, Declined):
            return await self._declined(job, error, call)
        job.last_reason = error.reason
        job.unknown |= isinstance(error, Unknown)
        job.first_failed_ms = job.first_failed_ms or call.at_ms
        if error.permanent:
            return await self._refused(job, error, call)
        if isinstance(error, Unknown) and self._policy.on_unknown == "drop":
            return await self._bury(job, Reason.UNKNOWN, str(error), call, Health.FAILED)
        if error.about is About.ACCOUNT:
            return await self._misconfigured(job, error, call)
        health = HEALTH[error.about]
        if error.failover and job.fallback:
            return await self._fail_over(job, error.reason, call, health, burnt=True)
        return await self._retry(job, error, call, health)

    async def _declined(self, job: Job, error: Declined, call: Call) -> Step:
        """Leave it to the accounts that are left; one that is down is waited for."""
        job.declined |= {call.provider}
        if not job.others:
            return await self._bury(job, error.reason, str(error), call, Health.UNTOUCHED)
        return await self._fail_over(job, error.reason, call, Health.UNTOUCHED, burnt=False)

    async def _misconfigured(self, job: Job, error: DeliveryError, call: Call) -> Step:
        """Use up no attempt while the account may be to blame: it is mended some day."""
        health = Health.UNTOUCHED if job.at_fault else Health.MISCONFIGURED
        if job.fallback:
            return await self._fail_over(job, error.reason, call, health, burnt=False)
        if job.burnt or job.at_fault:
            return await self._retry(job, error, call, health)
        step = await self._fail_over(job, error.reason, call, health, burnt=False)
        return step._replace(then=Then.PARK)

    async def _fail_over(self, job: Job, reason: Reason, call: Call, health: Health, *, burnt: bool) -> Step:
        """Write this call down without using up the attempt; of calls that repeat only the first shows."""
        job.tried.add(call.provider)
        job.burnt |= burnt
        line = records.outcome(job.message, Status.RETRYING, reason, job.attempt, call, failed_over=True)
        outputs = () if records.repeats(line, job.outputs) else (line,)
        return await self._go_on(job, outputs, Then.AGAIN, call.at_ms, health)

    async def _refused(self, job: Job, error: DeliveryError, call: Call) -> Step:
        if not isinstance(error, OptedOut | RecipientGone):
            return await self._bury(job, error.reason, str(error), call, Health.GOOD)
        kind = "opted_out" if isinstance(error, OptedOut) else "gone"
        line = self._line(job, Status.DEAD, error.reason, call)
        return await self._end(
            job, line, records.receipt(job.message, kind, error.reason, call), health=Health.GOOD
        )

    async def _retry(self, job: Job, error: DeliveryError, call: Call, health: Health) -> Step:
        schedule, now_ms = self._policy.retry, self._runtime.now_ms()
        decision = after_failure(schedule, job.message.message_id, job.attempt, now_ms, error.retry_after_s)
        if decision.next is Next.GIVE_UP:
            text = f"{job.attempt} attempts failed, the last as {error.reason}: {error}"
            reason = error.reason if health is Health.UNTOUCHED else Reason.OUT_OF_ATTEMPTS
            step = await self._bury(job, reason, text, call, health)
            return step._replace(retry_after_s=error.retry_after_s)
        line = self._line(job, Status.RETRYING, error.reason, call)
        job.attempt += 1
        job.tried, job.burnt = set(), False
        if decision.next is Next.HAND_BACK:
            step = await self._hand_back(job, error.reason, decision.due_ms, line, provider=call.provider)
            return step._replace(health=health, retry_after_s=error.retry_after_s)
        step = await self._go_on(job, (line,), Then.AGAIN, decision.due_ms, health)
        return step._replace(retry_after_s=error.retry_after_s)

    async def _left_open(self, job: Job) -> Step:
        """A crash left this attempt open: by policy it is made again under the next number, or it is dead."""
        call = self._no_call()
        if self._policy.on_unknown == "drop" or job.attempt >= self._policy.retry.attempts:
            text = "a crash left the attempt open: it may have been sent"
            return await self._bury(job, Reason.UNKNOWN, text, call, Health.UNTOUCHED)
        line = self._line(job, Status.RETRYING, Reason.UNKNOWN, call)
        job.attempt += 1
        job.unknown = True
        return await self._go_on(job, (line,), Then.AGAIN, call.at_ms, Health.UNTOUCHED)

    def _stale(self, job: Job) -> Step:
        """Ask the gate at once. Not written down: read again, it says the same while the profile is newer."""
        retry = records.hand_back(job.attempt, Reason.STALE_PROFILE, job.message.decided_ms)
        return Step(job, Then.FINISHED, (retry,))

    async def _hand_back(
        self, job: Job, reason: Reason, due_ms: int, *lines: Output, provider: str = ""
    ) -> Step:
        retry = records.hand_back(
            job.attempt, reason, due_ms, provider=provider, first_failed_ms=job.first_failed_ms
        )
        return await self._end(job, *lines, retry, handed_back=True)

    async def _bury(self, job: Job, reason: Reason, text: str, call: Call, health: Health) -> Step:
        letter = records.dead(job.record, reason, text, attempts=job.attempt, at_ms=call.at_ms)
        return await self._end(job, self._line(job, Status.DEAD, reason, call), letter, health=health)

    async def _go_on(
        self, job: Job, outputs: tuple[Output, ...], then: Then, due_ms: int, health: Health
    ) -> Step:
        written = job.outputs + outputs
        await self._ledger.record(job.message, job.attempt, written, unknown=job.unknown)
        job.outputs = written
        return Step(job, then, outputs, due_ms, health)

    async def _end(
        self,
        job: Job,
        *outputs: Output,
        handed_back: bool = False,
        health: Health = Health.UNTOUCHED,
    ) -> Step:
        written = job.outputs + outputs
        await self._ledger.finish(
            job.message, job.attempt, written, handed_back=handed_back, unknown=job.unknown
        )
        job.outputs = written
        return Step(job, Then.FINISHED, outputs, health=health)

    def _line(self, job: Job, status: Status, reason: Reason, call: Call) -> Output:
        return records.outcome(job.message, status, reason, job.attempt, call)

    def _no_call(self) -> Call:
        return Call(at_ms=self._runtime.now_ms())
