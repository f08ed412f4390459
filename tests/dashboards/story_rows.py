"""Rows of the table `outcomes` as ClickHouse returns them, made without it."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tocsin.model.outcome import Outcome

Rows = list[dict[str, Any]]


def row(status: str = "suppressed", **fields: Any) -> dict[str, Any]:
    """One outcome; each has an id of its own unless it is given."""
    made = Outcome(
        outcome_id="", status=status, tenant="default", at_ms=fields.pop("at_ms", 1_357_000_000_000)
    )
    whole = {name: getattr(made, name) for name in made.__struct_fields__} | fields
    detail = whole["detail"]
    whole["detail"] = detail if isinstance(detail, str) else json.dumps(detail)
    whole["outcome_id"] = fields.get("outcome_id") or json.dumps(whole, sort_keys=True)
    return whole


def row_of(outcome: Outcome) -> dict[str, Any]:
    """Return the row that an outcome becomes."""
    return row(**{name: getattr(outcome, name) for name in outcome.__struct_fields__})


def by_story(outcomes: Iterable[Outcome]) -> dict[str, Rows]:
    """Group outcomes by notification, or by event where there is none."""
    groups: defaultdict[str, Rows] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.notification_id or outcome.origin].append(row_of(outcome))
    return dict(groups)
