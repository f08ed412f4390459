"""One deployment on the servers of a test: its variables, its topics, and the processes of its shards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.supervisor import Supervisor
from sources.reader import TopicReader
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.settings import Settings, environment
from tocsin.cli.demo_environment import settings_from
from tocsin.cli.run import command
from tocsin.formats.codec import decode_outcome
from tocsin.model import topics
from tocsin.model.outcome import Outcome

_NO_TEXT = {"secret", "kafka_options", "gateway_origins"}


def variables(
    kafka: str, redis: str, prefix: str, folder: Path, partitions: int, **others: str
) -> dict[str, str]:
    """Return the variables of a deployment; the catalog is `folder/catalog` unless `others` name another."""
    return {
        "TOCSIN_KAFKA": kafka,
        "TOCSIN_REDIS": redis,
        "TOCSIN_TOPIC_PREFIX": prefix,
        "TOCSIN_STATE_DIR": str(folder / "state"),
        "TOCSIN_CATALOG": str(folder / "catalog"),
        "TOCSIN_SECRET": "tests-tests-tests-tests",
        "TOCSIN_PARTITIONS": str(partitions),
        **others,
    }


def deployed(given: dict[str, str]) -> Settings:
    """Create the topics of a deployment, and return its settings."""
    settings = settings_from(given)
    TopicAdmin(settings.kafka, settings.topic_prefix).create(TopicPlan(settings.partitions))
    return settings


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment of a process that is to have these settings."""
    given = settings.model_dump(exclude=_NO_TEXT)
    own = {f"TOCSIN_{name.upper()}": str(value) for name, value in given.items()}
    return {**environment(), **own, "TOCSIN_SECRET": settings.secret.get_secret_value()}


@pytest.fixture
def shards(settings: Settings, tmp_path: Path) -> Iterator[Supervisor]:
    """Give two shards that decide, not yet started."""
    supervisor = Supervisor(
        2, lambda number: command(number, 2, "decide"), environment_of(settings), tmp_path
    )
    yield supervisor
    supervisor.stop()


def logs(settings: Settings) -> str:
    """Return what the shards wrote: why one of them refused to start."""
    return "".join(file.read_text() for file in settings.state_dir.parent.glob("*.log"))


def outcomes(settings: Settings) -> list[Outcome]:
    """Return each outcome in the topic once, whatever copies a crash left."""
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        found = {one.outcome_id: one for one in map(decode_outcome, reader.read(topics.OUTCOMES))}
    return list(found.values())
