"""A whole pipeline under `kill -9`: its shards and servers take turns, and come back as they would."""

import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dashboards import migrate
from flows.supervisor import Supervisor
from sources.topics import TopicAdmin, TopicPlan
from tests.laws.acts import PARTITIONS, Act
from tests.laws.deciding import Marks
from tocsin.cli.demo_environment import DemoEnvironment, settings_from
from tocsin.cli.demo_player import Player
from tocsin.cli.demo_results import sends
from tocsin.cli.demo_stats import DemoStats
from tocsin.cli.demo_watch import Watch
from tocsin.cli.run import command
from tocsin.delivery.claims import open_claims
from tocsin.delivery.ledger import LedgerPolicy
from tocsin.devkit.demo_data import DemoRecord
from tocsin.devkit.probes import http_answers
from tocsin.devkit.servers import CLICKHOUSE, KAFKA, REDIS, SANDBOX, Servers
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import FINAL

SHARDS = 2
_TURN = ("shard-0", SANDBOX, REDIS, "shard-1", CLICKHOUSE, "shard-0", KAFKA, "shard-1")
_TICK_S = 0.05
_BACK_S = 60.0
_PATIENCE_S = 400.0
_HEAD_START = 2  # kills by which input may be ahead
_QUIET_S = 2.0


class Tally(DemoStats):
    """The demo's counts, the marks, and what was said of each message."""

    def __init__(self) -> None:
        super().__init__()
        self.marks = Marks()
        self._said: defaultdict[str, list[Outcome]] = defaultdict(list)

    def add(self, outcome: Outcome) -> None:
        self.marks.add(outcome)
        if outcome.message_id:
            self._said[outcome.message_id].append(outcome)
        super().add(outcome)

    def open_messages(self) -> list[str]:
        """What was said of each message that has no final word yet, a line each."""
        words = [said for said in self._said.values() if not any(one.status in FINAL for one in said)]
        return [" | ".join(map(_spoken, said)) for said in words]


def _spoken(word: Outcome) -> str:
    numbers = f"attempt {word.attempt} at {word.at_ms} {word.detail or ''}"
    return f"{word.message_id[:8]} {word.channel} {word.status} {word.reason} {numbers} of {word.origin}"


