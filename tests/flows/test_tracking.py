"""The way into ClickHouse end to end: decide and track as processes, one killed, a user erased meanwhile."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from dashboards import migrate, store
from flows.supervisor import Supervisor
from tests.flows.deployment import deployed, environment_of, variables
from tests.waiting import until
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings
from tocsin.cli.run import command
from tocsin.cli.send import write
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.profile import Preferences, Profile

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
PARTITIONS = 2
FLOWS = ("decide", "track")


@pytest.fixture
def settings(kafka: str, redis_db: str, clickhouse_db: str, topic_prefix: str, tmp_path: Path) -> Settings:
    shutil.copytree(example_catalog(), tmp_path / "catalog")
    given = {"TOCSIN_CLICKHOUSE": clickhouse_db, "TOCSIN_HTTP_PORT": "0"}
    settings = deployed(variables(kafka, redis_db, topic_prefix, tmp_path, PARTITIONS, **given))
    migrate.migrate(settings.clickhouse)
    return settings


@pytest.fixture
def flows(settings: Settings, tmp_path: Path) -> Iterator[Supervisor]:
    """Runs a decide and a track process."""
    env = environment_of(settings)
    supervisor = Supervisor(2, lambda number: command(0, 1, FLOWS[number]), env, tmp_path)
    supervisor.start()
    yield supervisor
    supervisor.stop()


def tell(settings: Settings, user: str, version: int, preferences: Preferences) -> None:
    profile = Profile(email=f"{user}@mail.example", version=version, preferences=preferences)
    write(settings, topics.PROFILES, f"default/{user}", encode(profile))


def land(settings: Settings, user: str) -> None:
    event = {
        "specversion": "1.0",
        "id": f"of-{user}",
        "source": "/t",
        "type": "flight.landed",
        "subject": user,
    }
    write(settings, topics.EVENTS, f"default/{user}", json.dumps(event).encode())


def naming(client: Client, user: str) -> list[str]:
    """Name the tables with a row in which a user, or the id of his event, stands."""
    asked = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    return sorted(
        table
        for (table,) in client.query(asked).result_rows
        if user.encode() in client.raw_query(f"SELECT * FROM {table}", fmt="JSONEachRow")
    )


def test_what_happened_is_stored_and_an_erased_user_is_gone_although_the_tracker_was_killed(
    settings: Settings, flows: Supervisor, tmp_path: Path
) -> None:
    for user in ("ann-4711", "bob-4712"):
        tell(settings, user, 1, Preferences())
        land(settings, user)
    write(settings, topics.EVENTS, "default/x", b"{broken")
    with store.connect(settings.clickhouse) as client:

        def alive_until(reached: str, parameters: dict[str, str] | None = None) -> None:
            def look() -> bool:
                assert flows.check() is None, "".join(log.read_text() for log in tmp_path.glob("*.log"))
                return bool(client.query(reached, parameters=parameters or {}).result_rows[0][0])

            until(look, reached, 120)

        for table in ("outcomes", "dead_letters"):  # of the two users, and of the broken record
            alive_until(f"SELECT count() = 3 FROM {table} FINAL")
        alive_until(
            "SELECT count() = 1 FROM audit_log WHERE action = 'catalog_loaded' AND actor LIKE 'gate-0@%'"
        )
        alive_until("SELECT count() = 1 FROM dead_letters WHERE reason = 'bad_json' AND bytes = 7")
        tell(settings, "ann-4711", 2, Preferences(channels={"sms": False}))
        alive_until(
            "SELECT count() = 1 FROM audit_log WHERE user = 'ann-4711' AND action = 'preferences_changed'"
            " AND JSONExtract(detail, 'turned_off', 'Array(String)') = ['channel:sms']"
        )
        rows = client.command("SELECT count() FROM outcomes FINAL")
        flows.shards[FLOWS.index("track")].kill_and_wait()
        write(settings, topics.PROFILES, "default/ann-4711", None)
        alive_until("SELECT count() = 1 FROM audit_log WHERE action = 'user_erased' AND user = ''")
        until(lambda: naming(client, "ann-4711") == [], "the erasure", 60)
        assert naming(client, "bob-4712") == ["dead_letters", "latest", "outcomes"]
        assert client.command("SELECT count() FROM outcomes FINAL") == rows
