"""Administers topics: creates and checks them, reads cluster and topic ids."""

import logging
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicCollection

# The type stubs do not export what the package does.
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # no stub

from sources.errors import is_away
from tocsin.errors import SettingsError, SourceError
from tocsin.model import topics

T = TypeVar("T")

_log = logging.getLogger("tocsin.kafka")
_TIMEOUT_S = 15.0
# A controller that is just starting, or shares its cores, may take long over topics.
_REQUEST_S = 30.0
_ANSWER_S = _REQUEST_S + 5.0
_DAY_MS = 86_400_000
_DEAD_BYTES = 4 << 20


class TopicPlan(msgspec.Struct, frozen=True):
    """Configures the creation of topics.

    Attributes:
        partitions: of every topic; fixed for ever, since each user belongs to a partition.
        replication: replicas of each partition, -1 for the broker's default.
        retention_days: how long records are kept, addresses in them included.
        dead_retention_days: how long dead letters are kept.
    """

    partitions: int
    replication: int = -1
    retention_days: int = 7
    dead_retention_days: int = 30


def topic_config(topic: str, plan: TopicPlan) -> dict[str, str]:
    """Return the configuration of one topic (name without prefix)."""
    if topic in topics.READ_FIRST:
        # Tombstones stay as long as other records do; old values are compacted within a day.
        return {
            "cleanup.policy": "compact",
            "delete.retention.ms": str(plan.retention_days * _DAY_MS),
            "max.compaction.lag.ms": str(_DAY_MS),
        }
    days = plan.dead_retention_days if topic == topics.DEAD else plan.retention_days
    config = {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS)}
    if topic == topics.DEAD:
        config["max.message.bytes"] = str(_DEAD_BYTES)
    return config


