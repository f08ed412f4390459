"""Finds later steps that wait for a receipt which no account of their channels ever reports."""

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

from tocsin.catalog.escalation import EscalationStep
from tocsin.catalog.files import Document, Problem, Where, read
from tocsin.catalog.spec import NotificationSpec
from tocsin.model.engagement import LEVELS, Level

Reports = Mapping[str, Set[Level]]
"""Channel -> the levels that receipts of its accounts can have."""


def silent_steps(path: Path, reports: Reports) -> list[Problem]:
    """List the steps that wait for a channel which never reports their level.

    It is no mistake, since software of one's own may write receipts. A channel without an account is left
    out.

    Args:
        path: a catalog that `tocsin.catalog.loader.check` finds nothing wrong with.
        reports: by channel.
    """
    own = sorted((path / "notifications").rglob("*")) + sorted(path.glob("tenants/*/notifications/**/*"))
    files = [file for file in own if file.suffix in {".yaml", ".yml"}]
    documents = [read(file, file.relative_to(path).as_posix())[0] for file in files]
    return [problem for document in documents for problem in _problems(document, reports)]


def _problems(document: Document, reports: Reports) -> Iterator[Problem]:
    for name, data in (document.data or {}).items():
        if data is None:
            continue  # its tenant takes the shared one away
        notice = NotificationSpec.model_validate(data)
        channels = [use.channel for use in notice.channels]
        if notice.sequence is not None:
            where: Where = (name, "sequence", "until")
            if text := _silent(channels[:-1], notice.sequence.until, reports):
                yield document.problem(where, f"`until: {notice.sequence.until}` {text}")
        yield from _of_steps(document, name, channels, notice.escalate, reports)


def _of_steps(
    document: Document, name: str, channels: list[str], steps: Sequence[EscalationStep], reports: Reports
) -> Iterator[Problem]:
    before = list(channels)
    for at, step in enumerate(steps):
        if text := _silent(before, step.unless, reports):
            yield document.problem((name, "escalate", at, "unless"), f"`unless: {step.unless}` {text}")
        before += step.channels


def _silent(channels: Sequence[str], wanted: str, reports: Reports) -> str:
    """Say which channels never report a level; empty if all do."""
    there = [channel for channel in channels if channel in reports]
    mute = [channel for channel in there if not _can_report(reports[channel], LEVELS[wanted])]
    if not mute:
        return ""
    *others, last = mute
    named = (
        f"{', '.join(others)} and {last}, which never report it"
        if others
        else f"{last}, which never reports it"
    )
    if len(mute) == len(there):
        return f"waits for {named}: what follows goes out each time"
    return f"waits also for {named}"


def _can_report(levels: Set[Level], wanted: Level) -> bool:
    if wanted is Level.DELIVERED:
        return wanted in levels
    return any(level >= wanted for level in levels)
