"""`tocsin replay`: dead letters, events or messages once more."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from sources.replays.outcomes import Index
from sources.replays.planning import Plan, index_of, new_id, plan, spans_of
from sources.replays.replay import Replaying, Scan
from sources.replays.selection import Selection
from sources.replays.spans import Span, SpanReader, calm_collector
from sources.replays.state import ReplayState, StateFolder
from sources.replays.superseded import Superseded
from sources.replays.writer import ReplayWriter
from tocsin.app.settings import Settings
from tocsin.cli.entering import enter
from tocsin.cli.output import FAULT, complain, fail, print_json
from tocsin.cli.replay_options import (
    check_cluster,
    check_layout,
    check_places,
    check_texts,
    check_words,
    read_from,
    read_ids,
    read_range,
    read_what,
)
from tocsin.cli.replay_view import progress, resume_command, show_end, show_plan, show_states
from tocsin.cli.times import Since, Until
from tocsin.errors import SettingsError, SourceError
from tocsin.model.audit import Action

_STOPPED = 130
_RATE = 1_000.0
_FOLDER = Path(".tocsin/replays")
Names = list[str] | None


def replay(
    what: Annotated[
        str,
        typer.Argument(metavar="WHAT", help="dead (dead letters), events or messages; list shows replays"),
    ] = "",
    *,
    since: Since = "",
    until: Until = "",
    places: Annotated[
        Names, typer.Option("--from", help="topic/partition/offset to begin there, or …/first-last")
    ] = None,
    tenant: Annotated[Names, typer.Option(help="of this tenant; may be repeated, as all filters")] = None,
    user: Annotated[Names, typer.Option(help="of this user")] = None,
    notification: Annotated[Names, typer.Option(help="of this notification of the catalog")] = None,
    channel: Annotated[Names, typer.Option(help="of this channel")] = None,
    provider: Annotated[Names, typer.Option(help="with an outcome of this provider account")] = None,
    reason: Annotated[Names, typer.Option(help="that ended for this reason")] = None,
    status: Annotated[Names, typer.Option(help="with an outcome of this status")] = None,
    stage: Annotated[Names, typer.Option(help="dead letters of this stage: decode, gate, deliver…")] = None,
    names: Annotated[
        Names, typer.Option("--id", help="of this message, notification, event or origin (events/9/4211)")
    ] = None,
    ids: Annotated[str, typer.Option(help="file of such ids, one a line; - for stdin")] = "",
    everything: Annotated[bool, typer.Option("--all", help="everything that the topics hold")] = False,
    policy: Annotated[
        str, typer.Option(help="again: what was sent is not sent twice; force: it is sent once more")
    ] = "again",
    limit: Annotated[int, typer.Option(min=0, help="at most so many records; 0 for no bound")] = 0,
    rate: Annotated[
        float | None, typer.Option(min=0, help="records a second, 1,000 unless given; 0 for no bound")
    ] = None,
    outcomes: Annotated[
        bool, typer.Option(help="read outcomes, to leave out what was sent or is on its way")
    ] = True,
    apply: Annotated[bool, typer.Option("--apply", help="do it; a terminal is asked before")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do it, and do not ask")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only show it, as without --apply and --yes")
    ] = False,
    samples: Annotated[int, typer.Option(min=0, help="records of each reason to show")] = 3,
    resume: Annotated[str, typer.Option(metavar="ID", help="go on with a replay that was stopped")] = "",
    state: Annotated[Path, typer.Option(help="folder of the state files")] = _FOLDER,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Replay dead letters, events or messages: shows what would be done, and does it with --apply.

    docs/replay.md has recipes.
    """
    session = Session(
        Settings(), StateFolder(state), "" if state == _FOLDER else f" --state {state}", json=json
    )
    if resume:
        session.resume(resume, rate)
        return
    if what == "list":
        session.list_all()
        return
    kind = read_what(what)
    if dry_run and (apply or yes):
        fail(f"--dry-run and --{'apply' if apply else 'yes'} exclude each other: leave one out", code=2)
    if policy not in {"again", "force"}:
        fail(f"--policy {policy}: there are again and force", code=2)
    check_texts(tenant=tenant, user=user, notification=notification, provider=provider, id=names)
    check_words(reason or (), status or (), stage or (), channel or ())
    from_ms, to_ms = read_range(since, until)
    asked = Selection(
        what=kind,
        policy=policy,  # type: ignore[arg-type]  # checked above
        since_ms=from_ms,
        until_ms=to_ms,
        tenants=tuple(tenant or ()),
        users=tuple(user or ()),
        notifications=tuple(notification or ()),
        channels=tuple(channel or ()),
        providers=tuple(provider or ()),
        reasons=tuple(reason or ()),
        statuses=tuple(status or ()),
        stages=tuple(stage or ()),
        ids=(*(names or ()), *(read_ids(ids) if ids else ())),
        limit=limit,
        outcomes=outcomes,
    )
    given = read_from(places or (), kind)
    _check(asked, given, everything=everything)
    session.start(asked, given, _RATE if rate is None else rate, samples, apply=apply or yes, ask=not yes)


