"""Handles each provider call: judges it, applies an ordered fault, records it and answers it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from tocsin.devkit.sandbox.faults import Fault, Faults
from tocsin.devkit.sandbox.people import People
from tocsin.devkit.sandbox.sent import ACCEPTED, BOUNCED, Call, Entry, Sent
from tocsin.devkit.sandbox.wire import Exchange, Refusal, Reply, Request


class Accepted(NamedTuple):
    """A right request: its messages, what the provider answers, and the id it gives.

    Attributes:
        verdicts: of a provider whose answer tells of each recipient: builds the answer from each one's fault,
            and such a recipient's message is refused. None where an answer holds for the whole request.
    """

    calls: list[Call]
    reply: Reply
    provider_id: str
    verdicts: Callable[[Sequence[Fault | None]], Reply] | None = None


OF_RECIPIENT = frozenset({"bounce", "dead_token", "refused_number"})
"""Faults that are about one recipient; all others hold for the whole request."""


class SandboxResponse(NamedTuple):
    """An answer that waits until its records are written; without a reply the connection is cut."""

    exchange: Exchange
    reply: Reply | None
    latency_ms: int
    last: bool = False

    def go(self) -> None:
        """Send it."""
        if self.last:
            self.exchange.leave()
        if self.reply is None:
            self.exchange.drop()
        else:
            self.exchange.answer(self.reply)


class Vendor(Protocol):
    """One provider's API: reads requests as strictly as the real one and speaks its answers."""

    name: str

    def judge(self, request: Request) -> Accepted:
        """Read a request as strictly as the provider; raise `Refusal` with its answer to a wrong one."""
        ...

    def fail(self, fault: Fault) -> Refusal | None:
        """Say a fault in the provider's own shape; None if the provider accepts such a call first."""
        ...


@runtime_checkable
class Searchable(Protocol):
    """A provider's API that tells which messages it has."""

    def search(self, request: Request, sent: Sent) -> Reply | None:
        """Answer a search; None if the request is none. Raise `Refusal` as `judge` does."""
        ...


def _whole(faults: Sequence[Fault | None]) -> Fault | None:
    """Choose the fault that holds for the whole request; else the first of a recipient."""
    found = [fault for fault in faults if fault is not None]
    return next((fault for fault in found if fault.kind not in OF_RECIPIENT), found[0] if found else None)


class RequestHandler:
    """Writes each accepted call to the send log before its answer leaves.

    Calls that arrive together are written together, once a turn of the loop.
    """

    def __init__(
        self,
        sent: Sent,
        faults: Faults,
        people: People,
        *,
        clock_ms: Callable[[], int],
        soon: Callable[[Callable[[], None]], object],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self.sent = sent
        self.faults = faults
        self.people = people
        self.clock_ms = clock_ms
        self.invalid: Counter[tuple[str, str]] = Counter()
        self._soon = soon
        self._later = later
        self._ready: list[SandboxResponse] = []

    def serve(self, vendor: Vendor, request: Request, exchange: Exchange) -> None:
        """Take one provider call to its answer."""
        try:
            found = vendor.search(request, self.sent) if isinstance(vendor, Searchable) else None
            if found is not None:
                exchange.answer(found)
                return
            accepted = vendor.judge(request)
        except Refusal as refusal:
            self.invalid[vendor.name, refusal.code] += 1
            exchange.answer(refusal.reply)
            return
        now_ms = self.clock_ms()
        rulings = [self.faults.rule(call, now_ms) for call in accepted.calls]  # none: a request to be checked
        faults = [ruling.fault for ruling in rulings]
        whole = _whole(faults)
        reply = self._decide(vendor, accepted, whole, faults, now_ms)
        if not self._ready:
            self._soon(self._settle)
        latency_ms = max([ruling.latency_ms for ruling in rulings], default=0)
        leaves = whole is not None and whole.kind == "leave"
        self._ready.append(SandboxResponse(exchange, reply, latency_ms, leaves))

    def _decide(
        self,
        vendor: Vendor,
        accepted: Accepted,
        whole: Fault | None,
        faults: Sequence[Fault | None],
        now_ms: int,
    ) -> Reply | None:
        """Record the calls and give the answer; None to cut the connection."""
        if whole is not None and whole.kind == "drop_before":
            return None
        refusal = vendor.fail(whole) if whole else None
        if refusal is not None:
            self.refuse(accepted.calls, refusal.code, now_ms)
            return refusal.reply
        reply = self._record(accepted, faults, now_ms)
        return None if whole is not None and whole.kind == "drop_after" else reply

    def _record(self, accepted: Accepted, faults: Sequence[Fault | None], now_ms: int) -> Reply:
        """Record each call by its own fault: refused where the answer says so, else accepted."""
        own = [fault if fault and fault.kind in OF_RECIPIENT else None for fault in faults]
        for call, fault in zip(accepted.calls, own, strict=True):
            if fault and accepted.verdicts:
                self.refuse([call], fault.code or fault.kind, now_ms)
            else:
                bounced = fault is not None and fault.kind == "bounce"
                self.accept([call], accepted.provider_id, now_ms, bounced=bounced)
        return accepted.verdicts(own) if accepted.verdicts else accepted.reply

    def summary(self, entry: Entry) -> dict[str, object]:
        """Give what a list shows of a message."""
        return {**entry.summary(), "name": self.people.name_of(entry.user)}

    def full(self, entry: Entry) -> dict[str, object]:
        """Give a message with its content."""
        return {**self.summary(entry), "content": entry.content()}

    def accept(self, calls: list[Call], provider_id: str, now_ms: int, *, bounced: bool = False) -> None:
        """Record accepted calls, each as a record."""
        status = BOUNCED if bounced else ACCEPTED
        for call in calls:
            user = self.people.user_of(call.recipient, call.user)
            self.sent.accept(call, user, now_ms, provider_id=provider_id, status=status)

    def refuse(self, calls: list[Call], code: str, now_ms: int) -> None:
        """Record right calls that met an ordered fault."""
        for call in calls:
            self.sent.refuse(call, self.people.user_of(call.recipient, call.user), now_ms, code)

    def _settle(self) -> None:
        """Write the records of this turn, then let their answers go."""
        self.sent.flush()
        ready, self._ready = self._ready, []
        for answer in ready:
            if answer.latency_ms:
                self._later(answer.latency_ms / 1000, answer.go)
            else:
                answer.go()
