"""`tocsin balance`: law 1 over what the topics and ClickHouse hold."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import typer
from clickhouse_connect.driver.client import Client
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from dashboards import store
from sources.reader import TopicReader
from tocsin.app.audit import Audit, Reconciliation
from tocsin.app.settings import Settings
from tocsin.catalog.loader import declared_topics
from tocsin.cli.output import FAULT, console, errors, print_json
from tocsin.errors import DecodeError
from tocsin.formats.batches import is_split
from tocsin.formats.body import is_tombstone
from tocsin.formats.codec import decode_message, decode_outcome
from tocsin.formats.forwarded import ORIGIN_HEADER
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord

_AT_ONCE = 2_000  # ids a question to ClickHouse: a question may have 256 KiB
_RECALLED = """
SELECT outcome_id, status, tenant, reason, origin, notification_id, message_id, channel, attempt, at_ms
FROM outcomes
WHERE {condition}
ORDER BY at_ms DESC, attempt DESC
"""
# Words older than the oldest event are those of a topic of the same name that is gone.
_OF_ORIGINS = "origin IN %(ids)s AND (received_ms = 0 OR received_ms >= %(since_ms)s)"
_OF_MESSAGES = "message_id IN %(ids)s"
_OF_DIGESTS = "notification_id IN %(ids)s"


def fill(
    audit: Audit,
    reader: TopicReader,
    group: str,
    say: "Progress | None" = None,
    declared: Sequence[str] = (),
) -> int:
    """Enter all that the topics hold, declared ones included; Kafka's time of the oldest event.

    Positions are read first and outcomes last: an event read before its outcome was written is then never
    called missing, and an outcome behind the tracked position is in ClickHouse or lost. What delivery and the
    tracker cannot decode is counted and passed over, as they do.
    """
    inputs = (topics.EVENTS, topics.BULK, *declared)
    durable = {name: reader.committed(group, name) for name in inputs}
    stored = reader.committed(group, topics.OUTCOMES)
    oldest_ms = 2**62
    for record in reader.read(*inputs):
        if _is_first_read(record):
            read = record.offset < durable[record.topic].get(record.partition, 0)
            oldest_ms = min(oldest_ms, record.timestamp_ms)
            audit.event(f"{record.topic}/{record.partition}/{record.offset}", read=read)
    _advance(say, "messages")
    for record in reader.read(*topics.MESSAGES):
        _enter_message(audit, record)
    _advance(say, "outcomes")
    for record in reader.read(topics.OUTCOMES):
        _enter_outcome(audit, record, tracked=record.offset < stored.get(record.partition, 0))
    return oldest_ms


def _is_first_read(record: RawRecord) -> bool:
    """Tell whether a record is an event: no forwarded copy, and no batch that was taken apart."""
    if topics.is_declared(record.topic):
        return not is_tombstone(record)
    if is_split(record):
        return False
    return not any(header == ORIGIN_HEADER for header, _ in record.headers)


def _enter_message(audit: Audit, record: RawRecord) -> None:
    try:
        audit.message(decode_message(record).message_id)
    except DecodeError:
        audit.undecodable()


def _enter_outcome(audit: Audit, record: RawRecord, *, tracked: bool) -> None:
    try:
        audit.outcome(decode_outcome(record), tracked=tracked)
    except DecodeError:
        audit.undecodable()


def _advance(say: "Progress | None", what: str) -> None:
    if say is not None:
        say.update(say.task_ids[0], description=f"reading {what}")


def recall(audit: Audit, client: Client, since_ms: int) -> None:
    """Enter what ClickHouse holds of what the topics leave unexplained; the oldest event is of `since_ms`."""
    conditions = (_OF_ORIGINS, _OF_MESSAGES, _OF_DIGESTS)
    for condition, ids in zip(conditions, map(sorted, audit.unexplained()), strict=True):
        for at in range(0, len(ids), _AT_ONCE):
            bound = {"ids": tuple(ids[at : at + _AT_ONCE]), "since_ms": since_ms}
            for row in client.query(_RECALLED.format(condition=condition), parameters=bound).named_results():
                audit.recall(Outcome(**row))


def stored_ids(client: Client) -> set[str]:
    """Return the outcome ids that ClickHouse has."""
    with client.query_rows_stream("SELECT DISTINCT outcome_id FROM outcomes") as rows:
        return {row[0] for row in rows}


def stored_rows(url: str) -> int:
    """Count the outcomes that ClickHouse holds, without copies."""
    with store.connect(url) as client:
        return int(client.query("SELECT count() FROM outcomes FINAL").result_rows[0][0])


def draw(settings: Settings, *, clickhouse: bool = True, say: "Progress | None" = None) -> Reconciliation:
    """Read everything once and draw the balance.

    Topics lose their oldest records at different times. If some outcomes are gone, ClickHouse is asked for
    the words of events and messages that are left without one; unasked, it is those that are not judged.
    """
    audit = Audit()
    with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        group, declared = topics.shard_group(settings.topic_prefix), declared_topics(settings.catalog)
        since_ms = fill(audit, reader, group, say, [topics.declared(topic) for topic in declared])
        whole = all(first == 0 for first, _ in reader.bounds(topics.OUTCOMES).values())
    if not clickhouse:
        return audit.reconcile(whole=whole)
    with store.connect(settings.clickhouse) as client:
        if not whole:
            recall(audit, client, since_ms)
        return audit.reconcile(stored_ids(client))


def balance(
    *,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    clickhouse: Annotated[bool, typer.Option(help="compare with what ClickHouse holds")] = True,
) -> None:
    """Audit all events: read = finished + held + in flight, nothing missing, nothing doubled."""
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


_LABELS: Final = {"settled": "finished", "in_flight": "in flight"}


def show(drawn: Reconciliation) -> None:
    """Print the audit for a person."""
    table = Table(title="Audit", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    for name in ("events", "settled", "held", "in_flight", "unread"):
        table.add_row(_LABELS.get(name, name), f"{getattr(drawn, name):,}")
    if drawn.waiting:
        table.add_row("waiting for ClickHouse", f"{drawn.waiting:,}")
    if drawn.recalled:
        table.add_row("outcomes only ClickHouse has", f"{drawn.recalled:,}")
    if drawn.unjudged:
        table.add_row("not judged", f"{drawn.unjudged:,}")
    if drawn.resent:
        table.add_row("sent again after unknown", f"{len(drawn.resent):,}")
    if drawn.undecodable:
        table.add_row("undecodable, passed over", f"{drawn.undecodable:,}")
    for status, count in sorted(drawn.words.items()):
        table.add_row(Text.assemble(("outcomes", "dim"), f" {status}"), f"{count:,}")
    console.print(table)
    if drawn.unjudged:
        console.print(
            "not judged: events and messages without an outcome. Kafka may have deleted it; "
            "run again without --no-clickhouse",
            soft_wrap=True,
        )
    if drawn.error:
        for sentence in drawn.sentences():
            console.print(Text.assemble(("✗", "red"), f" {sentence}"), soft_wrap=True)
    else:
        judged = ", of what is judged" if drawn.unjudged else ""
        twice = "no final outcome" if drawn.resent else "nothing"
        console.print(f"[green]✓[/green] balanced: nothing lost, {twice} twice{judged}")
    for notice in drawn.notices():
        console.print(Text.assemble(("!", "yellow"), f" {notice}"), soft_wrap=True)
