"""Carries out attempts on the runtime's loop: render, claim, call, write.

Nothing is emitted before the ledger has it; nothing is sent before the ledger has the claim. What follows is
decided in `tocsin.delivery.attempt`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, get_args

import msgspec

from tocsin.delivery.asking import Asker
from tocsin.delivery.attempt import (
    Answered,
    Asked,
    AttemptPolicy,
    AttemptState,
    Claimed,
    Then,
    Transition,
    Write,
    transition,
)
from tocsin.delivery.call_window import Call
from tocsin.delivery.calls import Answer, Calls
from tocsin.delivery.claim import Output, SendLedger
from tocsin.delivery.records import ProviderCall, writable
from tocsin.delivery.runtime import Runtime
from tocsin.errors import DeliveryError, Misconfigured, RenderError, Unknown
from tocsin.model.content import Attachment, AttachmentRef, Content, EmailContent, Outgoing
from tocsin.model.message import Message
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status
from tocsin.model.unanswered import OnUnknown as UnknownPolicy
from tocsin.providers.base import Provider, Receipt

Render = Callable[[Message], Content]
OnUnknown = Callable[[Message], UnknownPolicy | None]
"""What a message's category says of a send that may have happened; None leaves it to the policy."""
MarkOf = Callable[[Message], str]
Fetch = Callable[[Sequence[AttachmentRef]], Awaitable[tuple[Attachment, ...]]]
"""Fetches attachments, or raises a `DeliveryError` about the message."""
WITH_ATTACHMENTS = 16
"""Mails with attachments that a channel holds at once: each may be tens of megabytes."""


class Delivery:
    """One message in a channel: its state, and what the channel decided for its next step."""

    __slots__ = (
        "accused",
        "awaits_receipt",
        "call",
        "called",
        "closed_ms",
        "content",
        "due_ms",
        "expired",
        "expires_ms",
        "fallback",
        "message",
        "message_at_fault",
        "others",
        "provider",
        "record",
        "return_due_ms",
        "send_by_ms",
        "state",
        "steady_ahead_ms",
        "user_key",
    )

    def __init__(self, record: RawRecord, message: Message) -> None:
        self.record = record
        self.message = message
        self.user_key = f"{message.tenant}/{message.user}"
        self.state = AttemptState(record, message, message.attempt)
        self.content: Content | None = None
        # Of the step that is on: who makes the call, whether another could take over, whether any is left
        # beside it, and whether it took others' messages since it refused this one.
        self.provider: Provider | None = None
        self.call: Call | None = None
        self.called = ""  # the account of a call of which the ledger does not know yet what came of it
        self.fallback = False
        self.others = False
        self.message_at_fault = False
        self.awaits_receipt = False
        # Accounts that it was told do not work, with the number of messages they had taken by then.
        self.accused: Mapping[str, int] = {}
        # Set to the due time when the message must return to the gate without another call.
        self.return_due_ms: int | None = None
        self.due_ms = 0
        # By how much the steady clock was ahead of the wall clock when the last due time was set.
        self.steady_ahead_ms = 0
        self.expired = False
        self.expires_ms = message.expires_ms
        self.closed_ms = 0
        self.send_by_ms = message.send_by_ms

    def look(self, now_ms: int) -> None:
        """Notice that it is too late, for good or for today."""
        if 0 < self.expires_ms < now_ms:
            self.expired = True
        if 0 < self.send_by_ms <= now_ms:
            self.closed_ms = self.send_by_ms

    def until_ms(self) -> int:
        """Return when it is too late to call a provider; 0 for never."""
        ends = (self.expires_ms + 1 if self.expires_ms else 0, self.send_by_ms)
        return min(filter(None, ends), default=0)


class AttemptResult(msgspec.Struct, frozen=True):
    """What one step of a message came to: the ledger has the outputs, so they may be emitted."""

    job: Delivery
    step: Transition


class _Fetched(NamedTuple):
    """The attachments of a message; or a fault for good, or an error for now."""

    attachments: tuple[Attachment, ...] = ()
    fault: tuple[Reason, str] | None = None
    error: DeliveryError | None = None


_NOTHING = _Fetched()


class Stats(Protocol):
    """Where provider calls are counted; called on the runtime's thread."""

    def call(self, channel: str, provider: str, result: str, provider_ms: int) -> None:
        """Count one call: `result` is `sent` or the reason of the failure."""
        ...


