"""Reports without a mark find their user in the send ledger, else in ClickHouse."""

import contextlib

import msgspec
import pytest
from pydantic import SecretStr

from dashboards import migrate, store
from tests.bounces.test_maildir import sent
from tests.bounces.world import SECRET
from tests.providers.samples import MARKS
from tocsin.app.settings import Settings
from tocsin.bounces.reader import LookupAwayError
from tocsin.cli.bounces_lookup import MessageLookup
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.formats.codec import encode
from tocsin.formats.marks import Marked
from tocsin.model.ids import digest, target_id
from tocsin.model.message import Message
from tocsin.model.outcome import Outcome

AWAY = "redis://127.0.0.1:1/0"
NOBODY = digest("nobody")


def outcome(message: Message) -> Outcome:
    return Outcome(
        outcome_id=digest("o", message.message_id),
        status="sent",
        tenant=message.tenant,
        user=message.user,
        notification_id=message.notification_id,
        message_id=message.message_id,
        channel=message.channel,
        target=target_id(message.target.address),
        notification=message.notification,
        category=message.category,
        origin=str(message.origin),
        at_ms=message.decided_ms,
    )


def wanted(message: Message) -> Marked | None:
    return MARKS.open(MARKS.of(message))


async def remember(url: str, message: Message) -> None:
    ledger = Ledger(LedgerPolicy(url, "tocsin."), "1" * 16)
    try:
        await ledger.claim(message)
        lines = [("o", encode(outcome(message)), ())]
        await ledger.finish(message, 1, lines, returned=False, unknown=False)
    finally:
        await ledger.close()


def store_rows(url: str, *messages: Message) -> None:
    migrate.migrate(url)
    columns = [name for name in Outcome.__struct_fields__ if name in _COLUMNS]
    with contextlib.closing(store.connect(url)) as client:
        rows = [[msgspec.structs.asdict(outcome(each))[name] for name in columns] for each in messages]
        client.insert("outcomes", rows, column_names=columns)


_COLUMNS = frozenset(
    {
        "outcome_id",
        "status",
        "tenant",
        "user",
        "notification_id",
        "message_id",
        "channel",
        "target",
        "notification",
        "category",
        "origin",
    }
)


def lookup(redis_at: str, clickhouse_at: str) -> MessageLookup:
    return MessageLookup(
        Settings(redis=redis_at, clickhouse=clickhouse_at, secret=SecretStr(SECRET.decode()))
    )


async def test_the_ledger_is_asked_and_clickhouse_for_the_rest(redis_db: str, clickhouse_db: str) -> None:
    await remember(redis_db, sent(1))
    store_rows(clickhouse_db, sent(2), sent(3))
    with contextlib.closing(lookup(redis_db, clickhouse_db)) as found:
        ids = [sent(1).message_id, sent(2).message_id, NOBODY]
        assert found.find(ids) == {each.message_id: wanted(each) for each in (sent(1), sent(2))}
    with contextlib.closing(lookup(redis_db, "http://127.0.0.1:1/none")) as found:
        assert found.find([sent(1).message_id]) == {sent(1).message_id: wanted(sent(1))}
        with pytest.raises(LookupAwayError):
            found.find([NOBODY])
    with contextlib.closing(lookup(AWAY, clickhouse_db)) as found:
        assert found.find([sent(3).message_id]) == {sent(3).message_id: wanted(sent(3))}
        with pytest.raises(LookupAwayError, match="Redis is away"):
            found.find([NOBODY])