class TopicAdmin:
    """Administers topics of Apache Kafka or Tansu.

    Every method raises `SourceError` if Kafka does not answer or refuses.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        options: Mapping[str, str] | None = None,
        *,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap,
            **(options or {}),
        }
        self._admin = AdminClient(self._config, logger=_log)
        self._prefix = prefix
        self._timeout_s = timeout_s

    def create(self, plan: TopicPlan, names: Collection[str] = topics.ALL) -> list[str]:
        """Create the topics that are missing, then check all; return the names of those created.

        Raises:
            SettingsError: an existing topic has another number of partitions.
        """
        wanted = [
            NewTopic(
                self._prefix + name,
                num_partitions=plan.partitions,
                replication_factor=plan.replication,
                config=topic_config(name, plan),
            )
            for name in names
        ]
        answers = self._admin.create_topics(wanted, request_timeout=_REQUEST_S)
        created = [self._short(full) for full, answer in answers.items() if _is_new(full, answer)]
        self._await(names)
        self.check(plan.partitions, names)
        return created

    def _await(self, names: Collection[str]) -> None:
        """Wait until the brokers know topics, which may be a moment after the controller created them."""
        deadline_s = time.monotonic() + self._timeout_s
        while not self._ready() >= set(names) and time.monotonic() < deadline_s:
            time.sleep(0.05)

    def _ready(self) -> set[str]:
        known = self._metadata().topics.items()
        return {self._short(full) for full, topic in known if topic.error is None and _has_leaders(topic)}

    def check(self, partitions: int, names: Collection[str] = topics.ALL) -> None:
        """Check that topics exist with as many partitions as the settings say.

        Raises:
            SettingsError: they do not; the text names topics and cure.
        """
        found = self.partitions()
        missing = [self._prefix + name for name in names if name not in found]
        if missing:
            msg = f"topics are missing: {', '.join(missing)}; run `tocsin topics create`"
            raise SettingsError(msg)
        for name in names:
            if found[name] != partitions:
                msg = (
                    f"topic {self._prefix + name} has {found[name]} partitions, the settings say"
                    f" {partitions}: set TOCSIN_PARTITIONS={found[name]}, or delete and create the topic"
                )
                raise SettingsError(msg)

    def partitions(self) -> dict[str, int]:
        """Return the partition count of each topic with our prefix, by name without it."""
        return {
            self._short(full): len(topic.partitions)
            for full, topic in self._metadata().topics.items()
            if full.startswith(self._prefix) and topic.error is None
        }

    def declared(self, names: Collection[str]) -> dict[str, int]:
        """Return the partition count of each declared topic, by Tocsin's name of it.

        Raises:
            SettingsError: some do not exist, or are Tocsin's own; the text has a line with the cure for each.
        """
        known = self._metadata().topics if names else {}
        there = {full: len(topic.partitions) for full, topic in known.items() if topic.error is None}
        full_names = {name: topics.full_name(self._prefix, name) for name in names}
        faults = [fault for full in full_names.values() if (fault := self._fault(full, there))]
        if faults:
            raise SettingsError("\n".join(faults))
        return {name: there[full] for name, full in full_names.items()}

    def _fault(self, full: str, there: Collection[str]) -> str:
        """Say why a topic cannot be declared; empty if it can."""
        name = self._short(full) if full.startswith(self._prefix) else ""
        if name in topics.ALL or topics.channel_of(name):
            return f"sources.yaml: {full} is Tocsin's own topic and holds CloudEvents; remove it there"
        return (
            "" if full in there else f"sources.yaml: there is no topic {full}; create it, or remove it there"
        )

    def cluster_id(self) -> str:
        """Return the cluster's id, empty if it has none."""
        return str(self._metadata().cluster_id or "")

    def topic_ids(self, names: Collection[str] = topics.ALL) -> dict[str, str]:
        """Return the id that the cluster gave each topic at its creation; missing topics are left out."""
        full_names = {topics.full_name(self._prefix, name): name for name in names}
        answers = self._admin.describe_topics(TopicCollection(list(full_names)), request_timeout=_REQUEST_S)
        ids = {}
        for full, answer in answers.items():
            try:
                ids[full_names[full]] = str(answer.result(_ANSWER_S).topic_id)
            except KafkaException as failure:
                if failure.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise _unanswered(full, failure) from failure
        return ids

    def forget_group(self, group: str) -> None:
        """Delete a group's committed offsets; the group must have no members, as ours never do."""
        answer = self._admin.delete_consumer_groups([group], request_timeout=_REQUEST_S)[group]
        answered(f"group {group}", answer)

    def _short(self, full: str) -> str:
        return full.removeprefix(self._prefix)

    def _metadata(self) -> Any:
        try:
            return self._admin.list_topics(timeout=self._timeout_s)
        except KafkaException as failure:
            what = "cluster"
            raise _unanswered(what, failure) from failure


def _has_leaders(topic: Any) -> bool:
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _is_new(full: str, answer: "Future[None]") -> bool:
    try:
        answered(full, answer)
    except SourceError as failure:
        if _is_there_already(failure.__cause__):
            return False
        raise
    return True


def _is_there_already(cause: BaseException | None) -> bool:
    return isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS


def answered(what: str, answer: "Future[T]", timeout_s: float = _ANSWER_S) -> T:
    """Wait for the answer to an admin request.

    Raises:
        SourceError: it was refused, or there was none; the text names `what` and the cure.
    """
    try:
        return answer.result(timeout_s)
    except KafkaException as failure:
        raise _unanswered(what, failure) from failure
    except TimeoutError as failure:
        msg = f"{what}: this broker does not answer such a request"
        raise SourceError(msg) from failure


def _unanswered(what: str, failure: KafkaException) -> SourceError:
    error = failure.args[0]
    if is_away(error):
        return SourceError(f"{what}: no broker answers; is Kafka up, and TOCSIN_KAFKA its address?")
    return SourceError(f"{what}: Kafka says {error.name()}; check TOCSIN_KAFKA and its options")