class Executor:
    """Carries out attempts. `run` raises nothing but what is a fault of ours."""

    def __init__(
        self,
        policy: AttemptPolicy,
        runtime: Runtime,
        ledger: SendLedger,
        render: Render,
        stats: Stats,
        mark_of: MarkOf | None = None,
        on_unknown: OnUnknown | None = None,
        asker: Asker | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._fetch = fetch
        self._attaching = asyncio.Semaphore(WITH_ATTACHMENTS)
        self._policy = policy
        self._policies = {
            word: msgspec.structs.replace(policy, on_unknown=word) for word in get_args(UnknownPolicy)
        }
        self._asker = asker
        self._on_unknown = on_unknown or (lambda _: None)
        self._stats = stats
        self._runtime = runtime
        self._ledger = ledger
        self._render = render
        self._mark_of = mark_of
        self._calls = Calls()
        self.calling = 0
        """Messages that are at a provider now; other threads may read it."""

    def run(self, job: Delivery) -> Coroutine[Any, Any, AttemptResult]:
        """Take one message one step further: at most one provider call."""
        fault = self._fault(job)
        job.look(self._runtime.now_ms())
        only_look = job.expired or job.closed_ms > 0 or fault is not None or job.return_due_ms is not None
        content = job.content
        if only_look or not isinstance(content, EmailContent) or not content.attachments:
            return self._step(job, fault, only_look=only_look)
        return self._step_with(job, content.attachments)

    async def _step_with(self, job: Delivery, attachments: Sequence[AttachmentRef]) -> AttemptResult:
        async with self._attaching:
            found = await self._attach(attachments)
            job.look(self._runtime.now_ms())
            only_look = job.expired or job.closed_ms > 0 or found.attachments == ()
            return await self._step(job, found.fault, found, only_look=only_look)

    async def _attach(self, refs: Sequence[AttachmentRef]) -> _Fetched:
        """Fetch before the claim: a crash meanwhile leaves nothing unknown."""
        if self._fetch is None:
            return _Fetched(fault=(Reason.ATTACHMENT, "this process fetches no attachments"))
        try:
            return _Fetched(await self._fetch(refs))
        except DeliveryError as error:
            if error.permanent:
                return _Fetched(fault=(Reason.ATTACHMENT, str(error)))
            return _Fetched(error=error)

    async def _step(
        self,
        job: Delivery,
        fault: tuple[Reason, str] | None,
        fetched: _Fetched = _NOTHING,
        *,
        only_look: bool,
    ) -> AttemptResult:
        claim = await self._ledger.claim(job.message, only_look=only_look)
        now_ms = self._now_ms(job)
        job.look(now_ms)  # a claim waits for Redis, for minutes if it is away
        event = Claimed(claim, now_ms, job.expired, fault, job.return_due_ms, job.closed_ms, fetched.error)
        chosen = self._on_unknown(job.message)
        policy = self._policies[chosen] if chosen else self._policy
        step = transition(policy, job.state, event)
        shown: tuple[Output, ...] = ()
        if step.then is Then.ASK:
            step, shown = transition(policy, step.state, await self._ask(job, step.state)), step.outputs
        if step.then is Then.CALL:
            job.state, shown = step.state, shown + step.outputs
            step = transition(policy, job.state, await self._call(job, fetched.attachments))
        return await self._apply(job, step, shown)

    async def _ask(self, job: Delivery, state: AttemptState) -> Asked:
        assert job.content is not None, "rendered before the claim"
        if self._asker is None:
            now_ms = self._runtime.now_ms()
            return Asked(Misconfigured("no account can be asked"), ProviderCall(now_ms), now_ms)
        asked = await self._asker.ask(state, Outgoing(job.message, job.content, self._mark_of))
        same = job.provider is not None and asked.call.provider == job.provider.name
        return asked._replace(awaits_receipt=same and job.awaits_receipt)

    def failed(self, job: Delivery) -> AttemptResult:
        """Say what follows when `run` raised: the same again, a little later."""
        return AttemptResult(job, Transition(job.state, Then.AGAIN, due_ms=self._now_ms(job) + 1_000))

    def _now_ms(self, job: Delivery) -> int:
        """Read the wall clock for what follows, and note the steady clock beside it."""
        now_ms = self._runtime.now_ms()
        job.steady_ahead_ms = self._runtime.steady_ms() - now_ms
        return now_ms

    def _fault(self, job: Delivery) -> tuple[Reason, str] | None:
        """Render once; say what keeps this message from ever being sent."""
        if job.return_due_ms is not None:
            return None
        if job.provider is None and job.message.sent_by:
            return Reason.ALREADY_SENT, "no account is left that has not sent it"
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

    async def _call(self, job: Delivery, attachments: tuple[Attachment, ...] = ()) -> Answered:
        assert job.provider is not None, "the channel picks a provider before it submits"
        assert job.call is not None, "and begins the call"
        assert job.content is not None, "rendered before the claim"
        at_ms, started = self._runtime.now_ms(), self._runtime.monotonic_ms()
        job.call.started_ms = self._runtime.steady_ms()
        outgoing = Outgoing(job.message, job.content, self._mark_of, attachments)
        name = job.called or job.provider.name
        answer = await self._answer(job, job.provider, outgoing)
        call = ProviderCall(
            at_ms=at_ms,
            provider=name,
            provider_ms=round(self._runtime.monotonic_ms() - started),
            code=writable(answer.code),
            provider_message_id=writable(answer.provider_message_id) if isinstance(answer, Receipt) else "",
        )
        job.call.took_ms = call.provider_ms
        result = Status.SENT if isinstance(answer, Receipt) else answer.reason
        self._stats.call(job.message.channel, call.provider, result, call.provider_ms)
        now_ms = self._now_ms(job)
        return Answered(
            answer, call, now_ms, job.fallback, job.others, job.message_at_fault, job.awaits_receipt
        )

    async def _answer(self, job: Delivery, provider: Provider, outgoing: Outgoing) -> Answer:
        """Call, unless a fault of ours lost the answer of the call before: that one may have been taken."""
        if job.called:
            return Unknown("the answer was lost in this process", code="fault")
        job.called = provider.name
        self.calling += 1
        try:
            return await self._calls.send(provider, outgoing)
        finally:
            self.calling -= 1

    async def _apply(self, job: Delivery, step: Transition, shown: tuple[Output, ...] = ()) -> AttemptResult:
        """Write what the step says, then take over its state."""
        state, ledger = step.state, self._ledger
        if step.write is Write.ATTEMPT:
            await ledger.record(state.message, state.attempt, state.outputs, unknown=state.unknown)
        elif step.write is not Write.NOTHING:
            returned = step.write is Write.RETURN
            await ledger.finish(
                state.message, state.attempt, state.outputs, returned=returned, unknown=state.unknown
            )
        job.state, job.called = state, ""
        if shown:
            step = msgspec.structs.replace(step, outputs=shown + step.outputs)
        return AttemptResult(job, step)
