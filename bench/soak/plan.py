"""What goes wrong when, by seed: faults of the providers, servers that are away, one death of a sender."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from tocsin.devkit.sandbox.faults import Fault, Match, Order

NETWORK, DELIVER = "network", "deliver"
CHANNELS = ("sms", "push", "email")
_ROUND_S = 30.0  # from one stop to the next, in a run long enough
_STOPS = 4  # in a run of a minute, at least so many
_LONGEST_AWAY_S = 12.0
_SHARES = (0.05, 0.1, 0.3, 1.0)


class Stop(NamedTuple):
    """A server that is away, or the network to the providers; `DELIVER` is killed instead."""

    at_s: float
    name: str
    away_s: float


class OrderedFault(NamedTuple):
    """A fault of a provider that lasts some seconds."""

    at_s: float
    order: Order
    seconds: float


class Plan(NamedTuple):
    """All that goes wrong in a run, by time."""

    stops: Sequence[Stop]
    faults: Sequence[OrderedFault]


def plan(seed: int, seconds: float, servers: Sequence[str]) -> Plan:
    """Draw what goes wrong: each server is away in turn, and something is wrong at a provider half the time.

    The sender is killed once, a quarter into the run, so that its memory can be watched after that.
    """
    chance = random.Random(seed)
    return Plan(_stops(chance, seconds, servers), list(_faults(chance, seconds)))


def _stops(chance: random.Random, seconds: float, servers: Sequence[str]) -> list[Stop]:
    every_s = min(_ROUND_S, seconds / (_STOPS + 1))
    turn = chance.sample([*servers, NETWORK], len(servers) + 1)
    count = int(seconds / every_s) - 1
    stops = [
        Stop(
            every_s * (number + 0.3 + 0.4 * chance.random()),
            turn[number % len(turn)],
            min(_LONGEST_AWAY_S, every_s * 0.5) * chance.uniform(0.2, 1),
        )
        for number in range(count)
    ]
    return sorted([*stops, Stop(seconds / 4, DELIVER, 0)])


def _faults(chance: random.Random, seconds: float) -> Sequence[OrderedFault]:
    found, at_s = [], 1.0
    while at_s < seconds * 0.95:
        channel = chance.choice(CHANNELS)
        fault, share = _fault(chance, channel)
        order = Order(fault, Match(channel=channel, rate=share))
        found.append(OrderedFault(at_s, order, chance.uniform(2, 10)))
        at_s += chance.uniform(0.5, 5)
    return found


def _fault(chance: random.Random, channel: str) -> tuple[Fault, float]:
    share = chance.choice(_SHARES)
    kinds = (
        (Fault("status", status=429, retry_after_s=chance.randint(1, 15)), share),
        (Fault("status", status=chance.choice((500, 502, 503))), share),
        (Fault("drop_before"), share),
        (Fault("drop_after"), share),
        (Fault("leave"), share),
        (Fault("latency", latency_ms=chance.randint(200, 14_000)), share),
        (_OF_RECIPIENT[channel], 0.02),
    )
    return chance.choice(kinds)


_OF_RECIPIENT = {
    "sms": Fault("refused_number", code="21610"),
    "push": Fault("dead_token"),
    "email": Fault("bounce"),
}
