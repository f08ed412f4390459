"""How long rows are kept, by tenant and status: rows of `retention`, applied as TTL of the tables.

ClickHouse deletes what is older with its merges. Rollups keep their figures: they name nobody.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from dashboards.migrate import audit
from tocsin.errors import SettingsError
from tocsin.model.audit import Action
from tocsin.model.statuses import Status

EVERY = "*"
"""Every tenant without a row of its own, or every status."""
_TABLES: Mapping[str, str] = MappingProxyType(
    {"outcomes": "hour", "receipts": "toDateTime(fromUnixTimestamp64Milli(at_ms, 'UTC'), 'UTC')"}
)
"""Tables with a status, and the time of their rows."""
_LAST = "toDateTime(fromUnixTimestamp64Milli(last_ms, 'UTC'), 'UTC')"
MOST_DAYS = 36_500


class Kept(NamedTuple):
    """Says how many days outcomes of a tenant and status are kept; 0 for ever."""

    tenant: str
    status: str
    days: int


def kept(client: Client) -> list[Kept]:
    """List what is set, without what is kept for ever."""
    asked = "SELECT tenant, status, days FROM retention FINAL WHERE days > 0 ORDER BY tenant, status"
    return [Kept(*row) for row in client.query(asked).result_rows]


def keep(client: Client, tenant: str, status: str, days: int) -> None:
    """Keep outcomes of a tenant and status so many days, and receipts with them; older ones are deleted.

    Args:
        client: of ClickHouse.
        tenant: whose; `*` for every tenant without a setting of its own.
        status: which; `*` for each.
        days: 0 for ever.

    Raises:
        SettingsError: there is no such status, or the number of days is out of range.
    """
    statuses = [one.value for one in Status] if status == EVERY else [status]
    if status not in {EVERY, *Status}:
        msg = f"--status {status}: not a status; there are: {', '.join(Status)}, and * for each"
        raise SettingsError(msg)
    if not 0 <= days <= MOST_DAYS:
        msg = f"--days {days}: must be 0 (for ever) to {MOST_DAYS}"
        raise SettingsError(msg)
    rows = [[tenant, one, days] for one in statuses]
    client.insert("retention", rows, column_names=["tenant", "status", "days"])
    apply(client)
    audit(client, Action.RETENTION_SET, f"{tenant}/{status}", days=days)


def apply(client: Client) -> None:
    """Bring the TTL of the tables in line with what is set."""
    found = kept(client)
    for table, at in _TABLES.items():
        _set_ttl(client, table, [f"{at} + {rule}" for rule in _rules(found)])
    for table in ("latest", "hold_parts"):
        _set_ttl(client, table, [f"{_LAST} + {rule}" for rule in _rules(_whole(found), by_status=False)])


def _rules(found: Iterable[Kept], *, by_status: bool = True) -> list[str]:
    """Make a TTL's rules: one for each tenant and number of days, by the statuses that have it."""
    own: dict[str, list[str]] = defaultdict(list)
    statuses: dict[tuple[str, int], list[str]] = defaultdict(list)
    for tenant, status, days in found:
        own[status] += [] if tenant == EVERY else [tenant]
        statuses[tenant, days].append(status)
    rules = []
    for (tenant, days), named in statuses.items():
        for status in named if tenant == EVERY else [""]:
            which = [status] if status else named
            whose = f"tenant NOT IN {_tuple(own[status])}" if tenant == EVERY else f"tenant = {_text(tenant)}"
            conditions = ([f"status IN {_tuple(which)}"] if by_status else []) + [whose]
            rules.append(f"toIntervalDay({days}) DELETE WHERE {' AND '.join(conditions)}")
    return rules


def _whole(found: Iterable[Kept]) -> list[Kept]:
    """Say how long the state of a message is kept: as the longest of its outcomes, if each has an end."""
    days: dict[str, dict[str, int]] = defaultdict(dict)
    for tenant, status, number in found:
        days[tenant][status] = number
    return [Kept(tenant, EVERY, max(of.values())) for tenant, of in days.items() if of.keys() >= set(Status)]


def _set_ttl(client: Client, table: str, rules: list[str]) -> None:
    if rules:
        client.command(f"ALTER TABLE {table} MODIFY TTL {', '.join(rules)}")
    elif " TTL " in str(client.command(f"SHOW CREATE TABLE {table}")).replace("\n", " ").replace("\\n", " "):
        client.command(f"ALTER TABLE {table} REMOVE TTL")


def _tuple(words: Iterable[str]) -> str:
    return f"({', '.join(map(_text, words)) or _text('')})"


def _text(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
