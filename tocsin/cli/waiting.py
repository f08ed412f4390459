"""What messages without an end wait for, as far as their outcomes tell: a time, an account, or their turn."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from tocsin.model.statuses import FINAL, SENTENCES, Reason, Status

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

    def sentence(self) -> str:
        """Say since when and why it fails, and when that ends."""
        code = f" ({self.code})" if self.code else ""
        why = SENTENCES.get(self.reason, self.reason)  # type: ignore[call-overload]  # a str enum's value
        end = "it is probed until it answers; the message goes then, unless it expires before"
        return (
            f"waits for account {self.provider}{code}, which fails since {moment(self.since_ms)}: {why} {end}"
        )


def open_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last outcome of each message or notification that has no final one."""
    last: dict[str, dict[str, Any]] = {}
    ended: set[str] = set()
    for row in rows:
        subject = row["message_id"] or f"{row['notification_id']}/{row['channel']}"
        if row["status"] in FINAL:
            ended.add(subject)
        elif row["status"] in _OPEN and row["at"] >= last.get(subject, row)["at"]:
            last[subject] = row
    routed = {row["notification_id"] for row in last.values() if row["message_id"]}
    return [row for subject, row in last.items() if subject not in ended and _is_last(row, routed)]


def _is_last(row: Mapping[str, Any], routed: set[str]) -> bool:
    """A hold before routing is over once the notification has messages."""
    return bool(row["message_id"]) or row["notification_id"] not in routed


def ask_failing(client: Client, tenant: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Failing]]:
    """Ask for the accounts that fail now, by channel; of the channels of these rows."""
    rows = [row for row in rows if row["status"] != Status.HELD]
    if not rows:
        return {}
    first_ms = min(int(row["at"].timestamp() * 1_000) for row in rows)
    bound = {
        "tenant": tenant,
        "channels": sorted({row["channel"] for row in rows}),
        "since_ms": first_ms - _DAY_MS,
    }
    found: dict[str, list[Failing]] = {}
    for channel, *account in client.query(_FAILING, parameters=bound).result_rows:
        found.setdefault(channel, []).append(Failing(*account))
    return found


def waits_for(row: Mapping[str, Any], failing: Mapping[str, list[Failing]]) -> str:
    """Say what a message or notification waits for, by its last outcome."""
    detail = json.loads(row["detail"] or "{}")
    if row["status"] == Status.HELD and "due_ms" in detail:
        return f"waits until {moment(detail['due_ms'])}"
    if row["reason"] == Reason.FAN_OUT:
        return "waits until every partition has handed it to its last subscriber"
    accounts = failing.get(row["channel"], [])
    if accounts:
        return "; ".join(account.sentence() for account in accounts)
    if row["status"] == Status.RETRYING:
        return "waits for its next attempt, within seconds"
    return f"waits for its turn in {row['channel']}"


def moment(at_ms: int) -> str:
    """Write a time, ms since 1970, as a person reads it."""
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