def _check(asked: Selection, given: list[Span], *, everything: bool) -> None:
    """End if nothing was asked for, or what cannot be."""
    nothing = Selection(what=asked.what, policy=asked.policy, limit=asked.limit, outcomes=asked.outcomes)
    if asked == nothing and not given and not everything:
        fail("nothing is selected: name a time (--since 2h), a --reason, an --id…, or --all", code=2)
    if asked.stages and asked.what != "dead":
        fail(f"--stage: only dead letters have one; with {asked.what} use --status and --reason", code=2)
    if asked.by_outcome and not asked.outcomes:
        fail("--no-outcomes: only outcomes know these filters; leave it out", code=2)


class Session:
    """One run of the command: reads, shows, writes."""

    def __init__(self, settings: Settings, folder: StateFolder, option: str, *, json: bool) -> None:
        self._settings = settings
        self._folder = folder
        self._option = option
        self._json = json
        self._stopping = False

    def list_all(self) -> None:
        """List the replays whose state is here."""
        states = [self._folder.load(name) for name in self._folder.names()]
        if self._json:
            print_json([msgspec.to_builtins(one) for one in states])
        else:
            show_states(states)

    def start(
        self, asked: Selection, given: list[Span], rate: float, samples: int, *, apply: bool, ask: bool
    ) -> None:
        """Plan a replay, show the plan, and carry it out if asked to."""
        with calm_collector(), self._reader() as reader, self._reader() as beside:
            check_layout(reader, self._settings.topic_prefix, self._settings.partitions)
            check_places(reader, given)
            state = self._new(reader, asked, given, rate)
            index = self._index(reader, state)
            with progress("reading", sum(map(len, state.spans))) as seen:
                found = plan(reader, beside, state, index, samples=samples, seen=seen)
            if not self._json:
                show_plan(found, state)
            if not found.chosen:
                self._nothing(found)
            if not apply:
                self._dry(found, state)
                return
            if ask and sys.stdin.isatty():
                typer.confirm(f"Replay {found.chosen:,} records ({asked.policy})?", abort=True, err=True)
            with self._folder.held(state.id):
                self._folder.save(state)
                self._enter(Action.REPLAY_STARTED, state)
                self._run(reader, beside, state, index, found)

    def resume(self, replay_id: str, rate: float | None) -> None:
        """Go on with a replay, at its own pace unless another one is given."""
        self._folder.load(replay_id)  # says what there is, before a lock is made
        with self._folder.held(replay_id):
            self._resume(self._folder.load(replay_id), rate)

    def _resume(self, state: ReplayState, rate: float | None) -> None:
        replay_id, settings = state.id, self._settings
        if (state.prefix, state.partitions) != (settings.topic_prefix, settings.partitions):
            text = (
                f"replay {replay_id} is of the topics {state.prefix}* with {state.partitions} partitions: set"
            )
            msg = f"{text} TOCSIN_TOPIC_PREFIX and TOCSIN_PARTITIONS as then"
            raise SettingsError(msg)
        if state.status == "done":
            fail(f"replay {replay_id} is done: {state.written:,} records were written", code=2)
        state.rate = state.rate if rate is None else rate
        with calm_collector(), self._reader() as reader, self._reader() as beside:
            check_cluster(reader, state)
            self._enter(Action.REPLAY_RESUMED, state)
            self._run(reader, beside, state, self._index(reader, state), Plan(chosen=state.total))

    def _enter(self, action: Action, state: ReplayState) -> None:
        """Enter a replay into the audit log, before it writes anything."""
        asked = state.selection
        only = (asked.tenants[0], *asked.users) if len(asked.tenants) == 1 else ("",)
        enter(
            self._settings,
            action,
            only[0],
            state.id,
            only[1] if len(only) == 2 else "",
            what=asked.what,
            policy=asked.policy,
            records=state.total,
            written=state.written,
            reasons=list(asked.reasons),
            notifications=list(asked.notifications),
            channels=list(asked.channels),
            tenants=list(asked.tenants),
            users=len(asked.users),
            ids=len(asked.ids),
        )

    def _reader(self) -> SpanReader:
        settings = self._settings
        return SpanReader(settings.kafka, settings.topic_prefix, settings.kafka_options)

    def _new(self, reader: SpanReader, asked: Selection, given: list[Span], rate: float) -> ReplayState:
        now_ms, settings = int(time.time() * 1000), self._settings
        spans, outcome_spans = spans_of(reader, asked, given)
        return ReplayState(
            id=new_id(now_ms),
            created_ms=now_ms,
            kafka=settings.kafka,
            cluster=reader.cluster(),
            prefix=settings.topic_prefix,
            partitions=settings.partitions,
            selection=asked,
            rate=rate,
            spans=spans,
            outcome_spans=outcome_spans,
            forgotten_ms=now_ms - settings.ledger_ttl_s * 1000,
        )

    def _index(self, reader: SpanReader, state: ReplayState) -> Index | None:
        with progress("reading outcomes", sum(map(len, state.outcome_spans))) as seen:
            return index_of(reader, state, seen)

    def _run(
        self, reader: SpanReader, beside: SpanReader, state: ReplayState, index: Index | None, found: Plan
    ) -> None:
        settings, done = self._settings, state.written
        writer = ReplayWriter(settings.kafka, settings.topic_prefix, settings.kafka_options)
        scan = Scan(reader, state.selection, index, Superseded(beside), state.forgotten_ms)
        work = Replaying(scan, beside, writer, self._folder, state, lambda: self._stopping)
        with progress("replaying", state.total) as wrote, self._stoppable():
            wrote(done)
            try:
                work.run(_steps(wrote, done))
            except SourceError as error:
                command = resume_command(state.id, self._option)
                msg = f"{error}. Go on with: {command}"
                raise SourceError(msg) from error
        self._end(state, found)

    def _stoppable(self) -> "_Signals":
        def stop(*_: Any) -> None:
            self._stopping = True

        return _Signals(stop)

    def _end(self, state: ReplayState, found: Plan) -> None:
        if self._json:
            print_json(self._report(found, state, applied=True))
        else:
            show_end(state, self._option)
        if state.status != "done":
            raise typer.Exit(_STOPPED)

    def _dry(self, found: Plan, state: ReplayState) -> None:
        if self._json:
            print_json(self._report(found, state, applied=False))
        else:
            typer.echo("Nothing was written. Add --apply to do it.")

    def _nothing(self, found: Plan) -> NoReturn:
        if self._json:
            print_json({"applied": False, "plan": msgspec.to_builtins(found)})
        if found.left_out:
            complain(
                "nothing to replay: all that was asked for is left out; --policy force takes what was sent"
            )
        else:
            complain(
                "nothing to replay: no record is what was asked for; leave a filter out, or look further back"
            )
        raise typer.Exit(FAULT)

    def _report(self, found: Plan, state: ReplayState, *, applied: bool) -> dict[str, Any]:
        report = {"applied": applied, "plan": msgspec.to_builtins(found)}
        if applied:
            command = resume_command(state.id, self._option) if state.status != "done" else ""
            report |= {"id": state.id, "status": state.status, "written": state.written, "resume": command}
        return report


class _Signals:
    """Hands SIGINT and SIGTERM to a callable for a while."""

    def __init__(self, stop: Callable[..., None]) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        self._before = {one: signal.signal(one, self._stop) for one in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _steps(wrote: Callable[[int], None], done: int) -> Callable[[int], None]:
    """Turn the number of all records done into steps."""
    last = [done]

    def step(total: int) -> None:
        wrote(max(0, total - last[0]))
        last[0] = max(last[0], total)

    return step
