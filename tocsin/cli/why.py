"""`tocsin why`: the story of a notification, message, event or user."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from dashboards import store
from dashboards.story import LIMIT, Story, find, tenants_of
from dashboards.story_parts import Step
from tocsin.app import addresses
from tocsin.cli.output import FAULT, console, fail, print_json, print_table
from tocsin.model.explanations import moment
from tocsin.model.zones import resolve

_COLOURS: Final = {
    "waiting": "cyan",
    "sent": "green",
    "delivered": "green",
    "opened": "green",
    "clicked": "green",
    "read": "green",
    "finished": "green",
    "suppressed": "yellow",
    "expired": "yellow",
    "held": "cyan",
    "dead": "red",
    "bounced": "red",
    "complained": "red",
    "retrying": "magenta",
}
_LONGEST_MS: Final = 100_000_000_000
"""Numbers of ms below are durations; 3 March 1973 as a time."""
_NEITHER: Final = "name a notification, message, event, origin or user; or a user by --user"


def why(
    subject: Annotated[
        str,
        typer.Argument(
            help="id of a notification, message or event, an origin topic/partition/offset, or a user"
        ),
    ] = "",
    *,
    user: Annotated[str, typer.Option(help="a user, where an event or something else has the same id")] = "",
    tenant: Annotated[str, typer.Option(help="tenant")] = "default",
    limit: Annotated[int, typer.Option(min=1, help="largest number of stories, the newest first")] = LIMIT,
    zone: Annotated[str, typer.Option(help="time zone of the times; the user's own where it is known")] = "",
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Tell the story of an event: what matched, each rule, each wait, each attempt and receipt."""
    if not subject and not user:
        fail(_NEITHER, code=2)
    if zone and not resolve(zone):
        fail(f"--zone: there is no time zone {zone}; name one of IANA, like Europe/Vienna", code=2)
    with store.connect(addresses.clickhouse()) as client:
        kind = "user" if user else ""
        stories = find(client, user or subject, tenant, kind=kind, limit=limit, zone=resolve(zone))
        elsewhere = [] if stories else tenants_of(client, user or subject)
    if not stories:
        fail(_unknown(user or subject, tenant, elsewhere), FAULT)
    if json:
        print_json({"subject": user or subject, "tenant": tenant, "stories": msgspec.to_builtins(stories)})
    else:
        show(stories, limit)


def _unknown(subject: str, tenant: str, elsewhere: Sequence[str]) -> str:
    """Say that nothing is known of a subject, and what may be the cause."""
    if elsewhere:
        other = elsewhere[0]
        return f"tenant {tenant} has no outcome of {subject}, but tenant {other} has: add --tenant {other}"
    return (
        f"ClickHouse has no outcome of {subject} for tenant {tenant}. The id of a notification or message has"
        " 32 hex digits, an origin is topic/partition/offset, events and users are named as they were sent."
        " Outcomes of the last seconds may still wait in Kafka: `tocsin balance` counts them. A record whose"
        " id cannot be read is found by its origin: `tocsin replay dead --stage decode --since 1h` shows such"
        " records, and writes nothing"
    )


def show(stories: Sequence[Story], limit: int) -> None:
    """Print stories for a person, values letter by letter."""
    for number, story in enumerate(stories):
        if number:
            console.print()
        tell_story(story)
    if len(stories) == limit:
        console.print(Text(f"\nThe newest {limit}; --limit shows more.", style="dim"))


def tell_story(story: Story) -> None:
    """Print one story: its heading, its names, what happened, what it waits for."""
    colour = _COLOURS.get(story.state, "blue")
    console.print(Text.assemble(("● ", colour), (story.heading, f"bold {colour}")), soft_wrap=True)
    console.print(Text(f"  {_names(story)}", style="dim"), soft_wrap=True)
    table = Table.grid(padding=(0, 2), pad_edge=True)
    for column in ("time", "status"):
        table.add_column(column, no_wrap=True, min_width=10)
    table.add_column("what", overflow="fold")
    for cells in _rows(story):
        table.add_row(*cells)
    print_table(table)
    for wait in story.waits:
        what = "It" if wait.channel == "*" else f"On {wait.channel} it"
        sentence = _without_zone(wait.sentence.removesuffix("."), story.zone)
        console.print(Text(f"  {what} {sentence}.", style="bold cyan"), soft_wrap=True)
    for link in story.links:
        console.print(Text(f"  → {link.sentence} `tocsin why {link.subject}`", style="blue"), soft_wrap=True)
    if story.dead is not None:
        console.print(
            Text(f"  {story.dead.sentence} Replay: `{story.dead.replay}`", style="red"), soft_wrap=True
        )


def _names(story: Story) -> str:
    names = {
        "tenant": story.tenant,
        "notification": story.subject if story.notification else "",
        "event": story.event_id,
        "origin": story.origin,
    }
    told = [f"{name} {value}" for name, value in names.items() if value]
    return " · ".join([*told, f"times of {story.zone}"])


def _rows(story: Story) -> Iterator[tuple[Text, Text, Text]]:
    """Give the time, status and text of each step. A day, and rules that passed, stand where they are new."""
    day: str = ""
    passed: Sequence[str] = ()
    for step in story.steps:
        date, _, clock = step.at.removesuffix(f" {story.zone}").rpartition(" ")
        when = f"  {date if date != day else ' ' * len(date)} {clock}"
        status = Text(step.status or step.kind, style=_COLOURS.get(step.status, "blue"))
        asked = step.passed if step.passed != passed else ()
        yield Text(when), status, Text("\n").join(_lines(step, asked, story.zone))
        day, passed = date, step.passed or passed


def _lines(step: Step, passed: Sequence[str], zone: str) -> Iterator[Text]:
    """Write a step: its sentence, then the rule, what passed before, and the numbers."""
    yield Text(_without_zone(step.sentence, zone))
    if step.rule:
        version = f", catalog {step.catalog_version}" if step.catalog_version else ""
        because = f"{step.reason}, " if step.reason not in ("", step.rule) else ""
        yield Text(f"{because}by the rule {step.rule}{version}", style="dim")
    elif step.reason:
        yield Text(step.reason, style="dim")
    if passed:
        yield Text(f"passed: {', '.join(passed)}", style="dim")
    # The sentence has the error in full.
    numbers = [number(name, value, zone) for name, value in step.numbers.items() if name != "error"]
    if numbers:
        yield Text(_without_zone(", ".join(numbers), zone), style="dim")


def _without_zone(text: str, zone: str) -> str:
    """Leave out the zone after each time: the heading names it.

    >>> _without_zone("The quiet hours in Asia/Tokyo end at 07:00:00 Asia/Tokyo.", "Asia/Tokyo")
    'The quiet hours in Asia/Tokyo end at 07:00:00.'
    """
    return re.sub(rf"(\d\d:\d\d:\d\d) {re.escape(zone)}\b", r"\1", text)


def number(name: str, value: object, zone: str) -> str:
    """Write a number of a decision; a time as a person reads it.

    >>> number("due_ms", 1_360_323_000_001, "UTC"), number("held_ms", 5_000, "UTC")
    ('due 2013-02-08 11:30:00 UTC', 'held_ms 5000')
    """
    if not name.endswith("_ms") or not isinstance(value, int) or value < _LONGEST_MS:
        return f"{name} {value}"
    return f"{name.removesuffix('_ms').replace('_', ' ')} {moment(value, zone)}"
