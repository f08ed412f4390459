"""Erases users from ClickHouse (law 7).

Counts must stay right, and the audit needs one final outcome an event. So rows of outcomes stay and lose what
points to a person: user, target, platform, event id, the provider's message id, detail. ClickHouse does it by
mutations, which it keeps over a restart: what `erase` has returned from will be done, mostly within seconds.

A hash of each erased user is kept for sixty days. By it `sweep` finds rows that came after the erasure and
are about the time before it: copies, answers of providers, receipts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from sinks.clickhouse_lines import Erased

_MOST = 100
"""Users a statement, which must stay below ClickHouse's 256 KiB."""


class _Table(NamedTuple):
    """What a table loses of a user, and which of its times tells whether a row is from before the erasure."""

    loses: str
    when: str
    by_notification: bool


# The counter that was full stays: `limits_hour` counts by it, and it names nobody.
_LIMIT = """toJSONString(CAST((JSONExtractString(detail, 'counter'), JSONExtractInt(detail, 'limit')),
'Tuple(counter String, `limit` Int64)'))"""
_TABLES: Mapping[str, _Table] = {
    "outcomes": _Table(
        "user = '', target = '', platform = '', event_id = '', provider_message_id = '',"
        f" detail = if(reason IN ('limit', 'limit_hold'), {_LIMIT}, '{{}}')",
        "if(received_ms > 0, least(at_ms, received_ms), at_ms)",
        True,
    ),
    "latest": _Table("user = ''", "first_ms", True),
    "dead_letters": _Table("user = '', error = ''", "first_ms", False),
    "audit_log": _Table("user = '', subject = '', detail = '{}'", "at_ms", False),
}
_NOTE = "INSERT INTO erasures (tenant, user_hash, erased_ms) VALUES "
_LATE = """
WITH recent AS
(
    SELECT tenant, user, notification_id, erased_ms,
        at_ms <= erased_ms OR (received_ms > 0 AND received_ms <= erased_ms) AS before
    FROM outcomes
    INNER JOIN
    (
        SELECT tenant, user_hash, max(erased_ms) AS erased_ms FROM erasures GROUP BY tenant, user_hash
    ) AS erased
    ON erased.tenant = outcomes.tenant AND erased.user_hash = sipHash64(outcomes.tenant, outcomes.user)
    WHERE user != '' AND stored_at >= now('UTC') - {since_s:UInt32}
)
SELECT tenant, user, max(erased_ms), groupUniqArray(50)(notification_id)
FROM recent
WHERE before OR notification_id IN
(
    SELECT notification_id FROM outcomes
    WHERE user = '' AND notification_id != '' AND notification_id IN (SELECT notification_id FROM recent)
)
GROUP BY tenant, user
LIMIT {most:UInt32}
"""
Late = Mapping[Erased, Sequence[str]]


def erase(client: Client, users: Sequence[Erased]) -> None:
    """Make all rows of these users anonymous that are about the time before they were erased.

    Raises:
        clickhouse_connect.driver.exceptions.ClickHouseError: the server is away or refuses; repeat it all.
    """
    for start in range(0, len(users), _MOST):
        some = users[start : start + _MOST]
        rows = ", ".join(f"(%(t{n})s, sipHash64(%(t{n})s, %(u{n})s), %(m{n})s)" for n, _ in enumerate(some))
        client.command(_NOTE + rows, parameters=_bound(some))
        _anonymise(client, some, {})


def sweep(client: Client, since_s: int) -> int:
    """Make rows anonymous that came for erased users in the last `since_s` seconds; return how many users."""
    rows = client.query(_LATE, parameters={"since_s": since_s, "most": _MOST}).result_rows
    late = {Erased(tenant, user, at_ms): ids for tenant, user, at_ms, ids in rows}
    if late:
        _anonymise(client, list(late), late)
    return len(late)


def _anonymise(client: Client, users: Sequence[Erased], late: Late) -> None:
    bound = _bound(users)
    for name, table in _TABLES.items():
        conditions = " OR ".join(_condition(number, table, late.get(one)) for number, one in enumerate(users))
        text = f"ALTER TABLE {name} UPDATE {table.loses} WHERE {conditions}"
        client.command(text, parameters=bound | _ids(users, late))
    keys = ", ".join(f"(%(t{n})s, cityHash64(%(u{n})s))" for n, _ in enumerate(users))
    client.command(f"ALTER TABLE outcome_hours DELETE WHERE (tenant, id) IN ({keys})", parameters=bound)


def _condition(number: int, table: _Table, notifications: Sequence[str] | None) -> str:
    before = f"{table.when} <= %(m{number})s"
    if notifications and table.by_notification:
        before = f"({before} OR notification_id IN %(n{number})s)"
    return f"(tenant = %(t{number})s AND user = %(u{number})s AND {before})"


def _bound(users: Sequence[Erased]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for number, (tenant, user, at_ms) in enumerate(users):
        found |= {f"t{number}": tenant, f"u{number}": user, f"m{number}": at_ms}
    return found


def _ids(users: Sequence[Erased], late: Late) -> dict[str, tuple[str, ...]]:
    return {f"n{number}": tuple(late[one]) for number, one in enumerate(users) if late.get(one)}