class Processes:
    """The shards and servers of one run: kills one, starts it again, and reads the ledger in between.

    `claims` are all claims that were open between the death of a sender, or of the sandbox, and its restart.
    """

    def __init__(self, servers: Servers, env: Mapping[str, str], logs: Path) -> None:
        settings = settings_from(env)
        self._servers = servers
        self._port = settings.http_port
        self._ledger = LedgerPolicy(settings.redis, settings.topic_prefix)
        self._supervisor = Supervisor(SHARDS, lambda number: command(number, SHARDS), env, logs)
        self._deaths = 0
        self.claims: set[str] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start the shards, and stop them in order."""
        self._supervisor.start()
        try:
            yield
        finally:
            self._supervisor.stop()

    def look_after(self) -> None:
        """Let the supervisor start again what died, once the ledger was read."""
        self._note_deaths()
        assert self._supervisor.check() is None, "a shard refused to start; its log says why"
        self._note_deaths()

    def up(self, name: str) -> bool:
        """Whether it runs and answers."""
        if name.startswith("shard-"):
            return http_answers(self._port + int(name[-1]), "/metrics")
        return self._servers.answers(name)

    def kill(self, name: str) -> None:
        """SIGKILL one and start it again, without waiting for it to be back."""
        if name.startswith("shard-"):
            self._supervisor.shards[int(name[-1])].kill_and_wait()
            self.look_after()
            return
        if name == SANDBOX:
            self._kill_sandbox()
        else:
            self._servers.kill(name)
        self._servers.relaunch(name)

    def _kill_sandbox(self) -> None:
        """Kill the sandbox while the senders stand still, so that the ledger shows the calls it cut off."""
        pids = [shard.process.pid for shard in self._supervisor.shards if shard.process is not None]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        self._servers.kill(SANDBOX)
        self._note_claims()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def _note_deaths(self) -> None:
        deaths = sum(shard.restarts for shard in self._supervisor.shards)
        if deaths != self._deaths:
            self._deaths = deaths
            self._note_claims()

    def _note_claims(self) -> None:
        end = time.monotonic() + _BACK_S
        while not self._servers.answers(REDIS):
            assert time.monotonic() < end, "Redis did not come back"
            time.sleep(_TICK_S)
        self.claims |= open_claims(self._ledger)


class Killer:
    """Kills in turn, at random moments; who is not back yet is waited for, up to a minute."""

    def __init__(self, processes: Processes, kills: int, every_s: float, seed: int) -> None:
        self._processes = processes
        self._left = kills
        self._every_s = every_s
        self._chance = random.Random(seed)
        self._turn = list(_TURN)
        self._next_s = time.monotonic() + every_s
        self.killed: Counter[str] = Counter()

    @property
    def done(self) -> bool:
        """Whether there was the last kill."""
        return not self._left

    def tick(self) -> None:
        """Kill, if it is time to."""
        now = time.monotonic()
        if self.done or now < self._next_s:
            return
        victim = self._turn[0]
        if self._processes.up(victim):
            self._processes.kill(victim)
            self.killed[victim] += 1
            self._left -= 1
        elif now < self._next_s + _BACK_S:
            return
        self._turn.append(self._turn.pop(0))
        self._next_s = time.monotonic() + self._every_s * self._chance.uniform(0.2, 1.8)


class Alongside(NamedTuple):
    """An act whose events keep to the kills: where these are slow, input goes on until the last of them."""

    act: Act
    kills_by: Callable[[int], int]
    killed: Callable[[], int]

    def profiles(self) -> Iterator[DemoRecord]:
        yield from self.act.profiles()

    def events(self) -> Iterator[DemoRecord]:
        for number, record in enumerate(self.act.events(), 1):
            while self.killed() < self.kills_by(number):
                time.sleep(_TICK_S)
            yield record


class Siege:
    """One run of acts through the whole pipeline under kills.

    Attributes:
        killed: kills by victim.
        under_input: how many of them came while there was input.
        claims: message ids whose claim was open between a death and its restart.
        sent: how often the sandbox accepted each message.
    """

    def __init__(
        self, demo: DemoEnvironment, env: Mapping[str, str], kills: int, every_s: float, seed: int
    ) -> None:
        self.settings = settings_from(env)
        TopicAdmin(self.settings.kafka, self.settings.topic_prefix).create(TopicPlan(PARTITIONS))
        migrate.migrate(self.settings.clickhouse)
        logs = demo.folder / f"logs-{self.settings.topic_prefix}"
        logs.mkdir()
        self._sandbox = demo.folder / "servers/sandbox"
        self._processes = Processes(demo.servers, env, logs)
        self._killer = Killer(self._processes, kills, every_s, seed)
        self._tally = Tally()
        self._kills = kills
        self._input = self._events = 0
        self.under_input = 0
        self.sent: Counter[str] = Counter()

    @property
    def killed(self) -> Counter[str]:
        return self._killer.killed

    @property
    def claims(self) -> set[str]:
        return self._processes.claims

    def run(self, acts: Sequence[Act], stamp_ms: int) -> None:
        """Play acts at their pace while the killer kills, the last in peace; wait until all is delivered."""
        before = sends(self._sandbox)
        self._input = sum(len(one.event_records) for one in acts[:-1])
        with Watch(self.settings) as watch:
            self._first_profiles(acts[0])
            with self._processes.running():
                for one in acts[:-1]:
                    self.under_input = self._play(one, watch, stamp_ms)
                self._until(watch, lambda: self._killer.done and self._all_read(watch))
                self._play(acts[-1], watch, stamp_ms)
                self._until(watch, lambda: self._all_read(watch) and not self._tally.in_flight)
        self.sent = sends(self._sandbox) - before

    def _first_profiles(self, one: Act) -> None:
        Player(self.settings, one, 0, (0, 1)).publish_profiles()

    def _play(self, one: Act, watch: Watch, stamp_ms: int) -> int:
        """Play an act until its marks are decided; gives the kills until its last event was written."""
        played = Alongside(one, partial(self._kills_by, self._events), self.killed.total)
        player = Player(self.settings, played, 1.0, (0, 1), stamp_ms=stamp_ms + self._events)
        if one.greeted:
            player.publish_profiles()
            self._until(watch, lambda: not self._tally.marks.missing(one.greeted, "suppressed"))
        player.start()
        self._until(watch, lambda: player.done)
        kills = self.killed.total()
        self._until(watch, lambda: not self._tally.marks.missing(one.users, "held"))
        player.stop()
        assert not player.problem
        self._events += player.events
        return kills

    def _kills_by(self, before: int, number: int) -> int:
        """Kills that come before an event of an act: all of them before the last event of the input."""
        share = (before + number) / self._input
        return self._kills if share >= 1 else round(self._kills * share) - _HEAD_START

    def _until(self, watch: Watch, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not reached():
            assert time.monotonic() < end, self._stuck(watch)
            self._processes.look_after()
            self._killer.tick()
            watch.read(self._tally, _TICK_S)

    def _stuck(self, watch: Watch) -> str:
        open_messages = "\n".join(self._tally.open_messages()[:20])
        return f"{self._tally.in_flight} in flight, {watch.lag} records behind:\n{open_messages}"

    def _all_read(self, watch: Watch) -> bool:
        """Whether nothing is behind, in any topic, and no more comes of it."""
        return watch.events_read >= self._events and watch.quiet_s >= _QUIET_S
