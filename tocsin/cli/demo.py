"""`tocsin demo`: real flights become messages, on servers it brings along."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.live import Live

from flows.supervisor import Supervisor
from tocsin.app.audit import Reconciliation
from tocsin.cli import balance
from tocsin.cli.demo_environment import DemoEnvironment
from tocsin.cli.demo_player import Player
from tocsin.cli.demo_recipients import Recipients
from tocsin.cli.demo_results import refusals, sends
from tocsin.cli.demo_stats import DemoStats, percentile
from tocsin.cli.demo_view import Announcement, DemoView, render
from tocsin.cli.demo_watch import Watch
from tocsin.cli.output import FAULT, check_names, complain, console, fail, print_json
from tocsin.cli.run import command
from tocsin.delivery.claims import open_claims
from tocsin.delivery.ledger import LedgerPolicy
from tocsin.devkit.demo_data import DemoData
from tocsin.devkit.flights import chosen_days
from tocsin.devkit.probes import http_answers
from tocsin.devkit.servers import APACHE_KAFKA, KAFKA

_TICK_S = 0.1
_BROKERS = {"embedded": KAFKA, "apache": APACHE_KAFKA}
_DRAIN_S = 600.0
_START_S = 60.0
_QUIET_S = 2.0
_KILLING_S = 45.0  # after the last event; what is left then must be able to finish


class DemoPlan(NamedTuple):
    """Says what is played, and how."""

    days: int
    passengers: int
    seed: int
    speed: float
    shards: int
    kill_every_s: float
    partitions: int


def demo(
    *,
    days: Annotated[
        int,
        typer.Option(
            min=1, max=365, help="days of flights to play, from 7 February 2013 on, the day before a blizzard"
        ),
    ] = 7,
    passengers: Annotated[int, typer.Option(min=1, help="number of made-up passengers")] = 2_000,
    seed: Annotated[int, typer.Option(help="seed of the random choice of passengers")] = 2013,
    speed: Annotated[
        str,
        typer.Option(help="seconds of flight time per second: a number, or max (default with --headless)"),
    ] = "",
    shards: Annotated[int, typer.Option(min=1, max=8, help="number of shards, each a process")] = 2,
    headless: Annotated[
        bool, typer.Option(help="show no live view and end when everything is delivered")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object at the end (headless)")] = False,
    broker: Annotated[
        str, typer.Option(help="embedded, or apache: Apache Kafka itself (needs Java and Maven)")
    ] = "embedded",
    keep: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="keep state, logs and data in this folder: new, empty or a demo's"
        ),
    ] = None,
    kill_shard_every: Annotated[
        float, typer.Option(min=0, help="kill a shard (SIGKILL) about every this many seconds; 0 for never")
    ] = 0,
) -> None:
    """Start everything, play real flights of 2013, watch them become messages, audit the result."""
    check_names("broker", [broker], _BROKERS)
    headless = headless or json
    pace = _speed(speed or ("max" if headless else "3600"))
    plan = DemoPlan(days, passengers, seed, pace, shards, kill_shard_every, partitions=8)
    folder = keep or Path(".tocsin/demo")
    began = time.monotonic()
    with (
        _stopping() as stop,
        DemoEnvironment(
            folder,
            partitions=plan.partitions,
            keep=keep is not None,
            broker=_BROKERS[broker],
            dashboard=not headless,
        ) as environment,
    ):
        tells = not json and (headless or not console.is_terminal)
        report, drawn = Show(environment, plan, stop, began, tells=tells).run(live=not headless)
    conclude(report, drawn, json=json)
    if report["balance_error"] or report["doubled_beyond_claims"]:
        raise typer.Exit(FAULT)


def conclude(report: dict[str, Any], drawn: Reconciliation, *, json: bool) -> None:
    """Print the audit for a person, or the report as one JSON object and each fault on stderr."""
    if not json:
        balance.show(drawn)
        return
    if drawn.error:
        for sentence in drawn.sentences():
            complain(sentence)
    print_json(report)


def _span_ms(days: list[date]) -> tuple[int, int]:
    """Give the first and last moment of the days, ms since 1970 UTC."""
    first, last = (datetime.combine(day, datetime.min.time(), UTC) for day in (days[0], days[-1]))
    return int(first.timestamp() * 1000), int((last + timedelta(days=1)).timestamp() * 1000)


def _speed(text: str) -> float:
    if text in {"max", "unlimited"}:
        return 0.0
    try:
        value = float(text.rstrip("x×"))
    except ValueError:
        value = 0.0
    if value <= 0:
        fail(f"--speed: {text!r} must be a number above 0 (3600: an hour a second) or max", code=2)
    return value


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an orderly end."""
    stop = threading.Event()
    before = {name: signal.signal(name, lambda *_: stop.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class Show:
    """Runs the demo once, from the first shard's start to the audit; `tells` prints the addresses early."""

    def __init__(
        self,
        environment: DemoEnvironment,
        plan: DemoPlan,
        stop: threading.Event,
        began: float,
        *,
        tells: bool = False,
    ) -> None:
        self._environment = environment
        self._plan = plan
        self._stop = stop
        self._began = began
        days = chosen_days(plan.days)
        self._data = DemoData(days, plan.passengers, plan.seed, environment.push_service, reports=True)
        self._player = Player(environment.settings, self._data, plan.speed, _span_ms(days))
        logs = environment.folder / "logs"
        logs.mkdir(exist_ok=True)
        self._supervisor = Supervisor(
            plan.shards, lambda number: command(number, plan.shards), environment.env, logs
        )
        self._stats = DemoStats()
        self._recipients = Recipients(environment.settings, self._stats)
        self._view = DemoView(shards=plan.shards, addresses=environment.addresses)
        self._announcement = Announcement(environment.addresses, environment.answers, wanted=tells)
        self._claims: set[str] = set()
        self._killer = Killer(plan.kill_every_s, self._supervisor, self._note_claims)
        settings = environment.settings
        self._ledger = LedgerPolicy(settings.redis, settings.topic_prefix)

    def _note_claims(self) -> None:
        self._claims |= open_claims(self._ledger)

    def run(self, *, live: bool) -> tuple[dict[str, Any], Reconciliation]:
        """Play, wait until everything is delivered (or Ctrl-C), stop in order, audit."""
        self._environment.introduce(self._data.passengers)
        self._player.publish_profiles()
        subscribed = self._data.subscriptions()
        self._player.subscribe(subscribed.topic, subscribed.users)
        self._supervisor.start()
        try:
            self._await_shards()
            self._environment.start_gateway()
            self._player.start()
            with Watch(self._environment.settings) as watch, self._screen(live=live) as refresh:
                self._follow(watch, refresh, stay=live)
        finally:
            self._player.stop()
            self._recipients.close()
            self._supervisor.stop()
        drawn = balance.draw(self._environment.settings)
        return self._report(drawn), drawn

    @contextmanager
    def _screen(self, *, live: bool) -> Iterator[Callable[[], None]]:
        """Give what shows the present state: on a live screen, or nowhere."""
        if not live:
            yield lambda: None
            return
        with Live(render(self._view, self._stats), console=console, refresh_per_second=4) as screen:
            yield lambda: screen.update(render(self._view, self._stats))

    def _await_shards(self) -> None:
        """Wait until every shard answers, so that latency is not that of its start."""
        port = self._environment.settings.http_port
        waiting = set(range(self._plan.shards))
        until = time.monotonic() + _START_S
        while waiting and not self._stop.wait(_TICK_S):
            waiting = {number for number in waiting if not http_answers(port + number, "/healthz")}
            self._watch_over()
            if time.monotonic() > until:
                logs = self._environment.folder / "logs"
                fail(f"shards {sorted(waiting)} did not start within {_START_S:.0f} s; see {logs}")

    def _watch_over(self) -> None:
        code = self._supervisor.check()
        if code is not None:
            logs = self._environment.folder / "logs"
            fail("\n".join(["a shard gave up:", *refusals(logs), f"its log is in {logs}"]), code)

    def _follow(self, watch: Watch, refresh: Callable[[], None], *, stay: bool) -> None:
        """Watch until all is delivered; live, stay for the visitor until Ctrl-C."""
        patience = time.monotonic() + _DRAIN_S
        while not self._stop.is_set():
            self._tick(watch)
            refresh()
            if not self._player.done or not self._drained(watch):
                if self._player.done and time.monotonic() > patience and not stay:
                    fail(f"not drained within {_DRAIN_S:.0f} s: {watch.lag:,} records behind")
                continue
            if not stay:
                return

    def _drained(self, watch: Watch) -> bool:
        """All events are read, nothing lags, the log is quiet: for long if something is still in flight."""
        quiet_s = _QUIET_S if self._stats.in_flight == 0 else 15 * _QUIET_S
        written = self._player.events + self._data.published.addressed
        return watch.events_read >= written and watch.quiet_s >= quiet_s

    def _tick(self, watch: Watch) -> None:
        self._watch_over()
        if self._player.problem:
            fail(self._player.problem)
        self._killer.tick(played=self._player.done)
        self._announcement.tick()
        watch.read(self._recipients, _TICK_S)
        self._describe(watch)

    def _describe(self, watch: Watch) -> None:
        view, player = self._view, self._player
        view.elapsed_s = time.monotonic() - self._began
        view.published = player.events
        view.share = 1.0 if player.done else player.share
        view.phase = "playing" if player.events else "publishing profiles"
        if player.done:
            view.phase = "all delivered" if self._drained(watch) else "delivering the rest"
        view.restarts = sum(shard.restarts for shard in self._supervisor.shards)
        view.lag = watch.lag
        view.events_per_s, view.outcomes_per_s = watch.rates(player.events, self._stats.outcomes)

    def _report(self, drawn: Reconciliation) -> dict[str, Any]:
        """Count the sandbox's copies, and sum up the run."""
        copies = {
            name for name, count in sends(self._environment.folder / "servers/sandbox").items() if count > 1
        }
        channels = {
            name: {"sent": channel.words["sent"], "failed": channel.words["dead"]}
            for name, channel in self._stats.channels.items()
            if channel.words
        }
        return {
            "events": drawn.events,
            "decisions": drawn.statuses,
            "reasons": drawn.reasons,
            "channels": channels,
            "dead": drawn.statuses.get("dead", 0),
            "held": drawn.held,
            "in_flight": drawn.in_flight,
            "balance_error": drawn.error,
            "latency_ms": {
                "p50": percentile(self._stats.latencies, 0.5),
                "p99": percentile(self._stats.latencies, 0.99),
            },
            "seconds": round(time.monotonic() - self._began, 1),
            "clickhouse_rows": balance.stored_rows(self._environment.settings.clickhouse),
            "published": msgspec.to_builtins(self._data.published),
            "kills": self._killer.kills,
            "restarts": self._view.restarts,
            "sent_twice": len(copies),
            "open_claims": len(self._claims),
            "unknown_answers": len(self._stats.unknown),
            "doubled_beyond_claims": len(copies - self._claims - self._stats.unknown),
        }


class Killer:
    """Kills one shard after another with SIGKILL, and reads the ledger before it starts again."""

    def __init__(self, every_s: float, supervisor: Supervisor, killed: Callable[[], None]) -> None:
        self._every_s = every_s
        self._supervisor = supervisor
        self._killed = killed
        self._next_s = time.monotonic() + every_s
        self._moments = random.Random(0)  # noqa: S311 -- when to kill is no secret
        self._until_s = 0.0
        self.kills = 0

    def tick(self, *, played: bool) -> None:
        """Kill if it is time to; some while after the last event the shards are left to finish."""
        now = time.monotonic()
        if not played:
            self._until_s = now + _KILLING_S
        if not self._every_s or now < self._next_s or now > self._until_s:
            return
        shards = self._supervisor.shards
        shards[self.kills % len(shards)].kill_and_wait()
        self._killed()
        self.kills += 1
        self._next_s = time.monotonic() + self._every_s * self._moments.uniform(0.5, 1.5)
