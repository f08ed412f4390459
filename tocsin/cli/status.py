"""`tocsin status`: what waits where, since when, and when it will be done."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flows.channels import known_channels
from sources.backlog import Backlog, BacklogReader, backlogs
from tocsin.app.process_look import AccountLoad, ProcessLook, account_loads, look_at
from tocsin.app.settings import Settings
from tocsin.cli.output import complain, console, fail, print_json, print_table
from tocsin.cli.query import JsonFlag
from tocsin.cli.times import span_s
from tocsin.errors import SourceError
from tocsin.model import topics

_MOST_SHARDS = 64
_UNIT_S = (("d", 86_400), ("h", 3_600), ("m", 60))


class Status(NamedTuple):
    """What was found: topics that are read, and accounts of the processes that answered."""

    over_s: float
    waiting: list[Backlog]
    processes: list[str]
    accounts: list[AccountLoad]


def status(
    *,
    over: Annotated[str, typer.Option(help="time between two looks, which rates are measured over")] = "5s",
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="address of a process's metrics, like http://10.0.0.7:9100/metrics; may be repeated;"
            " without it, the shards of this machine, from TOCSIN_HTTP_PORT on"
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="look again and again, until Ctrl-C")] = False,
    json: JsonFlag = False,
) -> None:
    """Show what waits in each topic and for each provider account, since when, and when it will be done."""
    try:
        over_s = span_s(over)
    except ValueError as error:
        fail(f"--over {over!r}: {error}", code=2)
    settings = Settings()
    if not watch:
        found = look(settings, over_s, at or ())
        if json:
            print_json(as_json(found))
        else:
            for table in tables(found):
                print_table(table)
            _say_who_answered(found, settings)
        return
    try:
        _watch(settings, over_s, at or (), json=json)
    except KeyboardInterrupt:
        return


def _watch(settings: Settings, over_s: int, at: Sequence[str], *, json: bool) -> None:
    if json:
        while True:
            print_json(as_json(look(settings, over_s, at)))
    with Live(Text("looking…"), console=console, auto_refresh=False) as live:
        while True:
            live.update(_page(look(settings, over_s, at)), refresh=True)


def look(settings: Settings, over_s: float, at: Sequence[str]) -> Status:
    """Look twice.

    Raises:
        SourceError: Kafka does not answer, or has no topics.
    """
    wanted = (*topics.GATE_INPUTS, *topics.messages_of(known_channels(settings)), *topics.TRACKED)
    with BacklogReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        counts = reader.partitions(wanted)
        if not counts:
            msg = f"there is no topic {settings.topic_prefix}… at {settings.kafka}; run: tocsin topics create"
            raise SourceError(msg)
        first, processes = reader.look(counts), _processes(settings, at)
        time.sleep(over_s)
        last, now_ms = reader.look(counts), int(time.time() * 1_000)
        waiting = backlogs(counts, first, last, reader.oldest_ms(last), now_ms)
    pairs = [(look, again) for url, look in processes.items() if (again := _asked(url)) is not None]
    return Status(last.at_s - first.at_s, waiting, list(processes), account_loads(pairs))


def _processes(settings: Settings, at: Sequence[str]) -> dict[str, ProcessLook]:
    """Ask the processes that are named, or the shards of this machine until one does not answer."""
    found: dict[str, ProcessLook] = {}
    for url in at:
        look = _asked(url)
        if look is None:
            complain(f"--at {url}: no process answers there")
        else:
            found[url] = look
    if at or not settings.http_port:
        return found
    for number in range(_MOST_SHARDS):
        url = f"http://127.0.0.1:{settings.http_port + number}/metrics"
        if (look := _asked(url)) is None:
            break
        found[url] = look
    return found


def _asked(url: str) -> ProcessLook | None:
    try:
        return look_at(url)
    except ValueError as error:
        fail(f"{url}: {error}; name the address of /metrics, like http://10.0.0.7:9100/metrics", code=2)


def part_of(topic: str) -> str:
    """Name the part of the pipeline that reads a topic.

    >>> part_of("events"), part_of("messages.sms.now"), part_of("outcomes")
    ('decide', 'deliver sms', 'track')
    """
    if channel := topics.channel_of(topic):
        return f"deliver {channel}"
    return "decide" if topic in topics.GATE_INPUTS else "track"


def as_json(found: Status) -> dict[str, Any]:
    """Give what was found as one JSON object; a time that nothing tells is null."""
    return {
        "over_s": round(found.over_s, 3),
        "topics": [
            {"part": part_of(each.topic), **msgspec.to_builtins(each), "drain_s": each.drain_s}
            for each in found.waiting
        ],
        "accounts": [{**msgspec.to_builtins(each), "drain_s": each.drain_s} for each in found.accounts],
        "processes": found.processes,
    }


def _page(found: Status) -> RenderableType:
    return Group(*tables(found))


def tables(found: Status) -> list[Table]:
    """Lay out what was found: the topics, and the accounts if a process answered."""
    return [_topics(found), *([_accounts(found.accounts)] if found.accounts else [])]


def _topics(found: Status) -> Table:
    table = _table(
        "Topics", "part", "topic", "waiting", "oldest", "finished/s", "written/s", "done in", words=2
    )
    for each in found.waiting:
        oldest = "" if each.oldest_s is None else span(each.oldest_s)
        rates = (f"{each.finished_per_s:,.1f}", f"{each.written_per_s:,.1f}")
        drain = _drain(each.waiting, each.drain_s)
        part = part_of(each.topic).partition(" ")[0]  # the topic names the channel
        table.add_row(part, each.topic, f"{each.waiting:,}", oldest, *rates, drain)
    return table


def _accounts(loads: Sequence[AccountLoad]) -> Table:
    names = ("account", "state", "waiting", "oldest", "at it", "taken/s", "failed/s", "limit/s", "done in")
    table = _table("Provider accounts", *names, words=2)
    for each in loads:
        state = Text(f"down in {each.down}", "red") if each.down else Text("up", "green")
        oldest = span(each.oldest_s) if each.waiting else ""
        limit = f"{each.limit_per_s:,.1f}" if each.limit_per_s else ""
        rates = (f"{each.taken_per_s:,.1f}", f"{each.failed_per_s:,.1f}", limit)
        drain = _drain(each.waiting, each.drain_s)
        table.add_row(each.account, state, f"{each.waiting:,}", oldest, f"{each.in_flight:,}", *rates, drain)
    return table


def _table(title: str, *names: str, words: int) -> Table:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number < words else "right", overflow="fold")
    return table


def _drain(waiting: int, drain_s: float | None) -> Text:
    if not waiting:
        return Text("nothing waits", "dim")
    return Text("does not shrink", "yellow") if drain_s is None else Text(span(drain_s))


def span(seconds: float) -> str:
    """Write a span of time in its two largest units.

    >>> span(0.25), span(75), span(7_260), span(200_000)
    ('0.2 s', '1 m 15 s', '2 h 1 m', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for number, (unit, size) in enumerate(_UNIT_S):
        if whole >= size:
            smaller, smaller_s = _UNIT_S[number + 1] if number + 1 < len(_UNIT_S) else ("s", 1)
            return f"{whole // size} {unit} {whole % size // smaller_s} {smaller}"
    raise AssertionError(seconds)


def _say_who_answered(found: Status, settings: Settings) -> None:
    if found.processes:
        console.print(f"accounts as {len(found.processes)} processes say", style="dim", soft_wrap=True)
        return
    where = f"from port {settings.http_port} on" if settings.http_port else "as TOCSIN_HTTP_PORT is 0"
    text = f"no process was asked about its accounts ({where}); name them: --at http://HOST:PORT/metrics"
    console.print(text, style="dim", soft_wrap=True)
