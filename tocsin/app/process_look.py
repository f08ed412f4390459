"""What the processes of a fleet say of their provider accounts, read from their `/metrics`."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_S = 2.0
_TOOK = "sent"


class ProcessLook(msgspec.Struct, frozen=True):
    """What one process says at one moment.

    Attributes:
        at_s: when, by a monotonic clock.
        values: by metric and account, the value; counts of calls by metric, account and result.
    """

    at_s: float
    values: Mapping[tuple[str, ...], float]


class AccountLoad(msgspec.Struct, frozen=True):
    """What a provider account has to do, over all processes that were asked.

    Attributes:
        account: its name.
        down: processes for which it counts as down.
        in_flight: messages at it now.
        waiting: messages in the operators that wait, with this account as their first choice.
        oldest_s: age of the oldest of them.
        taken_per_s: messages that it takes a second.
        failed_per_s: calls a second that fail.
        limit_per_s: calls a second that it may get while it recovers; 0 for no limit.
    """

    account: str
    down: int
    in_flight: int
    waiting: int
    oldest_s: float
    taken_per_s: float
    failed_per_s: float
    limit_per_s: float

    @property
    def drain_s(self) -> float | None:
        """Seconds until nothing waits, at the present rate; None while it takes nothing."""
        if not self.waiting:
            return 0.0
        return self.waiting / self.taken_per_s if self.taken_per_s else None


def look_at(url: str) -> ProcessLook | None:
    """Read a process's metrics; None if none answers there.

    Args:
        url: of `/metrics`.

    Raises:
        ValueError: something else than metrics answered; or the address is none.
    """
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # the operator's own address
            text = answer.read().decode()
    except (URLError, TimeoutError, ConnectionError):
        return None
    values: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            if "provider" in labels:
                key = (name, labels["provider"], *([labels["result"]] if "result" in labels else []))
                values[key] = values.get(key, 0.0) + value
    return ProcessLook(time.monotonic(), values)


def account_loads(pairs: Sequence[tuple[ProcessLook, ProcessLook]]) -> list[AccountLoad]:
    """Compare two looks at each process, and add the processes up, by account.

    Args:
        pairs: of each process the earlier and the later look.
    """
    sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    oldest: defaultdict[str, float] = defaultdict(float)
    for first, last in pairs:
        took_s = max(1e-9, last.at_s - first.at_s)
        for (name, account, *result), value in last.values.items():
            if result:
                grown = max(0.0, value - first.values.get((name, account, *result), 0.0))
                sums[account]["taken" if result == [_TOOK] else "failed"] += grown / took_s
            elif name == "tocsin_account_oldest_seconds":
                oldest[account] = max(oldest[account], value)
            else:
                sums[account][name] += value
    return [_load(account, sums[account], oldest[account]) for account in sorted(sums)]


def _load(account: str, of: Mapping[str, float], oldest_s: float) -> AccountLoad:
    return AccountLoad(
        account,
        int(of["tocsin_breaker_open"]),
        int(of["tocsin_account_in_flight"]),
        int(of["tocsin_account_waiting"]),
        oldest_s,
        of["taken"],
        of["failed"],
        of["tocsin_recovery_limit_per_s"],
    )
