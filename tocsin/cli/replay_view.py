"""Shows what a replay would do, and how far it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from sources.replays.planning import Plan, Sample
from sources.replays.state import ReplayState
from tocsin.cli.output import console, errors, print_table
from tocsin.model.statuses import SENTENCES

_SHOWN = 8
_COUNTED = ("reason", "stage", "notification", "channel", "tenant")
_WIDE = 60
_MANY = 10_000


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr with the time left, and give what moves it forward by a number of records."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def show_plan(plan: Plan, state: ReplayState) -> None:
    """Print what would be written, with samples."""
    what = {"dead": "dead letters"}.get(state.selection.what, state.selection.what)
    what = what.removesuffix("s") if plan.chosen == 1 else what
    console.print(
        Text.assemble(
            (f"{plan.chosen:,}", "bold"),
            f" {what} to replay, of {plan.read:,} records read",
            (f" ({plan.read_per_s:,} a second)" if plan.read > _MANY else "", "dim"),
        )
    )
    for name in _COUNTED:
        _show_counts(name, getattr(plan, f"by_{name}"))
    for cause, count in plan.left_out.items():
        console.print(Text.assemble(("–", "yellow"), f" {count:,} left out: {cause}"), soft_wrap=True)
    for sentence in _warnings(plan, state):
        console.print(Text.assemble(("!", "yellow"), f" {sentence}"), soft_wrap=True)
    if plan.samples:
        _show_samples(plan.samples)


def _show_counts(name: str, counts: Mapping[str, int]) -> None:
    if not counts:
        return
    table = Table("", name, box=None, padding=(0, 1), show_header=True, header_style="dim")
    table.columns[0].justify = "right"
    for value, count in list(counts.items())[:_SHOWN]:
        why = f"  {SENTENCES.get(value, '')}" if name == "reason" else ""  # type: ignore[call-overload]  # a str enum's value
        table.add_row(f"{count:,}", Text.assemble(value, (why, "dim")))
    if len(counts) > _SHOWN:
        rest = sum(list(counts.values())[_SHOWN:])
        table.add_row(f"{rest:,}", Text(f"… of {len(counts) - _SHOWN} more", style="dim"))
    print_table(table)


def _warnings(plan: Plan, state: ReplayState) -> Iterator[str]:
    if plan.expired:
        yield f"{plan.expired:,} have expired: they are decided, and expire again"
    if plan.before:
        yield f"{plan.before:,} are replays themselves: see that their cause is fixed"
    if state.selection.force:
        yield "policy force: what was sent before is sent once more"
    elif not state.selection.outcomes:
        yield "outcomes are not read: only the send ledger keeps what was sent from being sent twice"
    if plan.unknown_ids:
        shown = ", ".join(plan.unknown_ids[:_SHOWN])
        yield f"{len(plan.unknown_ids):,} of the ids are in no record that was read: {shown}"


def _show_samples(samples: list[Sample]) -> None:
    table = Table(
        "time", "origin", "tenant/user", "notification", "reason", box=None, padding=(0, 1), title="Samples"
    )
    table.title_justify = "left"
    for one in samples:
        moment = datetime.fromtimestamp(one.at_ms / 1000, UTC)
        about = one.notification or one.event_id
        why = f"{one.reason}: {one.error}" if one.error else one.reason
        why = why if len(why) <= _WIDE else why[: _WIDE - 1] + "…"
        table.add_row(f"{moment:%m-%d %H:%M:%S}", one.origin, f"{one.tenant}/{one.user}", about, Text(why))
    print_table(table)


def show_end(state: ReplayState, folder_option: str) -> None:
    """Print how a replay ended, and how to go on."""
    if state.status == "done":
        said = f" replay {state.id}: {state.written:,} records written"
        console.print(Text.assemble(("✓", "green"), said), soft_wrap=True)
        where = f"outcomes WHERE replay = '{state.id}'"
        console.print(
            Text(f"  its outcomes: {where} in ClickHouse; one of them: tocsin why <origin>", style="dim")
        )
        return
    said = f" replay {state.id} stopped: {state.written:,} of {state.total:,} records written"
    console.print(Text.assemble(("■", "yellow"), said), soft_wrap=True)
    console.print(f"  go on with: {resume_command(state.id, folder_option)}", markup=False, soft_wrap=True)


def resume_command(replay_id: str, folder_option: str) -> str:
    """Return the command that resumes a replay."""
    return f"tocsin replay --resume {replay_id}{folder_option}"


def show_states(states: list[ReplayState]) -> None:
    """List replays."""
    table = Table("id", "what", "policy", "written", "of", "status")
    for state in states:
        asked = state.selection
        row = (state.id, asked.what, asked.policy, f"{state.written:,}", f"{state.total:,}", state.status)
        table.add_row(*row)
    print_table(table)
