"""Handles each provider call: judges it, applies an ordered fault, records it and answers it."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tocsin.devkit.sandbox.faults import Fault, Faults, Ruling
from tocsin.devkit.sandbox.people import People
from tocsin.devkit.sandbox.sent import ACCEPTED, BOUNCED, Call, Entry, Sent
from tocsin.devkit.sandbox.wire import Exchange, Refusal, Reply, Request


class Accepted(NamedTuple):
    """A right request: its messages, what the provider answers, and the id it gives."""

    calls: list[Call]
    reply: Reply
    provider_id: str


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
            accepted = vendor.judge(request)
        except Refusal as refusal:
            self.invalid[vendor.name, refusal.code] += 1
            exchange.answer(refusal.reply)
            return
        now_ms = self.clock_ms()
        ruling = self._rule(accepted.calls, now_ms)
        reply = self._decide(vendor, accepted, ruling.fault, now_ms)
        if not self._ready:
            self._soon(self._settle)
        leaves = ruling.fault is not None and ruling.fault.kind == "leave"
        self._ready.append(SandboxResponse(exchange, reply, ruling.latency_ms, leaves))

    def _rule(self, calls: list[Call], now_ms: int) -> Ruling:
        if not calls:
            return Ruling()  # a request that asks to be checked only
        rulings = [self.faults.rule(call, now_ms) for call in calls]
        if len(rulings) == 1:
            return rulings[0]
        fault = next((ruling.fault for ruling in rulings if ruling.fault), None)
        return Ruling(max(ruling.latency_ms for ruling in rulings), fault)

    def _decide(self, vendor: Vendor, accepted: Accepted, fault: Fault | None, now_ms: int) -> Reply | None:
        """Record the calls and give the answer; None to cut the connection."""
        if fault is not None and fault.kind == "drop_before":
            return None
        refusal = vendor.fail(fault) if fault else None
        if refusal is not None:
            self.refuse(accepted.calls, refusal.code, now_ms)
            return refusal.reply
        bounced = fault is not None and fault.kind == "bounce"
        self.accept(accepted.calls, accepted.provider_id, now_ms, bounced=bounced)
        return None if fault is not None and fault.kind == "drop_after" else accepted.reply

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
