"""Elastic delivery: processes join a consumer group, and the group says which partitions each delivers.

| event | what follows |
|---|---|
| a process joins, or leaves in order | who gives partitions away ends its child, and goes on with the rest |
| the group gives partitions | the child ends in order, and starts with them |
| a process dies | its child ends within seconds; after the session's timeout the others have its partitions |
| the group has thrown a process out | its child is killed at once |

The child is an ordinary process of the flow `deliver` with a list of partitions. It starts from the offsets
that the shards' group has committed, in a directory of its own that is new whenever its partitions change.
Old and new owner of a partition never run at the same time, so messages of one user keep their order. What
the old one had not committed is read again, and the send ledger answers for it.

The group is only for membership: nobody reads or commits through it.
"""

import fcntl
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer

from flows.plan import ShardPlan
from flows.supervisor import STOP_S, ShardProcess
from sources.reader import silent_logger
from sources.topics import TopicAdmin
from tocsin.app.settings import Settings
from tocsin.errors import SettingsError
from tocsin.model import topics

_log = logging.getLogger("tocsin.elastic")
_POLL_S = 0.2
_SESSION_MS = 10_000
"""Longer than the child of a dead process lives on: a second until it notices, five for its open calls."""
_MOST = 64

Places = Iterable[Any]


class Membership:
    """One member of the group. Callbacks run in `poll`, on the thread that calls it.

    Given out are the partitions of a topic that every installation has; those of the same number of all
    topics of messages go with them.

    Args:
        settings: of the process.
        group: name of the group.
        give_up: called before partitions go to others, with whether they are already lost.
    """

    def __init__(self, settings: Settings, group: str, give_up: Callable[[bool], None]) -> None:
        self.partitions: frozenset[int] = frozenset()
        self._give_up = give_up
        self._consumer = Consumer(
            {
                "auto.offset.reset": "latest",
                **settings.kafka_options,
                "bootstrap.servers": settings.kafka,
                "group.id": group,
                "enable.auto.commit": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": _SESSION_MS,
                "heartbeat.interval.ms": 1_000,
                "max.poll.interval.ms": 300_000,
            },
            logger=silent_logger(),
        )
        self._consumer.subscribe(
            [topics.full_name(settings.topic_prefix, topics.OUTCOMES)],
            on_assign=self._given,
            on_revoke=self._taken,
            on_lost=self._lost,
        )

    def poll(self) -> None:
        """Take part in the group; nothing is read."""
        self._consumer.poll(_POLL_S)

    def leave(self) -> None:
        """Leave in order: the others have the partitions at once."""
        self._consumer.close()

    def _given(self, consumer: Any, places: Places) -> None:
        given = list(places)
        self.partitions |= {place.partition for place in given}
        consumer.incremental_assign(given)
        consumer.pause(given)

    def _taken(self, consumer: Any, places: Places) -> None:
        self._without(consumer, list(places), lost=False)

    def _lost(self, consumer: Any, places: Places) -> None:
        self._without(consumer, list(places), lost=True)

    def _without(self, consumer: Any, places: list[Any], *, lost: bool) -> None:
        if places:
            self._give_up(lost)
        self.partitions -= {place.partition for place in places}
        consumer.incremental_unassign(places)


class ElasticDelivery:
    """Keeps one child running with the partitions that the group gives.

    Args:
        settings: of the process.
        channels: the only channels to deliver; empty for all.
        env: of the child.
    """

    def __init__(self, settings: Settings, channels: tuple[str, ...], env: Mapping[str, str]) -> None:
        self._settings = settings
        self._channels = channels
        self._env = env
        self._child: ShardProcess | None = None
        self._running: frozenset[int] = frozenset()
        self._stopping = False
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        self._number, self._lock = free_number(settings.state_dir)

    def run(self) -> int:
        """Deliver until SIGTERM, SIGINT or a refusal of the child; returns the exit code.

        Raises:
            SettingsError: the topics are missing, or have another number of partitions.
            SourceError: Kafka does not answer.
        """
        settings = self._settings
        admin = TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options)
        admin.check(settings.partitions, (topics.OUTCOMES,))
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._ask)
        group = "-".join([f"{settings.topic_prefix}elastic-deliver", *sorted(self._channels)])
        member = Membership(settings, group, self._give_up)
        code: int | None = None
        try:
            while not self._stopping and code is None:
                member.poll()
                code = self._look_after(member.partitions)
        finally:
            self._stop_child(STOP_S)
            member.leave()
            os.close(self._lock)
        return code or 0

    def _look_after(self, partitions: frozenset[int]) -> int | None:
        """Bring the child to the partitions of now; returns the code with which it refused to run."""
        if partitions != self._running:
            self._stop_child(STOP_S)
            self._start_child(partitions)
        return self._child.check(time.monotonic()) if self._child else None

    def _start_child(self, partitions: frozenset[int]) -> None:
        self._running = partitions
        if not partitions:
            _log.warning("no partition is left for this process; it waits")
            return
        _log.warning("delivers partitions %s", ", ".join(map(str, sorted(partitions))))
        plan = ShardPlan(self._number, 1, "deliver", self._channels, (), tuple(sorted(partitions)))
        shutil.rmtree(self._settings.state_dir / plan.name, ignore_errors=True)
        self._child = ShardProcess(self._number, command(plan), self._env, None)
        self._child.start()

    def _give_up(self, lost: bool) -> None:
        if lost:
            _log.warning("the group has thrown this process out; its partitions may be another's by now")
        self._stop_child(0 if lost else STOP_S)
        self._running = frozenset()

    def _stop_child(self, patience_s: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.ask_to_stop()
            child.wait(patience_s)

    def _ask(self, _signal: int, _frame: object) -> None:
        self._stopping = True


def command(plan: ShardPlan) -> list[str]:
    """Build the command line of a child."""
    share = f"{plan.number}/1@{','.join(map(str, plan.chosen or ()))}"
    return [sys.executable, "-m", "flows", share, plan.flow, *plan.channels]


def free_number(state_dir: Path) -> tuple[int, int]:
    """Take the first number that no other process on these state directories has; returns its lock, too.

    Raises:
        SettingsError: all are taken.
    """
    for number in range(_MOST):
        lock = os.open(state_dir / f"elastic-{number}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number, lock
        os.close(lock)
    msg = f"TOCSIN_STATE_DIR: {_MOST} elastic processes use {state_dir}; give this one a folder of its own"
    raise SettingsError(msg)
