"""Brings the ClickHouse schema to a version, forward or back, one process at a time.

What was done is recorded after each migration. A migration that failed is repeated from its first statement
by the next run; its statements do no harm twice.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from dashboards import migration_lock, store
from dashboards.migration_files import Migration, Statement, check_number, migrations
from tocsin.errors import SettingsError
from tocsin.model.ids import digest

WAIT_S = 30.0
_LONGEST_S = 24 * 3600
"""A statement may move every row there is."""
_AUDIT_LOG = 15
Step = Callable[[str], object]


class MigrationState(NamedTuple):
    """Says whether one migration is applied, and since when; `known` is false for one of a newer Tocsin."""

    title: str
    applied: bool
    at: datetime | None
    known: bool = True


def migrate(url: str, to: int | None = None, *, wait_s: float = WAIT_S, step: Step = str) -> list[str]:
    """Create the database and apply what is missing, up to migration `to`.

    Args:
        url: the ClickHouse, as `TOCSIN_CLICKHOUSE` has it.
        to: number of the last migration wanted; the newest unless given.
        wait_s: how long another process that migrates is waited for.
        step: is told the title of each migration before it begins.

    Returns:
        Titles of the migrations that ran, in order.

    Raises:
        SettingsError: there is no such migration, or one fails; the text names statement and cure.
        Locked: another process migrates.
    """
    check_number(to or 0)
    database = store.address(url).database
    with store.connect(url, with_database=False) as client:
        client.command(f"CREATE DATABASE IF NOT EXISTS `{database}`")
    with _opened(url, wait_s) as (client, done):
        wanted = [one for one in migrations() if one.number not in done and (to is None or one.number <= to)]
        return [_run(client, one, one.up, applied=True, step=step) for one in wanted]


def rollback(
    url: str, to: int, *, lose_data: bool = False, wait_s: float = WAIT_S, step: Step = str
) -> list[str]:
    """Take back every migration after number `to`, the newest first.

    Args:
        url: the ClickHouse, as `TOCSIN_CLICKHOUSE` has it.
        to: number of the newest migration that stays; 0 for none.
        lose_data: whether rows may be lost.
        wait_s: how long another process that migrates is waited for.
        step: is told the title of each migration before it is taken back.

    Returns:
        Titles of the migrations that were taken back, in order.

    Raises:
        SettingsError: there is no such migration; a newer Tocsin applied one; one loses rows and `lose_data`
            is not set; or one fails.
        Locked: another process migrates.
    """
    check_number(to)
    with _opened(url, wait_s) as (client, done):
        wanted = [one for one in reversed(migrations()) if one.number in done and one.number > to]
        _check_way_back(to, done, wanted, lose_data=lose_data)
        return [_run(client, one, one.down, applied=False, step=step) for one in wanted]


def status(url: str) -> list[MigrationState]:
    """List every migration, applied or not; nothing is changed."""
    with store.connect(url, with_database=False) as client:
        database = store.address(url).database
        asked = "SELECT count() FROM system.tables WHERE name = 'migrations' AND database = {database:String}"
        there = client.query(asked, parameters={"database": database}).result_rows[0][0]
    with store.connect(url, with_database=bool(there)) as client:
        done = _applied(client) if there else {}
    states = [
        MigrationState(one.title, one.number in done, done.get(one.number, ("", None))[1])
        for one in migrations()
    ]
    known = {one.number for one in migrations()}
    newer = {number: entry for number, entry in done.items() if number not in known}
    return states + [MigrationState(f"{n:04d}_{name}", True, at, False) for n, (name, at) in newer.items()]


def unlock(url: str) -> str:
    """Remove the lock that a killed process has left; return who held it, empty if nobody."""
    with store.connect(url) as client:
        return migration_lock.release(client)


@contextlib.contextmanager
def _opened(url: str, wait_s: float) -> Iterator[tuple[Client, dict[int, tuple[str, datetime]]]]:
    with store.connect(url, timeout_s=_LONGEST_S) as client, migration_lock.held(client, wait_s):
        client.command(
            "CREATE TABLE IF NOT EXISTS migrations (number UInt32, name String, at DateTime DEFAULT now())"
            " ENGINE = ReplacingMergeTree ORDER BY number"
        )
        client.command("ALTER TABLE migrations ADD COLUMN IF NOT EXISTS applied UInt8 DEFAULT 1")
        yield client, _applied(client)


def _applied(client: Client) -> dict[int, tuple[str, datetime]]:
    rows = client.query("SELECT * FROM migrations FINAL ORDER BY number").named_results()
    return {row["number"]: (row["name"], row["at"]) for row in rows if row.get("applied", 1)}


def _check_way_back(
    to: int, done: dict[int, tuple[str, datetime]], wanted: list[Migration], *, lose_data: bool
) -> None:
    unknown = [number for number in done if number > to and number not in {one.number for one in wanted}]
    if unknown:
        msg = f"migration {unknown[-1]} is of a newer Tocsin: roll it back with that release"
        raise SettingsError(msg)
    losing = [one for one in wanted if one.loses]
    if losing and not lose_data:
        what = "; ".join(f"{one.title}: {one.loses}" for one in losing)
        msg = f"rows would be lost ({what}); add --lose-data if that is meant"
        raise SettingsError(msg)


def _run(
    client: Client, migration: Migration, statements: tuple[Statement, ...], *, applied: bool, step: Step
) -> str:
    step(migration.title)
    for number, statement in enumerate(statements, 1):
        try:
            _execute(client, statement)
        except DatabaseError as error:
            way = "migrate" if applied else "rollback"
            msg = (
                f"migration {migration.title}, statement {number} of {len(statements)}:"
                f" {store.reason(error)}; remove the cause and run `tocsin db {way}` again: it goes on"
            )
            raise SettingsError(msg) from error
    _record(client, migration, applied=applied)
    return migration.title


def _execute(client: Client, statement: Statement) -> None:
    if statement.unless and client.query(statement.unless).result_rows == [(1,)]:
        return
    client.command(statement.sql)


def _record(client: Client, migration: Migration, *, applied: bool) -> None:
    row = [migration.number, migration.name, int(applied)]
    client.insert("migrations", [row], column_names=["number", "name", "applied"])
    if migration.number >= _AUDIT_LOG and (applied or migration.number > _AUDIT_LOG):
        audit(client, "schema_migrated" if applied else "schema_rolled_back", migration.title)


def audit(client: Client, action: str, subject: str, **detail: str | int) -> None:
    """Write an action of this process's user on ClickHouse itself into the audit log."""
    at_ms = time.time_ns() // 1_000_000
    entry = {
        "audit_id": digest("audit", action, subject, str(at_ms)),
        "at_ms": at_ms,
        "action": action,
        "actor": migration_lock.actor(),
        "tenant": "",
        "user": "",
        "subject": subject,
        "detail": json.dumps(detail),
    }
    client.insert("audit_log", [list(entry.values())], column_names=list(entry))
