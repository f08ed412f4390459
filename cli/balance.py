"""`tocsin balance`: law 1 over what the topics and ClickHouse hold."""

from typing import Annotated

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from cli.output import FAULT, console, errors, print_json
from core.balance import Balance, Books
from core.codec import decode_message, decode_outcome
from core.errors import DecodeError
from dashboards import store
from flows.settings import Settings
from models import topics
from models.raw import RawRecord
from operators.decode import ORIGIN_HEADER
from sources.reader import TopicReader


def fill(books: Books, reader: TopicReader, group: str, say: "Progress | None" = None) -> None:
    """Enter all that the topics hold.

    Positions are read first and outcomes last: an event read before its outcome was written is then never
    called missing, and an outcome behind the tracked position is in ClickHouse or lost. What delivery and the
    tracker cannot decode is counted and passed over, as they do.
    """
    durable = {name: reader.committed(group, name) for name in (topics.EVENTS, topics.BULK)}
    stored = reader.committed(group, topics.OUTCOMES)
    for record in reader.read(topics.EVENTS, topics.BULK):
        if not any(header == ORIGIN_HEADER for header, _ in record.headers):
            read = record.offset < durable[record.topic].get(record.partition, 0)
            books.event(f"{record.topic}/{record.partition}/{record.offset}", read=read)
    _advance(say, "messages")
    for record in reader.read(*topics.MESSAGES):
        _enter_message(books, record)
    _advance(say, "outcomes")
    for record in reader.read(topics.OUTCOMES):
        _enter_outcome(books, record, tracked=record.offset < stored.get(record.partition, 0))


def _enter_message(books: Books, record: RawRecord) -> None:
    try:
        books.message(decode_message(record).message_id)
    except DecodeError:
        books.undecodable()


def _enter_outcome(books: Books, record: RawRecord, *, tracked: bool) -> None:
    try:
        books.outcome(decode_outcome(record), tracked=tracked)
    except DecodeError:
        books.undecodable()


def _advance(say: "Progress | None", what: str) -> None:
    if say is not None:
        say.update(say.task_ids[0], description=f"reading {what}")


def stored_ids(url: str) -> set[str]:
    """Outcome ids that ClickHouse holds."""
    with (
        store.connect(url) as client,
        client.query_rows_stream("SELECT DISTINCT outcome_id FROM outcomes") as rows,
    ):
        return {row[0] for row in rows}


def stored_rows(url: str) -> int:
    """Count the outcomes that ClickHouse holds, without copies."""
    with store.connect(url) as client:
        return int(client.query("SELECT count() FROM outcomes FINAL").result_rows[0][0])


def draw(settings: Settings, *, clickhouse: bool = True, say: "Progress | None" = None) -> Balance:
    """Read everything once and draw the balance."""
    books = Books()
    with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        fill(books, reader, topics.shard_group(settings.topic_prefix), say)
    return books.balance(stored_ids(settings.clickhouse) if clickhouse else None)


def balance(
    *,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    clickhouse: Annotated[bool, typer.Option(help="compare with what ClickHouse holds")] = True,
) -> None:
    """Balance the books: in = final words + held + in flight, nothing missing, nothing doubled."""
    settings = Settings()
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=errors, transient=True) as say:
        say.add_task("reading events")
        drawn = draw(settings, clickhouse=clickhouse, say=say)
    if json:
        print_json({**msgspec.to_builtins(drawn), "balance_error": drawn.error})
    else:
        show(drawn)
    if drawn.error:
        raise typer.Exit(FAULT)


def show(drawn: Balance) -> None:
    """Print the books for a person."""
    table = Table(title="The books", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    for name in ("events", "settled", "held", "in_flight", "unread"):
        table.add_row(name.replace("_", " "), f"{getattr(drawn, name):,}")
    if drawn.waiting:
        table.add_row("waiting for ClickHouse", f"{drawn.waiting:,}")
    if drawn.undecodable:
        table.add_row("undecodable, passed over", f"{drawn.undecodable:,}")
    for status, count in sorted(drawn.words.items()):
        table.add_row(Text.assemble(("outcomes", "dim"), f" {status}"), f"{count:,}")
    console.print(table)
    if drawn.error:
        for sentence in drawn.sentences():
            console.print(Text.assemble(("✗", "red"), f" {sentence}"), soft_wrap=True)
    else:
        console.print("[green]✓[/green] balanced: nothing lost, nothing twice")
