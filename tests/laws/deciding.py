"""Acts through a flow's shards, and every decision that came of them."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec

from flows.supervisor import Supervisor
from sources.reader import TopicReader
from sources.topics import TopicAdmin, TopicPlan
from tests.laws.acts import KEY_GROUPS, PARTITIONS, PROBE, Act, probe
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings, environment
from tocsin.cli.demo_environment import settings_from
from tocsin.cli.demo_player import Player
from tocsin.cli.run import command
from tocsin.formats.dead_letters import read_dead_letter
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Status

DECIDED = (topics.OUTCOMES, *topics.MESSAGES, topics.DEAD)
_PATIENCE_S = 400.0
_outcome = msgspec.json.Decoder(Outcome).decode


class Shown(NamedTuple):
    """A record as its reader sees it, without its place and Kafka's time of it."""

    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


Decisions = Mapping[tuple[str, str], Sequence[Shown]]
"""By topic and subject, in order. What could not be decoded is about its origin."""


def environment_of(folder: Path, kafka: str, redis: str, prefix: str) -> dict[str, str]:
    """Settings of a run that has its own topics and state; only events move its time."""
    return {
        **environment(),
        "TOCSIN_KAFKA": kafka,
        "TOCSIN_REDIS": redis,
        "TOCSIN_TOPIC_PREFIX": prefix,
        "TOCSIN_STATE_DIR": str(folder / "state"),
        "TOCSIN_CATALOG": str(example_catalog()),
        "TOCSIN_SECRET": "laws-laws-laws-laws",
        "TOCSIN_CLOCK": "stream",
        "TOCSIN_PARTITIONS": str(PARTITIONS),
        "TOCSIN_KEY_GROUPS": str(KEY_GROUPS),
    }


def decide(
    env: Mapping[str, str], folder: Path, acts: Sequence[Act], shards: int, stamp_ms: int
) -> Decisions:
    """Play acts through the flow `decide` on so many shards; give all that it put out."""
    settings = settings_from(env)
    TopicAdmin(settings.kafka, settings.topic_prefix).create(TopicPlan(PARTITIONS))
    folder.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(shards, lambda number: command(number, shards, "decide"), env, folder)
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        log = Log(reader)
        try:
            for one in acts:
                stamp_ms += _play(one, settings, supervisor, log, stamp_ms)
            _await_quiet(acts[-1], settings, supervisor, log, stamp_ms)
        finally:
            supervisor.stop()
    return decisions(settings)


def _play(one: Act, settings: Settings, supervisor: Supervisor, log: "Log", stamp_ms: int) -> int:
    """Play an act and wait until its marks are decided; gives the number of its events."""
    player = Player(settings, one, 0, (0, 1), stamp_ms=stamp_ms)
    player.publish_profiles()
    if one.greeted:
        log.await_words(one.greeted, "suppressed", supervisor)
    elif one.profile_records:  # the first act: shards know everybody when they start
        supervisor.start()
    player.start()
    log.await_words(one.users, "held", supervisor)
    player.stop()
    assert not player.problem
    return player.events


def _await_quiet(last: Act, settings: Settings, supervisor: Supervisor, log: "Log", stamp_ms: int) -> None:
    """Ask every key group again until none has said anything between: timers take turns, behind the marks."""
    for number in count():
        before = log.others
        stamp_ms += _play(probe(last, number), settings, supervisor, log, stamp_ms)
        if log.others == before:
            return


class Marks:
    """What was said about marks."""

    def __init__(self) -> None:
        self._said: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, outcome: Outcome) -> None:
        """Note a word, if it is about a mark."""
        if outcome.user.startswith("mark-"):
            self._said[outcome.status].add(outcome.user)

    def missing(self, users: frozenset[str], status: str) -> int:
        """How many of them this was not said about yet."""
        return len(users - self._said[status])


class Log:
    """Follows the outcomes of a run from their first.

    Attributes:
        others: how many were no words about probes.
    """

    def __init__(self, reader: TopicReader) -> None:
        self._reader = reader
        self._marks = Marks()
        self.others = 0
        reader.start([topics.OUTCOMES])

    def await_words(self, users: frozenset[str], status: str, supervisor: Supervisor) -> None:
        """Read on until this was said about all of these marks."""
        end = time.monotonic() + _PATIENCE_S
        while missing := self._marks.missing(users, status):
            assert supervisor.check() is None, "a shard refused to start; its log says why"
            assert time.monotonic() < end, f"{missing} marks are not {status}"
            for record in self._reader.poll(0.05):
                self._note(_outcome(record.value or b""))

    def _note(self, outcome: Outcome) -> None:
        self._marks.add(outcome)
        self.others += not outcome.user.startswith(PROBE)


def decisions(settings: Settings) -> Decisions:
    """Read all that was decided of the input, to where nothing more comes."""
    found: defaultdict[tuple[str, str], list[Shown]] = defaultdict(list)
    for record in read_all(settings, *DECIDED):
        if not (subject := _subject(record)).startswith(PROBE):
            found[record.topic, subject].append(Shown(record.value, record.headers))
    return found


def _subject(record: RawRecord) -> str:
    """Whom or what a record is about; what is about one subject has an order."""
    if record.topic == topics.DEAD:
        letter = read_dead_letter(record)
        return f"{letter.origin_topic}/{letter.origin_partition}/{letter.origin_offset}"
    if record.topic == topics.OUTCOMES:
        outcome = _outcome(record.value or b"")
        return outcome.origin if _is_undecodable(outcome) else outcome.user or outcome.origin
    return (record.key or b"").decode()


def _is_undecodable(outcome: Outcome) -> bool:
    """Such an outcome lies where its record was read, so it has no order among those of the user."""
    return outcome.status == Status.DEAD and not outcome.notification_id and not outcome.event_time_ms


def read_all(settings: Settings, *names: str) -> list[RawRecord]:
    """Read topics from their first record to where nothing more comes."""
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        return list(reader.read(*names))
