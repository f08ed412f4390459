"""Draws the demo's live view: 80 columns, 24 lines, readable without colour."""

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tocsin.cli.demo_stats import ChannelCount, DemoStats, percentile
from tocsin.cli.output import console

_WIDTH = 79
_WHY = "why  "
_LINES = 3  # one more, and the view has no room in 24 lines
_NAMES = {"email": "e-mail", "sms": "SMS", "push": "push", "webpush": "web push", "inapp": "in-app"}


@dataclass
class DemoView:
    """Holds what the view shows beside the counts; rates are per second."""

    share: float = 0
    published: int = 0
    events_per_s: float = 0
    outcomes_per_s: float = 0
    lag: int = 0
    elapsed_s: float = 0
    shards: int = 0
    restarts: int = 0
    phase: str = "starting"
    addresses: dict[str, str] = field(default_factory=dict)


def render(view: DemoView, stats: DemoStats) -> RenderableType:
    """Lay out the view."""
    return Group(
        _headline(view),
        _progress(view, stats),
        Text(),
        _figures(view, stats),
        Text(),
        _channels(stats),
        Text(),
        _reasons(stats),
        _addresses(view),
    )


def _headline(view: DemoView) -> Text:
    minutes, seconds = divmod(int(view.elapsed_s), 60)
    restarts = f", {view.restarts} restarts" if view.restarts else ""
    line = Text("Tocsin", style="bold")
    line.append(f"  flights become messages · {view.phase}", style="not bold")
    line.append(f" · {view.shards} shards{restarts} · {minutes:02d}:{seconds:02d}", style="not bold dim")
    line.truncate(_WIDTH, overflow="ellipsis")
    return line


def _progress(view: DemoView, stats: DemoStats) -> Table:
    clock = datetime.fromtimestamp(stats.stream_ms / 1000, UTC) if stats.stream_ms else None
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        f"{clock:%Y-%m-%d %H:%M}" if clock else " " * 16,
        ProgressBar(total=1.0, completed=view.share, width=30),
        f"{view.share:4.0%}",
        f"{view.published:,} events",
    )
    return grid


def _figures(view: DemoView, stats: DemoStats) -> Table:
    recent = stats.recent()
    grid = Table.grid(padding=(0, 3))
    grid.add_row(
        f"events/s {view.events_per_s:7,.0f}",
        f"outcomes/s {view.outcomes_per_s:7,.0f}",
        f"lag {max(view.lag, 0):8,}",
        f"p50 {percentile(recent, 0.5):5,} ms",
    )
    grid.add_row(
        f"held {stats.held:11,}",
        f"in flight {stats.in_flight:8,}",
        f"dead {stats.statuses['dead']:7,}",
        f"p99 {percentile(recent, 0.99):5,} ms",
    )
    return grid


def _channels(stats: DemoStats) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("channel", min_width=9)
    for name in ("admitted", "sent", "suppressed", "retried", "dead", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right")
    for name, channel in stats.channels.items():
        if channel.words:
            table.add_row(_NAMES.get(name, name), *_channel_cells(channel))
    return table


def _channel_cells(channel: ChannelCount) -> list[str]:
    counts = [f"{channel.words[word]:,}" for word in ("admitted", "sent", "suppressed", "retrying", "dead")]
    return [*counts, *[f"{percentile(channel.latencies, share):,}" for share in (0.5, 0.99)]]


def _reasons(stats: DemoStats) -> Text:
    parts = [f"{reason}\N{NO-BREAK SPACE}{count:,}" for reason, count in stats.reasons.most_common(12)]
    said = "\N{NO-BREAK SPACE}· ".join(parts) or "nothing held back yet"
    lines = textwrap.wrap(
        said, _WIDTH - len(_WHY), break_on_hyphens=False, max_lines=_LINES, placeholder=" …"
    )
    text = Text(_WHY, style="dim")
    text.append(("\n" + " " * len(_WHY)).join(lines).replace("\N{NO-BREAK SPACE}", " "), style="not dim")
    return text


def _addresses(view: DemoView) -> Text:
    return Text("\n" + _places(view.addresses), style="dim")


def _places(addresses: Mapping[str, str]) -> str:
    lines = [f"{name:11} {address}" for name, address in addresses.items()]
    return "\n".join([*lines, "Ctrl-C ends it in order and prints the audit"])


class Announcement:
    """Prints the addresses once, as soon as all of them answer. For a demo that no live view shows.

    Args:
        addresses: by name.
        answers: tells whether all of them answer.
        wanted: whether anything is printed at all.
    """

    def __init__(self, addresses: Mapping[str, str], answers: Callable[[], bool], *, wanted: bool) -> None:
        self._addresses = addresses
        self._answers = answers
        self._is_due = wanted

    def tick(self) -> None:
        """Print the addresses if they answer now and did not before."""
        if self._is_due and self._answers():
            self._is_due = False
            console.print(_places(self._addresses), soft_wrap=True, markup=False)
