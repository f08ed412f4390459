"""Writes the table of docs/rules.md about defaults that are off and what a user says yes to.

`python -m tests.decision.preferences_table` rewrites it; `tests/decision/test_preferences_table.py` compares.
"""

from collections.abc import Mapping
from typing import Any, Final

from tests.decision.rules_table import PAGE
from tests.decision.test_preferences import verdicts

BEGIN, END = "<!-- preferences -->\n", "\n<!-- /preferences -->"
_CHANNEL: Final = "sms"
LEVELS: Final[Mapping[str, tuple[str, ...]]] = {
    "channel": ("channels", _CHANNEL),
    "category": ("categories", "a"),
    "category x channel": ("categories", "a", _CHANNEL),
    "notification": ("notifications", "n"),
    "notification x channel": ("notifications", "n", _CHANNEL),
}
"""Each level of preferences, wide before narrow, and its place in them."""


def at(path: tuple[str, ...], switch: bool) -> dict[str, Any]:
    """Write preferences with one switch."""
    found: Any = switch
    for name in reversed(path):
        found = {name: found}
    preferences: dict[str, Any] = found
    return preferences


def table() -> str:
    """Write the table: a row for each default, a column for each choice."""
    head = ["off by default", "nothing chosen", *(f"yes to the {level}" for level in LEVELS)]
    lines = [head, ["---"] * len(head)]
    for level, path in LEVELS.items():
        choices = [{}, *(at(chosen, True) for chosen in LEVELS.values())]
        lines.append([level, *(_said(choice, at(path, False)) for choice in choices)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _said(chosen: dict[str, Any], defaults: dict[str, Any]) -> str:
    whole, channels = verdicts(chosen, defaults)
    reason = whole or channels[_CHANNEL]
    return f"`{reason}`" if reason else "sent"


def page(text: str) -> str:
    """Put the table between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END.lstrip("\n"))[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
