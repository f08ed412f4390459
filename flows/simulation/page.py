"""Writes the report of a simulation as one HTML file: no script, nothing to load, no address, no text."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flows.simulation.plots import Bar, changes_plot, pairs_plot, signed
from flows.simulation.report import Change, Report, chosen
from tocsin.model.statuses import Status

_BARS: Final = 14
_ROWS: Final = 40
_EXAMPLES: Final = 24


def page(report: Report) -> str:
    """Write the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["signed"] = signed
    environment.filters["moment"] = _moment
    changed = [each for each in report.changes if each.more]
    return environment.get_template("report.html.j2").render(
        report=report,
        result=report.result,
        changed=changed[:_ROWS],
        left_out=max(0, len(changed) - _ROWS),
        sent=_sent(report.changes),
        sent_plot=_sent_plot(report.changes),
        reasons_plot=_reasons_plot(report.changes),
        users_plot=_users_plot(report),
        users_changed=sum(users for before, after, users in report.result.users if before != after),
        examples=chosen(report.result, _EXAMPLES),
    )


def _sent(changes: Iterable[Change]) -> Bar:
    sent = [each for each in changes if each.status == Status.ADMITTED]
    return Bar("sent", sum(each.before for each in sent), sum(each.after for each in sent))


def _sent_plot(changes: Iterable[Change]) -> str:
    bars = _bars(
        (f"{each.notification}, {each.channel}", each) for each in changes if each.status == Status.ADMITTED
    )
    return changes_plot("Messages more or fewer, by notification and channel", bars) if bars else ""


def _reasons_plot(changes: Iterable[Change]) -> str:
    others = (each for each in changes if each.status != Status.ADMITTED)
    bars = _bars((f"{each.status} {each.reason}".strip(), each) for each in others)
    return changes_plot("Other decisions more or fewer, by status and reason", bars) if bars else ""


def _bars(labelled: Iterable[tuple[str, Change]]) -> list[Bar]:
    """Add up what has one label; the greatest changes first."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for label, change in labelled:
        before[label] += change.before
        after[label] += change.after
    found = [Bar(label, before[label], after[label]) for label in before]
    changed = [bar for bar in found if bar.before != bar.after]
    return sorted(changed, key=lambda bar: -abs(bar.after - bar.before))[:_BARS]


def _users_plot(report: Report) -> str:
    before, after = report.users_before, report.users_after
    if before is None or after is None:
        return ""
    labels = {"p50": "half of the users: at most", "p90": "nine of ten: at most", "p99": "99 of 100: at most"}
    bars = [Bar(label, getattr(before, name), getattr(after, name)) for name, label in labels.items()]
    return pairs_plot("Notifications a user", [*bars, Bar("the user with most", before.most, after.most)])


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}"
