"""Writes the table of docs/rules.md from the registry of the rules and the causes that their tests use.

`python -m tests.decision.rules_table` rewrites it; `tests/decision/test_rules_table.py` compares.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import yaml

from tests.decision.causes import CAUSES, DIGEST, PART, RETURNED, Cause, caused
from tests.decision.gate_world import SMALL
from tocsin.catalog.compile import CompiledNotification, compile_tenant
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.decision.evaluation import Evaluation, Rule, Stage
from tocsin.decision.rules import NEW, ORDER, Entry, Level, bind

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "rules.md"
BEGIN, END = "<!-- rules -->\n", "\n<!-- /rules -->"
_HEAD = (
    "| new | digest | part | returned | rule | asked about | objects because | verdict, reason | reads "
    "| critical passes | required passes |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
_READS: Final[Mapping[str, str]] = {
    "now_ms": "",
    "stage": "",
    "subject": "event",
    "expires_ms": "expiry",
    "not_before_ms": "time asked for",
    "waited_for": "",
    "state.keys": "dedup keys",
    "state.declared": "",
    "state.counts": "counters",
    "state.holds": "what is held",
    "state.engaged": "receipts",
    "state.cancelled": "cancel events",
    "recipient.switched_off": "preferences",
    "recipient.switched_on": "preferences",
    "recipient.snoozed_until_ms": "snooze",
    "recipient.blocked": "blocks",
    "recipient.timezone": "time zone",
    "recipient.quiet_hours": "quiet hours",
    "contact_point": "contact points",
    "contact_point.key": "contact points",
    "contact_point.registered_ms": "contact points",
    "notification.dedup_window_ms": "catalog",
    "notification.off_notification": "catalog",
    "notification.off_category": "catalog",
    "notification.off_by_default": "catalog",
    "notification.inactive": "catalog",
    "notification.caps": "catalog",
    "notification.at": "catalog",
    "notification.critical": "catalog",
    "notification.digest": "catalog",
    "notification.send_window": "catalog",
    "notification.snooze_drops": "catalog",
    "notification.required": "catalog",
    "channel": "",
    "channel.off_channel": "catalog",
    "channel.off_category": "catalog",
    "channel.off_notification": "catalog",
    "channel.off_by_default": "catalog",
    "channel.caps": "catalog",
    "channel.name": "",
    "channel.window": "catalog",
    "recipient.contact_points": "contact points",
}
"""What a rule reads of an evaluation, as the page names it. A field that is missing here fails the test."""
_PARTS = frozenset({"state", "recipient", "notification", "channel", "contact_point"})


class _Watched:
    """An evaluation, or a part of it, that notes which fields are read."""

    def __init__(self, inner: object, found: set[str], path: str = "") -> None:
        self._inner, self._found, self._path = inner, found, path

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not self._path and name in _PARTS and value is not None:
            return _Watched(value, self._found, f"{name}.")
        self._found.add(f"{self._path}{name}")
        return value


def table() -> str:
    """Write the table: one row for each cause, in the order in which a new notification meets them."""
    by_level = sorted(ORDER, key=lambda one: _LEVELS[one.level])
    new = [entry for entry in by_level if entry.stages & NEW]
    digest = [entry for entry in by_level if DIGEST in entry.stages]
    part = [entry for entry in by_level if PART in entry.stages]
    returned = [entry for entry in ORDER if RETURNED in entry.stages]
    rows = [
        _row(cause, entry, [_place(entry, order) for order in (new, digest, part, returned)])
        for entry in dict.fromkeys((*new, *digest, *part, *returned))
        for cause in CAUSES
        if cause.rule is entry.rule
    ]
    return "\n".join([_HEAD, *rows])


_LEVELS = {level: number for number, level in enumerate(Level)}


def _place(entry: Entry, order: list[Entry]) -> str:
    return str(order.index(entry) + 1) if entry in order else ""


def _row(cause: Cause, entry: Entry, places: list[str]) -> str:
    if entry.stages == {Stage.EVENT}:
        places[0] += ", events only"
    verdict = cause.verdict
    assert verdict is not None, "a cause has an effect"
    said = type(verdict).__name__.lower() + (f", `{verdict.reason}`" if verdict.reason else "")
    unnamed = reads_of(cause) - _READS.keys()
    assert not unnamed, f"say in _READS how the page names {sorted(unnamed)}"
    reads = ", ".join(dict.fromkeys(_READS[name] for name in sorted(reads_of(cause)) if _READS[name]))
    passes = ["yes" if _passes(cause, variant) else "no" for variant in ("critical", "required")]
    cells = [*places, f"`{entry.rule.__name__}`", entry.level, cause.why, said, reads, *passes]
    return f"| {' | '.join(cells)} |"


def reads_of(cause: Cause) -> set[str]:
    """List the fields that a rule reads until it objects."""
    found: set[str] = set()
    cause.rule(cast(Evaluation, _Watched(caused(cause, cause.stages[0]), found)))
    return found


def _passes(cause: Cause, variant: str) -> bool:
    """Tell whether the same notification passes if it is critical, or of a required category."""
    stage = cause.stages[0]
    found = caused(cause, stage)
    changed = found.notification = _variant(cause.notification, variant, inactive=found.notification.inactive)
    if found.channel is not None:
        found.channel = changed.channel(found.channel.name)
    return cause.rule not in _rules(changed, stage) or cause.rule(found) is None


def _rules(notification: CompiledNotification, stage: Stage) -> Iterator[Rule]:
    bound = bind(notification)[stage]
    yield from (*bound.whole, *bound.channel, *bound.target)


def _variant(name: str, variant: str, *, inactive: bool) -> CompiledNotification:
    """Compile a notification of the small catalog as critical, or its category as required."""
    notice = yaml.safe_load((SMALL / "notifications" / "all.yaml").read_text())[name]
    notice["on"] = notice.pop(True)  # YAML 1.1 reads a bare `on` as true
    tenant = yaml.safe_load((SMALL / "tenants" / "quiet.yaml").read_text())
    tenant["windows"] = {"email": {"start": "13:00", "end": "21:00"}}
    tenant["status"] = "inactive" if inactive else "active"
    if variant == "critical":
        notice["priority"] = "critical"
    else:
        tenant["categories"][notice["category"]] = {"required": True}
    specs = {name: NotificationSpec.model_validate(notice)}
    return compile_tenant("quiet", TenantSpec.model_validate(tenant), specs, "v").notifications[name]


def page(text: str) -> str:
    """Put the table between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
