"""Orders faults: which calls go wrong, how, and for how long."""

import random
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from tocsin.devkit.sandbox.sent import Call

SLOW_MS = 2_000

Kind = Literal[
    "latency",
    "status",
    "drop_before",
    "drop_after",
    "leave",
    "dead_token",
    "refused_number",
    "bounce",
    "smtp",
]


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls: empty fields match all. `recipient` is a pattern with `*`, `rate` a share of them."""

    provider: str = ""
    channel: str = ""
    recipient: str = ""
    rate: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            msg = "rate must be between 0 and 1"
            raise ValueError(msg)


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to them.

    Attributes:
        kind: `latency` waits, `status` answers that HTTP status in the provider's own shape, `drop_before`
            cuts the connection unprocessed, `drop_after` accepts and then cuts, `leave` accepts and asks for
            a new connection (GOAWAY over HTTP/2, `connection: close` else), `dead_token`,
            `refused_number` and `bounce` are the recipient's side refusing, `smtp` says `reply` at `stage`.
        code: the provider's own code to use in its answer, where there is a choice (`21610`, `5.2.2`).
        since_ms: since when APNs says a dead token is dead; 0 for now.
    """

    kind: Kind
    latency_ms: int = 0
    status: int = 503
    retry_after_s: int | None = None
    code: str = ""
    since_ms: int = 0
    stage: Literal["mail", "rcpt", "data"] = "rcpt"
    reply: str = ""

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            msg = "status must be between 400 and 599"
            raise ValueError(msg)
        if not 0 <= self.latency_ms <= 600_000:
            msg = "latency_ms must be between 0 and 600000"
            raise ValueError(msg)


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault as ordered; it ends after `count` calls or at `until` (Unix milliseconds), 0 for never."""

    fault: Fault
    match: Match = Match()
    count: int = 0
    until: int = 0


class Standing(msgspec.Struct):
    """An order in force and how often it has struck."""

    id: int
    order: Order
    struck: int = 0


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """What happens to one call: how long it takes, and the fault that decides its answer, if any."""

    latency_ms: int = 0
    fault: Fault | None = None


class Faults:
    """The orders in force. Latencies add up; of the other faults the first one ordered strikes."""

    def __init__(self, latency_ms: int, seed: int = 0) -> None:
        self._base = Ruling(latency_ms)
        self._random = random.Random(seed)  # noqa: S311 - which calls fail is no secret
        self._standing: dict[int, Standing] = {}
        self._next = 1

    def order(self, order: Order) -> Standing:
        """Put a fault in force."""
        standing = Standing(self._next, order)
        self._standing[self._next] = standing
        self._next += 1
        return standing

    def list(self) -> list[Standing]:
        """Give the orders in force, oldest first."""
        return list(self._standing.values())

    def lift(self, order_id: int | None = None) -> int:
        """End one order, or all; how many ended."""
        if order_id is None:
            ended = len(self._standing)
            self._standing.clear()
            return ended
        return 1 if self._standing.pop(order_id, None) else 0

    def rule(self, call: Call, now_ms: int, *, at: Literal["mail", "rcpt"] = "rcpt") -> Ruling:
        """Decide one call; the orders that strike are counted down by it.

        Args:
            call: what is decided; in an SMTP dialogue only the recipient is known yet.
            now_ms: for orders with an end.
            at: where an SMTP dialogue stands; orders for its `mail` stage strike only there.
        """
        magic = _magic(call.recipient) if at == "rcpt" else None
        if not self._standing and magic is None:
            return self._base
        latency_ms, decisive = self._base.latency_ms, None
        for fault in self._striking(magic, call, now_ms, at):
            if fault.kind == "latency":
                latency_ms += fault.latency_ms
            else:
                decisive = fault
        return Ruling(latency_ms, decisive)

    def _striking(self, magic: Fault | None, call: Call, now_ms: int, at: str) -> Iterator[Fault]:
        """Give every latency and the one decisive fault; an order that comes too late is not counted."""
        decided = magic is not None and magic.kind != "latency"
        if magic is not None:
            yield magic
        for standing in list(self._standing.values()):
            fault = standing.order.fault
            if (fault.kind == "smtp" and fault.stage == "mail") != (at == "mail"):
                continue
            if (decided and fault.kind != "latency") or not self._strikes(standing, call, now_ms):
                continue
            decided = decided or fault.kind != "latency"
            yield fault

    def _strikes(self, standing: Standing, call: Call, now_ms: int) -> bool:
        order = standing.order
        if order.until and now_ms >= order.until:
            del self._standing[standing.id]
            return False
        if not self._matches(order.match, call):
            return False
        standing.struck += 1
        if standing.struck == order.count:
            del self._standing[standing.id]
        return True

    def _matches(self, match: Match, call: Call) -> bool:
        return (
            match.provider in ("", call.provider)
            and match.channel in ("", call.channel)
            and (not match.recipient or fnmatchcase(call.recipient, match.recipient))
            and (match.rate >= 1 or self._random.random() < match.rate)
        )


def _magic(recipient: str) -> Fault | None:
    """Recipients that always go wrong, whatever was ordered."""
    if recipient.startswith("bounce+"):
        return Fault("bounce")
    if recipient.startswith(("slow+", "slow-")):
        return Fault("latency", latency_ms=SLOW_MS)
    if recipient.startswith(("dead-", "deaddead")):
        return Fault("dead_token")
    return None
