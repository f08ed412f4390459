"""What messages without an end wait for, as far as their outcomes tell: a time, an account, or their turn."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from tocsin.model.explanations import moment
from tocsin.model.statuses import FINAL, SENTENCES, Channel, Reason, Status

_DAY_MS = 86_400_000
_OPEN = frozenset({Status.ADMITTED, Status.HELD, Status.RETRYING})
# Accounts whose calls have failed since the last message that they took. A failure that is about one
# recipient is among them, so an account is named only if two users or more met one.
_FAILING = """
WITH taken AS
(
    SELECT provider, maxIf(at_ms, status = 'sent') AS last_ms
    FROM outcomes
    WHERE tenant = {tenant:String} AND channel IN {channels:Array(String)} AND at_ms >= {since_ms:Int64}
        AND provider != ''
    GROUP BY provider
)
SELECT channel, provider, min(at_ms) AS since_ms, argMax(code, at_ms) AS said, argMax(reason, at_ms) AS why
FROM outcomes
INNER JOIN taken ON taken.provider = outcomes.provider
WHERE tenant = {tenant:String} AND channel IN {channels:Array(String)} AND at_ms >= {since_ms:Int64}
    AND at_ms > taken.last_ms AND reason IN ('transient', 'throttled', 'unknown', 'misconfigured')
GROUP BY channel, provider
HAVING uniqExact(user) > 1
ORDER BY provider
"""


class Failing(NamedTuple):
    """An account that has taken nothing since its calls began to fail."""

    provider: str
    since_ms: int
    code: str
    reason: str

    def sentence(self, clock: str = "UTC") -> str:
        """Say since when and why it fails, and when that ends; by the clock of a time zone."""
        code = f" ({self.code})" if self.code else ""
        why = SENTENCES.get(self.reason, self.reason)  # type: ignore[call-overload]  # a str enum's value
        end = "it is probed until it answers; the message goes then, unless it expires before"
        since = moment(self.since_ms, clock)
        return f"waits for account {self.provider}{code}, which fails since {since}: {why} {end}"


def open_rows(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the last outcome of each message, channel, notification or event that has no final one."""
    rows = list(rows)
    last: dict[str, Mapping[str, Any]] = {}
    ended: set[str] = set()
    for row in rows:
        subject = row["message_id"] or f"{row['notification_id']}/{row['channel']}"
        if row["status"] in FINAL:
            ended.add(subject)
        elif row["status"] in _OPEN and row["at_ms"] >= last.get(subject, row)["at_ms"]:
            last[subject] = row
    return [row for subject, row in last.items() if subject not in ended and not _is_decided(row, rows)]


def _is_decided(hold: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a hold before routing is over: what it held was decided, or channels of it are held."""
    if hold["status"] != Status.HELD or hold["message_id"]:
        return False
    return any(_decides(row, hold) for row in rows)


def _decides(row: Mapping[str, Any], hold: Mapping[str, Any]) -> bool:
    is_held: bool = row["status"] == Status.HELD
    if not hold["notification_id"]:
        return bool(row["origin"] == hold["origin"] and (not is_held or row["notification_id"]))
    if row["notification_id"] != hold["notification_id"]:
        return False
    if hold["channel"] != Channel.ANY:
        return not is_held and bool(row["channel"] == hold["channel"])
    return not is_held or bool(row["channel"] != Channel.ANY)


def ask_failing(client: Client, tenant: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Failing]]:
    """Ask for the accounts that fail now, by channel; of the channels of these rows."""
    rows = [row for row in rows if row["status"] != Status.HELD]
    if not rows:
        return {}
    first_ms = min(row["at_ms"] for row in rows)
    bound = {
        "tenant": tenant,
        "channels": sorted({row["channel"] for row in rows}),
        "since_ms": first_ms - _DAY_MS,
    }
    found: dict[str, list[Failing]] = {}
    for channel, *account in client.query(_FAILING, parameters=bound).result_rows:
        found.setdefault(channel, []).append(Failing(*account))
    return found


def due_of(row: Mapping[str, Any]) -> int:
    """Return until when the gate holds what has this last outcome; 0 if no time is known."""
    detail = json.loads(row["detail"] or "{}") if row["status"] == Status.HELD else {}
    return int(detail.get("due_ms", 0))


def waits_for(row: Mapping[str, Any], failing: Mapping[str, list[Failing]], clock: str = "UTC") -> str:
    """Say what a message or notification waits for, by its last outcome."""
    due_ms = due_of(row)
    if due_ms:
        return f"waits until {moment(due_ms, clock)}"
    if row["reason"] == Reason.FAN_OUT:
        return "waits until every partition has handed it to its last subscriber"
    accounts = failing.get(row["channel"], [])
    if accounts:
        return "; ".join(account.sentence(clock) for account in accounts)
    if row["status"] == Status.RETRYING:
        return "waits for its next attempt, within seconds"
    return f"waits for its turn in {row['channel']}"
