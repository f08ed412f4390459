"""Plays the timelines of docs/catalog.md: what happens to one user, line by line, as people read it.

A section has YAML blocks, each a file of a catalog, and timelines that are played on it. A line of a timeline
is an input (`event`, `profile`, `receipt`, or `failed` for the newest message of a channel), or an outcome
that follows from the inputs above it:

    Mon 22:10 event order.shipped {"order": 7}
    Mon 22:10 held * quiet_hours until Tue 07:00
    Tue 07:00 admitted email

Outcomes are all that there are, in order. Times are UTC; days are those of one week, or dates.
"""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import yaml

from tests.decision.gate_world import DAY, NOON, SMALL, World, profile
from tocsin.catalog.loader import check, load
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Profile

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONDAY: Final = NOON - NOON % DAY - DAY
"""The small world starts on a Tuesday at noon."""
_AT: Final = rf"(?P<day>{'|'.join(DAYS)}|\d{{4}}-\d\d-\d\d) (?P<time>\d\d:\d\d(?::\d\d)?)"
_LINE: Final = re.compile(rf"{_AT} (?P<what>\S+) ?(?P<rest>.*)")
_UNTIL: Final = re.compile(rf"(?P<before>.*) until {_AT}")
_FILE: Final = re.compile(r"```yaml\n# (?P<path>[\w/.-]+)\n(?P<text>.*?)```", re.DOTALL)
_TIMELINE: Final = re.compile(r"```\n(?P<text>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|\d{4}-).*?)```", re.DOTALL)
_INPUTS: Final = frozenset({"event", "profile", "receipt", "failed"})
_TENANT: Final = """\
categories: {security: {required: true}, updates: {}, offers: {marketing: true}}
limits: []
"""


class Line(NamedTuple):
    """One line: its time in ms, its first word, and the rest."""

    at_ms: int
    what: str
    rest: str


def sections(page: str) -> Iterator[tuple[str, str]]:
    """Yield the title and text of each section of a page."""
    for section in page.split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        yield title, text


def write_catalog(text: str, folder: Path) -> bool:
    """Write the files of a section's YAML blocks as a catalog; return whether it has any."""
    files = {found["path"]: found["text"] for found in _FILE.finditer(text)}
    for path, content in {"tenants/default.yaml": _TENANT, **files}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
        if "notifications/" in path:
            _write_templates(content, folder)
            _write_attachments(content, folder)
    return bool(files)


def _write_templates(notifications: str, folder: Path) -> None:
    """Give each notification a template that fits every channel."""
    for name, notice in yaml.safe_load(notifications).items():
        arms = [arm.get("template") for arm in (notice or {}).get("variants", ())]
        for template in {(notice or {}).get("template") or name, *filter(None, arms)}:
            place = folder / "templates" / template
            if not place.exists():
                shutil.copytree(SMALL / "templates" / "plain", place)


def _write_attachments(notifications: str, folder: Path) -> None:
    """Make the files that mails bring."""
    (folder / "attachments").mkdir(exist_ok=True)
    for notice in yaml.safe_load(notifications).values():
        for attachment in (notice or {}).get("attachments", ()):
            if "file" in attachment:
                (folder / "attachments" / attachment["file"]).write_bytes(b"x")


def timelines(text: str) -> list[str]:
    """List the timelines of a section."""
    return [found["text"] for found in _TIMELINE.finditer(text)]


def faults(folder: Path) -> list[str]:
    """List what `tocsin check` says of a section's catalog."""
    return [str(fault) for fault in check(folder)]


def play(timeline: str, folder: Path) -> tuple[list[str], list[str]]:
    """Play a timeline.

    Returns:
        The outcomes that the page shows, and those that came, in the same form.
    """
    world = World("default", catalog=load(folder))
    world.gate.context.policy = msgspec.structs.replace(world.gate.policy, dedup_window_ms=DAY)
    lines = [_line(text) for text in timeline.splitlines() if text.strip()]
    world.profile(profile(), at=lines[0].at_ms - NOON)
    shown: list[str] = []
    for line in lines:
        if line.what in _INPUTS:
            _act(world, line)
        else:
            shown.append(_normal(line))
    world.advance(lines[-1].at_ms + 999 - NOON)
    likes = chain(shown, repeat(""))
    return shown, [_told(outcome, like) for outcome, like in zip(world.outcomes, likes, strict=False)]


def _told(outcome: Outcome, like: str) -> str:
    """Tell an outcome as the page does; the page may leave out until when something is held."""
    told = f"{_spelled(outcome.at_ms)} {outcome.status} {outcome.channel}"
    if outcome.reason:
        told += f" {outcome.reason}"
    due_ms = outcome.detail.get("due_ms")
    return f"{told} until {_spelled(int(due_ms))}" if due_ms and " until " in like else told


def _act(world: World, line: Line) -> None:
    at, (name, _, text) = line.at_ms - NOON, line.rest.partition(" ")
    if line.what == "event":
        world.event(name, at=at, data=json.loads(text or "{}"))
    elif line.what == "failed":
        world.advance(at)
        world.failed([one for one in world.messages if one.channel == line.rest][-1], at=at)
    elif line.what == "receipt":
        _report(world, name, at, json.loads(text or "{}"))
    else:
        changes = msgspec.convert(json.loads(line.rest), Profile)
        own = {key: getattr(changes, key) for key in json.loads(line.rest)}
        world.profile(profile(**own), at=at)


def _report(world: World, kind: str, at: int, fields: dict[str, str]) -> None:
    """Give a receipt; one that names a channel and nothing else is about the newest message there."""
    world.advance(at)
    newest = [one for one in world.messages if one.channel == fields.get("channel")][-1:]
    for one in newest if fields.keys() == {"channel"} else ():
        ids = {"notification_id": one.notification_id, "message_id": one.message_id}
        fields |= {**ids, "notification": one.notification, "category": one.category}
    world.receipt(kind, at=at, **fields)


def _line(text: str) -> Line:
    found = _LINE.fullmatch(" ".join(text.split()))
    assert found, f"not a line of a timeline: {text}"
    return Line(_moment(found["day"], found["time"]), found["what"], found["rest"])


def _normal(line: Line) -> str:
    rest, until = line.rest, ""
    if found := _UNTIL.fullmatch(rest):
        rest, until = found["before"], f" until {_spelled(_moment(found['day'], found['time']))}"
    return f"{_spelled(line.at_ms)} {line.what} {rest}{until}"


def _moment(day: str, time: str) -> int:
    hours, minutes, *seconds = (int(part) for part in time.split(":"))
    ms = ((hours * 60 + minutes) * 60 + sum(seconds)) * 1_000
    if day in DAYS:
        return _MONDAY + DAYS.index(day) * DAY + ms
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1_000) + ms


def _spelled(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1_000, UTC):%Y-%m-%d %H:%M:%S}"
