"""Reads what a page shows from its address: tenant, time and filters. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import msgspec

from dashboards.queries import DEFAULT_ROWS, FOREVER
from dashboards.query_file import FILTERS
from dashboards.web.problem import Problem
from tocsin.model.rfc3339 import CURE, rfc3339_ms

RANGES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "15m": ("Last 15 minutes", 900),
        "1h": ("Last hour", 3_600),
        "6h": ("Last 6 hours", 6 * 3_600),
        "24h": ("Last 24 hours", 86_400),
        "7d": ("Last 7 days", 7 * 86_400),
        "30d": ("Last 30 days", 30 * 86_400),
        "all": ("All of the time", 0),
    }
)
"""Ranges of time that end now: their labels and seconds."""
DEFAULT_RANGE = "24h"
EVERY_TENANT = "*"
COMMON = ("notification", "channel")
"""Filters that every page offers."""
MOST_ROWS = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 512
_TIMES = ("tenant", "range", "from", "to", "rows")


class Extent(msgspec.Struct, frozen=True):
    """When a tenant's first and last outcome happened, ms since 1970; both 0 where there is none."""

    oldest_ms: int = 0
    newest_ms: int = 0


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What a page shows.

    Attributes:
        tenant: whose outcomes; empty for those of all.
        span: a name of `RANGES`; empty where `from_ms` and `to_ms` are given.
        from_ms: first moment, ms since 1970 UTC. It and `to_ms` are at most what ClickHouse's DateTime has.
        to_ms: the moment after the last one.
        filters: further parameters of queries, none of them empty.
        rows: how many rows a list has at most.
    """

    tenant: str = "default"
    span: str = DEFAULT_RANGE
    from_ms: int = 0
    to_ms: int = 0
    filters: Mapping[str, str] = MappingProxyType({})
    rows: int = DEFAULT_ROWS

    def parameters(self) -> dict[str, str]:
        """Give the parameters of the address; those that say the default are left out."""
        named = {"tenant": "" if self.tenant == "default" else self.tenant or EVERY_TENANT}
        if self.span:
            named["range"] = self.span if self.span != DEFAULT_RANGE else ""
        else:
            named |= {"from": iso(self.from_ms), "to": iso(self.to_ms)}
        named["rows"] = str(self.rows) if self.rows != DEFAULT_ROWS else ""
        return {name: value for name, value in {**named, **self.filters}.items() if value}

    def query(self, without: Iterable[str] = (), **more: str) -> str:
        """Write the address's query with further filters and without some; empty if all is the default."""
        left = {name: value for name, value in self.parameters().items() if name not in set(without)}
        encoded = urlencode({**left, **more})
        return f"?{encoded}" if encoded else ""


def iso(ms: int) -> str:
    """Write a time as RFC 3339 in UTC, to the second.

    >>> iso(1_360_195_200_000)
    '2013-02-07T00:00:00Z'
    """
    return f"{_EPOCH + timedelta(milliseconds=ms):%Y-%m-%dT%H:%M:%SZ}"


def utc(ms: int) -> str:
    """Write a time for people, in UTC to the millisecond.

    >>> utc(1_360_195_200_007)
    '2013-02-07 00:00:00.007 UTC'
    """
    moment = _EPOCH + timedelta(milliseconds=ms)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} UTC"


def read_view(given: Iterable[tuple[str, str]], allowed: Iterable[str] = COMMON) -> View:
    """Read the parameters of an address; `allowed` are the filters that this page takes.

    Raises:
        Problem: a parameter is unknown, appears twice or has a value that cannot be; its field is named.
    """
    named = _once(given, {*_TIMES, *allowed})
    span, from_ms, to_ms = _time(named)
    return View(
        tenant=_tenant(named.get("tenant") or "default"),
        span=span,
        from_ms=from_ms,
        to_ms=to_ms,
        filters={name: value for name, value in named.items() if name in FILTERS and value},
        rows=_rows(named.get("rows") or str(DEFAULT_ROWS)),
    )


def bound(view: View, now_ms: int, extent: Extent) -> dict[str, Any]:
    """Bind a view to the parameters of the queries: relative ranges end at `now_ms`."""
    from_ms, to_ms = _bounds(view, now_ms, extent)
    return {
        "tenant": view.tenant,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "rows": view.rows,
        **view.filters,
    }


def whole(view: View, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Begin a range that ends now with a whole minute, hour or day of the rollup.

    Figures from rollups count whole units. So the rows that a figure leads to are those that it counts.
    """
    unit_ms = parameters["rollup_s"] * 1000 if view.span else 1
    return {**parameters, "from_ms": parameters["from_ms"] // unit_ms * unit_ms}


def _bounds(view: View, now_ms: int, extent: Extent) -> tuple[int, int]:
    if not view.span:
        return view.from_ms, view.to_ms
    if view.span == "all":
        return extent.oldest_ms, extent.newest_ms + 1
    return now_ms - RANGES[view.span][1] * 1000, now_ms


def _once(given: Iterable[tuple[str, str]], allowed: set[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for name, value in given:
        if name not in allowed:
            raise Problem(400, f"there is no parameter of this name here; there are: {_list(allowed)}", name)
        if name in named:
            raise Problem(400, "appears twice; give it once", name)
        if len(value) > _LONGEST or not value.isprintable():
            raise Problem(400, f"must be at most {_LONGEST} printable characters", name)
        named[name] = value
    return named


def _time(named: Mapping[str, str]) -> tuple[str, int, int]:
    if not named.get("from") and not named.get("to"):
        span = named.get("range") or DEFAULT_RANGE
        if span not in RANGES:
            raise Problem(400, f"must be one of {', '.join(RANGES)}", "range")
        return span, 0, 0
    if named.get("range"):
        raise Problem(400, "give either a range, or from and to", "range")
    from_ms, to_ms = _moment(named, "from"), _moment(named, "to")
    if from_ms >= to_ms:
        raise Problem(400, "must be later than `from`", "to")
    return "", from_ms, to_ms


def _moment(named: Mapping[str, str], field: str) -> int:
    text = named.get(field, "")
    try:
        found = rfc3339_ms(text)
    except ValueError:
        raise Problem(400, f"must be a time: {CURE}", field) from None
    if found < 0:
        raise Problem(400, "must not lie before 1970", field)
    return min(found, FOREVER["to_ms"])


def _tenant(text: str) -> str:
    return "" if text == EVERY_TENANT else text


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= MOST_ROWS):
        raise Problem(400, f"must be a number from 1 to {MOST_ROWS}", "rows")
    return int(text)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
