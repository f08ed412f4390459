"""Preferences once more, in plain Python, as docs/rules.md states them: no keys and nothing compiled."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

LEVELS: Final = (
    "notification x channel",
    "notification",
    "category x channel",
    "category",
    "channel",
)
"""Narrow before wide."""
REASONS: Final = {level: f"{level.partition(' ')[0]}_off" for level in LEVELS}
NARROWER: Final[Mapping[str, tuple[str, ...]]] = {
    "notification x channel": (),
    "notification": ("notification x channel",),
    "category x channel": ("notification x channel",),
    "category": ("category x channel", "notification", "notification x channel"),
    "channel": ("category x channel", "notification x channel"),
}


class Groups(Protocol):
    """What somebody has chosen."""

    channels: dict[str, bool]
    categories: dict[str, Any]
    notifications: dict[str, Any]


class Choices:
    """What a user says about one notification."""

    def __init__(self, groups: Groups, notice: Mapping[str, Any]) -> None:
        self.name, self.category = notice["name"], notice["category"]
        self._groups = groups

    def says(self, level: str, channel: str = "") -> bool | None:
        """Return what is chosen at a level; None for nothing."""
        return said(self._groups.__dict__, level, self.name, self.category, channel)


class Defaults:
    """What the defaults of a tenant say about one notification to one user."""

    def __init__(self, defaults: Mapping[str, Any], chosen: Choices) -> None:
        self._defaults, self._chosen = defaults, chosen

    def refusal(self, channel: str) -> str:
        """Return why the defaults refuse a channel; empty if they do not."""
        no = [level for level in LEVELS if self._is_no(level, channel)]
        kept = [level for level in no if not self._is_outweighed(level, channel)]
        return REASONS[kept[0]] if kept else ""

    def refusal_of_all(self, channels: Iterable[str]) -> str:
        """Return why the defaults refuse the notification as a whole; empty if they do not."""
        names = list(channels)
        for level in ("notification", "category"):
            no = all(self._is_no(level, one) for one in names)
            if no and not any(self._is_outweighed(level, one) for one in names):
                return REASONS[level]
        return ""

    def _is_no(self, level: str, channel: str) -> bool:
        narrower = [self._default(one, channel) for one in NARROWER[level]]
        return self._default(level, channel) is False and True not in narrower

    def _default(self, level: str, channel: str) -> bool | None:
        return said(self._defaults, level, self._chosen.name, self._chosen.category, channel)

    def _is_outweighed(self, level: str, channel: str) -> bool:
        return any(self._chosen.says(one, channel) for one in _outweighing(level))


def _outweighing(level: str) -> Iterator[str]:
    yield level
    yield level.partition(" ")[0]  # the whole switch that a channel of it is a part of
    yield from NARROWER[level]


def said(groups: Mapping[str, Any], level: str, name: str, category: str, channel: str) -> bool | None:
    """Return what preferences say at a level; off on every channel is off as a whole."""
    if level == "channel":
        found: bool | None = groups.get("channels", {}).get(channel)
        return found
    kind, _, part = level.partition(" ")
    switches, key = ("notifications", name) if kind == "notification" else ("categories", category)
    switch = groups.get(switches, {}).get(key)
    if isinstance(switch, dict):
        return switch.get(channel) if part else None
    return None if part else switch
