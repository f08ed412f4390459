"""The loops of `tocsin bounces`: once over what is there, again and again, or as a listener."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from rich.progress import Progress

from tocsin.bounces.maildir import Maildir
from tocsin.bounces.reader import BounceReader, Finished, LookupAwayError
from tocsin.bounces.returned import Result
from tocsin.bounces.source import Source
from tocsin.cli.output import complain, console, errors, fail, print_json
from tocsin.errors import SinkError
from tocsin.formats.return_paths import ReturnPaths

POLL_S = 2.0
AWAY_S = 10.0
"""How long a follower waits when Kafka, the lookup or the mailbox is away."""

Found = Iterator[tuple[str, Finished]]


class Shown(NamedTuple):
    """What is printed.

    Attributes:
        json: objects instead of lines.
        each: something of each mail, not only the totals.
        progress: how far the reading is, on a terminal.
    """

    json: bool
    each: bool
    progress: bool


def read_once(
    source: Source,
    read: Callable[[BounceReader], Found],
    reader: BounceReader,
    shown: Shown,
    stop: threading.Event,
) -> None:
    """Read what is there. A server that is away ends the command with 1; what is left stays."""
    try:
        _show_all(_with_progress(source, read(reader), shown), shown, stop)
    except _away() as error:
        fail(f"{error}; the mails that are left stay where they are")


def follow_source(source: Source, reader: BounceReader, shown: Shown, stop: threading.Event) -> None:
    """Read what is there and what comes, until `stop`. While a server is away, the mails wait."""
    while not stop.is_set():
        try:
            _show_all(source.read(reader), shown, stop)
            source.wait(stop, POLL_S)
        except _away() as error:
            complain(f"{error}; tried again in {AWAY_S:.0f} s")
            source.forget()
            stop.wait(AWAY_S)


def listen(
    url: str,
    reader: BounceReader,
    paths: ReturnPaths,
    accepted: frozenset[str],
    quarantine: Maildir,
    shown: Shown,
    stop: threading.Event,
) -> None:
    """Take mails until `stop`.

    Raises:
        SettingsError: the address has another form, or is taken.
    """
    from tocsin.bounces.listener import Listener, read_listen

    at = read_listen(url)

    async def run() -> None:
        listener = Listener(
            reader, paths, accepted, quarantine, now_ms, lambda name, done: show(name, done, shown)
        )
        server = await listener.start(at)
        port = server.sockets[0].getsockname()[1]
        errors.print(f"listening at {at.protocol}://{at.host}:{port}", soft_wrap=True)
        await asyncio.to_thread(stop.wait)
        server.close()

    asyncio.run(run())


def _away() -> tuple[type[Exception], ...]:
    """Name what is raised while a server is away; the client of IMAP is an extra."""
    ours: tuple[type[Exception], ...] = (LookupAwayError, SinkError)
    try:
        from tocsin.bounces.imap import IMAP_ERRORS
    except ImportError:
        return (*ours, OSError)
    return (*ours, *IMAP_ERRORS)


def _with_progress(source: Source, found: Found, shown: Shown) -> Found:
    if not (shown.progress and errors.is_terminal):
        yield from found
        return
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task("reading", total=None)
        for number, one in enumerate(found, 1):
            progress.update(task, completed=number, total=number + source.waiting())
            yield one


def _show_all(found: Found, shown: Shown, stop: threading.Event) -> None:
    for name, finished in found:
        show(name, finished, shown)
        if stop.is_set():
            return


def show(name: str, finished: Finished, shown: Shown) -> None:
    """Print what one mail was, if each is shown."""
    if shown.json:
        print_json(described(name, finished))
    elif shown.each:
        what = described(name, finished)
        fields = ("mail", "result", "verdict", "code", "message_id")
        console.print(" ".join(str(what[field]) for field in fields).rstrip(), soft_wrap=True, markup=False)


def described(name: str, finished: Finished) -> dict[str, object]:
    """Say what one mail was, without an address."""
    returned, named = finished
    return {
        "mail": name,
        "result": returned.result.value,
        "kind": returned.kind if named else "",
        "verdict": returned.verdict.value if returned.verdict else "",
        "code": returned.code,
        "message_id": returned.message_id,
        "tenant": named.tenant if named else "",
        "user": named.user if named else "",
        "notification": named.notification if named else "",
        "at_ms": returned.at_ms,
    }


def say_totals(reader: BounceReader, *, json: bool) -> None:
    """Print how many mails were read, by what became of them."""
    counts = {result.value: reader.counts[result.value] for result in Result if reader.counts[result.value]}
    if json:
        print_json({"mails": sum(counts.values()), "results": counts})
        return
    said = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in counts.items())
    console.print(f"{sum(counts.values())} mails: {said or 'nothing new'}", soft_wrap=True)


def now_ms() -> int:
    """Return the wall time."""
    return time.time_ns() // 1_000_000
