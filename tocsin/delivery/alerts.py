"""What operators are told, and when: pure, time is passed in.

| alert | begins | ends |
|---|---|---|
| an account takes no messages | after `down_ms`, at once if it is refused | it is back |
| messages are given up after their last attempt | with the first | none for `quiet_ms` |
| a run of dead letters of one channel and reason | `dead_letters` within `quiet_ms` | none for `quiet_ms` |

The same alert comes once in `window_ms` at most. Its end is told once, if its begin was.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from tocsin.delivery.breaker import AccountState, Condition
from tocsin.model.statuses import SENTENCES, Reason

DeadLetters = Mapping[tuple[str, str], int]
"""Dead letters of a process since its start, by channel and reason."""


class AlertPolicy(msgspec.Struct, frozen=True):
    """When an alert is due.

    Attributes:
        window_ms: the same alert comes once in this time.
        down_ms: how long an account must be down.
        dead_letters: how many make a run.
        quiet_ms: time in which they come, and after which the run is over.
    """

    window_ms: int = 3_600_000
    down_ms: int = 60_000
    dead_letters: int = 20
    quiet_ms: int = 600_000


class Alert(NamedTuple):
    """One message to operators.

    Attributes:
        key: the same for begin, repetition and end of one fault, on every process.
        subject: one line.
        text: what has happened, and what to do.
        account: the account that it is about; empty for none.
        resolved: whether it tells the end.
    """

    key: str
    subject: str
    text: str
    account: str = ""
    resolved: bool = False


class _Run:
    """Dead letters of one channel and reason within the last time."""

    def __init__(self, seen: int) -> None:
        self.total = seen
        self._counts: deque[tuple[int, int]] = deque()

    def look(self, total: int, now_ms: int, quiet_ms: int) -> int:
        """Take in the total; return how many came within `quiet_ms`."""
        if total > self.total:
            self._counts.append((now_ms, total - self.total))
            self.total = total
        while self._counts and self._counts[0][0] <= now_ms - quiet_ms:
            self._counts.popleft()
        return sum(count for _, count in self._counts)


class AlertWatch:
    """Turns what a process sees of its accounts and dead letters into alerts.

    >>> watch = AlertWatch(AlertPolicy(down_ms=0))
    >>> down = {"main": Condition(AccountState.SUSPECT, "503", 1_000)}
    >>> [alert.subject for alert in watch.look(2_000, down, {})]
    ['account main is down']
    >>> list(watch.look(3_000, down, {}))
    []
    >>> [alert.subject for alert in watch.look(4_000, {"main": Condition(AccountState.OK)}, {})]
    ['account main is back']
    """

    def __init__(self, policy: AlertPolicy) -> None:
        self._policy = policy
        self._told: dict[str, int] = {}
        self._open: dict[str, Alert] = {}
        self._runs: dict[tuple[str, str], _Run] = {}

    def look(self, now_ms: int, accounts: Mapping[str, Condition], dead: DeadLetters) -> Iterator[Alert]:
        """Return what is to be told now.

        Args:
            now_ms: now.
            accounts: the condition of each account.
            dead: dead letters so far.
        """
        found = [*self._accounts(now_ms, accounts), *self._dead_letters(now_ms, dead)]
        held = {alert.key for alert in found}
        for alert in found:
            if alert.key not in self._told or now_ms - self._told[alert.key] >= self._policy.window_ms:
                self._told[alert.key] = now_ms
                self._open[alert.key] = alert
                yield alert
        over = [
            alert
            for key, alert in self._open.items()
            if key not in held and not self._goes_on(alert, accounts)
        ]
        for alert in over:
            del self._open[alert.key]
            yield _end_of(alert)

    def failed(self, alert: Alert, now_ms: int, again_ms: int = 60_000) -> None:
        """Note that nobody could be told; it is due again after `again_ms`."""
        if not alert.resolved:
            self._told[alert.key] = now_ms + again_ms - self._policy.window_ms
            self._open.pop(alert.key, None)

    def _accounts(self, now_ms: int, accounts: Mapping[str, Condition]) -> Iterator[Alert]:
        for name, condition in accounts.items():
            wait_ms = 0 if condition.state is AccountState.DISABLED else self._policy.down_ms
            if condition.state is not AccountState.OK and now_ms - condition.since_ms >= wait_ms:
                subject = f"account {name} is {_STATES[condition.state]}"
                text = f"The provider account {name} is {condition.sentence()}."
                yield Alert(f"account/{name}", subject, text, name)

    def _goes_on(self, alert: Alert, accounts: Mapping[str, Condition]) -> bool:
        """Tell whether the account of an alert is still down, though not for long enough to be told of."""
        condition = accounts.get(alert.account)
        return condition is not None and condition.state is not AccountState.OK

    def _dead_letters(self, now_ms: int, dead: DeadLetters) -> Iterator[Alert]:
        for (channel, reason), total in dead.items():
            run = self._runs.setdefault((channel, reason), _Run(0))
            count = run.look(total, now_ms, self._policy.quiet_ms)
            most = 1 if reason == Reason.OUT_OF_ATTEMPTS else self._policy.dead_letters
            key = f"dead/{channel}/{reason}"
            if count >= most or (count and key in self._open):
                yield Alert(key, _subject(channel, reason, count), _advice(channel, reason))


_STATES = {AccountState.SUSPECT: "down", AccountState.DISABLED: "refused by its provider"}


def _subject(channel: str, reason: str, count: int) -> str:
    what = "given up after the last attempt" if reason == Reason.OUT_OF_ATTEMPTS else f"dead as {reason}"
    return f"{count} {'event' if channel == GATE else f'{channel} message'}{'s' * (count != 1)} {what}"


def _advice(channel: str, reason: str) -> str:
    said = SENTENCES.get(Reason(reason), "") if reason in set(Reason) else ""
    return f"{said} `tocsin tail dead` shows them; `tocsin replay` sends them again once the cause is fixed."


def _end_of(alert: Alert) -> Alert:
    if alert.account:
        text = f"The provider account {alert.account} takes messages again."
        return Alert(alert.key, f"account {alert.account} is back", text, alert.account, resolved=True)
    return Alert(alert.key, f"over: {alert.subject}", "No more came for ten minutes.", resolved=True)


GATE = "gate"
"""Stands for a channel where an event was dead before it had one."""
