"""Migrations on a real engine: forward and back with rows in it, twice, at once, and after a failure."""

import re
import threading
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, migration_files, migration_lock, store
from tocsin.errors import SettingsError

pytestmark = pytest.mark.integration

BEFORE = 7
"""The last migration that has outcomes by month."""


def titles(first: int = 0, last: int = 9999) -> list[str]:
    return [one.title for one in migration_files.migrations() if first <= one.number <= last]


def insert(client: Client, *rows: tuple[str, str, int]) -> None:
    data = [[*row, "default", "ann", "n1", "m1", "sms"] for row in rows]
    names = ["outcome_id", "status", "at_ms", "tenant", "user", "notification_id", "message_id", "channel"]
    client.insert("outcomes", data, column_names=names)


def stored(client: Client) -> list[tuple[Any, ...]]:
    asked = "SELECT outcome_id, status, at_ms, user, channel FROM outcomes FINAL ORDER BY outcome_id"
    return [tuple(row) for row in client.query(asked).result_rows]


ROWS = [
    ("a", "admitted", 1_760_000_000_000),
    ("b", "sent", 1_760_000_000_100),
    ("c", "opened", 1_767_000_000_000),
]
STORED = [(*row, "ann", "sms") for row in ROWS]


def test_outcomes_outlive_the_way_up_and_down_and_up_again(clickhouse_db: str) -> None:
    assert migrate.migrate(clickhouse_db, BEFORE) == titles(last=BEFORE)
    with store.connect(clickhouse_db) as client:
        insert(client, *ROWS)
        insert(client, *ROWS)
        assert migrate.migrate(clickhouse_db) == titles(first=BEFORE + 1)
        assert migrate.migrate(clickhouse_db) == []
        assert stored(client) == STORED
        assert client.command("SELECT count() FROM latest FINAL WHERE status = 'opened'") == 1
        assert client.command("SELECT count() FROM receipts FINAL") == 1
        of_user = "SELECT DISTINCT story FROM outcome_hours WHERE id = cityHash64('ann')"
        assert client.query(of_user).result_rows == [("n1",)]
        back = migrate.rollback(clickhouse_db, BEFORE)
        assert back == titles(first=BEFORE + 1)[::-1]
        assert stored(client) == STORED
        assert "toYYYYMM(" in str(client.command("SHOW CREATE TABLE outcomes"))
        tables = {row[0] for row in client.query("SHOW TABLES").result_rows}
        assert tables == {"outcomes", "final_words", "migrations"}
        assert migrate.migrate(clickhouse_db) == titles(first=BEFORE + 1)
        assert stored(client) == STORED


def test_a_way_back_that_loses_rows_is_asked_for_by_name(clickhouse_db: str) -> None:
    migrate.migrate(clickhouse_db, 2)
    with pytest.raises(SettingsError, match=r"0001_outcomes: every outcome is lost.*--lose-data"):
        migrate.rollback(clickhouse_db, 0)
    assert migrate.rollback(clickhouse_db, 0, lose_data=True) == titles(last=2)[::-1]
    assert not any(state.applied for state in migrate.status(clickhouse_db))


def test_an_unknown_number_lists_those_there_are(clickhouse_db: str) -> None:
    with pytest.raises(SettingsError, match="there is no migration 99; there are: 0, 1, 2"):
        migrate.migrate(clickhouse_db, 99)
    with store.connect(clickhouse_db, with_database=False) as client:
        assert client.command("SELECT count() FROM system.tables WHERE name = 'no_such'") == 0


def test_a_migration_of_a_newer_release_is_shown_and_not_rolled_back(clickhouse_db: str) -> None:
    migrate.migrate(clickhouse_db, 2)
    with store.connect(clickhouse_db) as client:
        client.insert("migrations", [[9000, "later", 1]], column_names=["number", "name", "applied"])
    assert migrate.status(clickhouse_db)[-1][:2] == ("9000_later", True)
    with pytest.raises(SettingsError, match="migration 9000 is of a newer Tocsin"):
        migrate.rollback(clickhouse_db, 1)


@pytest.mark.parametrize("broken", range(1, 5))
def test_a_move_that_failed_goes_on_and_loses_nothing(
    clickhouse_db: str, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    """Each statement of the move of outcomes fails in turn, after it was done; writers go on meanwhile."""
    migrate.migrate(clickhouse_db, BEFORE)
    with store.connect(clickhouse_db) as client:
        insert(client, *ROWS[:2])
        done = migrate._execute  # noqa: SLF001

        def fail_after(at: Client, statement: migration_files.Statement) -> None:
            done(at, statement)
            if statement is moved.up[broken - 1]:
                at.command("SELECT throwIf(1, 'the server went down')")

        moved = next(one for one in migration_files.migrations() if one.number == BEFORE + 1)
        monkeypatch.setattr(migrate, "migrations", lambda: [*migration_files.migrations()[:5], moved])
        monkeypatch.setattr(migrate, "_execute", fail_after)
        with pytest.raises(
            SettingsError, match=f"{moved.title}, statement {broken} of 4.*run `tocsin db migrate`"
        ):
            migrate.migrate(clickhouse_db)
        insert(client, ROWS[2])
        monkeypatch.undo()
        assert migrate.migrate(clickhouse_db, BEFORE + 1) == [moved.title]
        assert stored(client) == STORED


def test_two_at_once_do_not_migrate_double(clickhouse_db: str) -> None:
    ran: list[list[str]] = []
    threads = [threading.Thread(target=lambda: ran.append(migrate.migrate(clickhouse_db))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ran) == [[], titles()]


def test_a_lock_names_its_holder_and_how_to_remove_it(clickhouse_db: str) -> None:
    migrate.migrate(clickhouse_db, 1)
    with store.connect(clickhouse_db) as client, migration_lock.held(client, 0):
        with pytest.raises(
            migration_lock.Locked,
            match=rf"{re.escape(migration_lock.actor())} process \d+, for \d+ s.*db unlock",
        ):
            migrate.migrate(clickhouse_db, wait_s=0)
        assert migrate.unlock(clickhouse_db).startswith(migration_lock.actor())
    assert migrate.unlock(clickhouse_db) == ""
    assert migrate.migrate(clickhouse_db, 2, wait_s=0) == titles(2, 2)
