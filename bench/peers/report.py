"""From the rounds to one object: medians of what each contender gave, and ratios within each round."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table


class Ratio(NamedTuple):
    """How a ratio is made; above 1 this build is better."""

    measurement: str
    other: str
    more_is_better: bool = True


RATIOS = {
    "decide_vs_kafka_streams": Ratio("decide_per_s", "kafka_streams"),
    "decide_vs_quix": Ratio("decide_per_s", "quix"),
    "decide_vs_prototype": Ratio("decide_per_s", "prototype"),
    "decide_vs_before": Ratio("decide_per_s", "before"),
    "decide_honest_vs_before": Ratio("honest_per_s", "before"),
    "deliver_vs_before": Ratio("deliver_per_s", "before"),
    "deliver_vs_prototype": Ratio("deliver_per_s", "prototype"),
    "latency_p50_vs_before": Ratio("latency_p50_ms", "before", more_is_better=False),
    "latency_p99_vs_before": Ratio("latency_p99_ms", "before", more_is_better=False),
}
_MEANING = {
    "decide_per_s": "events decided a second",
    "decide_cpu_us": "CPU µs an event",
    "honest_per_s": "honest mix: events decided a second",
    "honest_cpu_us": "honest mix: CPU µs an event",
    "deliver_per_s": "messages sent a second",
    "deliver_cpu_us": "CPU µs a message",
    "latency_p50_ms": "event to provider, p50 ms",
    "latency_p99_ms": "event to provider, p99 ms",
    "latency_cores": "cores used at that rate",
}
_WHY_OUTCOMES = (
    "[dim]A build also writes an outcome for what it does not send: `channel_off` for each channel, and where"
    " a limit and switched-off channels both stop an event it says `limit`.[/dim]"
)
Rounds = Mapping[str, Mapping[str, Sequence[float]]]
"""measurement -> contender -> one value a round."""


def ratios(rounds: Rounds) -> dict[str, float]:
    """Compare today with the others, round by round; the median of the rounds."""
    found = {}
    for name, ratio in RATIOS.items():
        ours = rounds.get(ratio.measurement, {}).get("today", ())
        theirs = rounds.get(ratio.measurement, {}).get(ratio.other, ())
        pairs = list(zip(ours, theirs, strict=False))
        if pairs:
            better = [our / other if ratio.more_is_better else other / our for our, other in pairs]
            found[name] = round(median(better), 2)
    return found


def rates(rounds: Rounds) -> dict[str, dict[str, float]]:
    """Give the median of the rounds for each measurement and contender."""
    return {
        measurement: {name: round(median(values), 2) for name, values in contenders.items()}
        for measurement, contenders in rounds.items()
    }


def mistakes(expected: Mapping[str, int], found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say which contender did not make the decisions of the rules, in numbers."""
    right = sum(expected.get(channel, 0) for channel in ("push", "email", "inapp"))
    return [
        f"{name} wrote {counts['records']} records, the rules give {right}"
        for name, counts in found.items()
        if counts["records"] != right
    ]


def differences(found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Say which builds wrote another number of records for the same events."""
    counts = {name: ends["records"] for name, ends in found.items()}
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    return [f"honest mix: records differ: {told}"] if len(set(counts.values())) > 1 else []


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print rates, ratios and decisions as tables."""
    console.print(_rates_table(report["rates"]), _ratios_table(report["ratios"]))
    if (decisions := report["decisions"])["found"]:
        console.print(_decisions_table(decisions["expected"], decisions["found"]))
        console.print(_decisions_table({}, decisions["honest"]))
        console.print(_WHY_OUTCOMES)
    for mistake in report["mistakes"]:
        console.print(f"[red]✗[/red] {mistake}")
    for name, value in {**report["machine"], **report["parameters"]}.items():
        console.print(f"[dim]{name}: {value}[/dim]")


def _rates_table(found: Mapping[str, Mapping[str, float]]) -> Table:
    contenders = list(dict.fromkeys(name for values in found.values() for name in values))
    table = Table("", *contenders, title="Rates: medians of the rounds")
    for measurement, values in found.items():
        cells = [f"{values[name]:,.1f}" if name in values else "" for name in contenders]
        table.add_row(_MEANING[measurement], *cells)
    return table


def _ratios_table(found: Mapping[str, float]) -> Table:
    table = Table("ratio", "", title="Above 1 this build is better")
    for name, value in found.items():
        table.add_row(name, f"[{'green' if value >= 1 else 'red'}]{value:.2f}")
    return table


def _decisions_table(expected: Mapping[str, int], found: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table("who", "decisions", title="Decisions, by number")
    table.add_row("rules", _listed(expected.items()))
    for name, counts in found.items():
        table.add_row(name, _listed(counts.items()))
    return table


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts))
