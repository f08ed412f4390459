"""The boards: which panels stand on each, and what a page needs to draw them. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dashboards.queries import queries
from dashboards.query_file import BOARDS, Query
from dashboards.web.view import COMMON, View

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "overview": "Overview",
        "delivery": "Delivery",
        "providers": "Providers",
        "engagement": "Engagement",
        "decisions": "Decisions",
        "health": "Pipeline health",
    }
)


CHARTS = ("bars", "lines")


class Panel(NamedTuple):
    """A query on a page: its texts, how it is drawn, and the chosen filters that it does not know."""

    name: str
    title: str
    text: str
    kind: str
    unfiltered: str
    source: str
    wide: bool = False


def panels(board: str, view: View) -> list[Panel]:
    """List the panels of a board."""
    return spread([panel(query, view) for query in queries() if query.board == board])


def spread(found: list[Panel]) -> list[Panel]:
    """Give the whole width to each chart that has no neighbour; two stand side by side, tables alone."""
    placed: list[Panel] = []
    beside = False
    for at, each in enumerate(found):
        if each.kind not in CHARTS:
            placed.append(each)
            beside = False if each.kind == "table" else beside
            continue
        follows = next((other.kind for other in found[at + 1 :] if other.kind != "stat"), "table")
        placed.append(each._replace(wide=not beside and follows not in CHARTS))
        beside = not beside
    return placed


def panel(query: Query, view: View) -> Panel:
    """Describe a query on a page."""
    unknown = [name for name in COMMON if name in view.filters and name not in query.parameters]
    return Panel(
        name=query.name,
        title=query.title,
        text=query.text,
        kind=query.chart.kind,
        unfiltered=f"Not filtered by {' or '.join(unknown)}." if unknown else "",
        source=f"/api/query/{query.name}{view.query(without=unknown)}",
    )


def navigation(current: str, view: View) -> list[dict[str, Any]]:
    """List the boards with their addresses, which keep the time and the common filters."""
    dropped = [name for name in view.parameters() if name in view.filters and name not in COMMON] + ["rows"]
    return [
        {
            "title": TITLES[board],
            "address": f"/{board}{view.query(without=dropped)}",
            "here": board == current,
        }
        for board in BOARDS
    ]


def chips(path: str, view: View) -> list[dict[str, str]]:
    """List the filters that a number brought along, each with the address without it."""
    return [
        {"name": name.replace("_", " "), "value": value, "without": path + view.query(without=[name])}
        for name, value in view.filters.items()
        if name not in COMMON
    ]
