"""`tocsin subscribe`, `unsubscribe` and `subscriptions`: who gets the events of a topic."""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
from rich.text import Text

from sources.partitioner import partition_of
from sources.reader import TopicReader
from tocsin.app.settings import Settings
from tocsin.cli.output import console, fail, print_json
from tocsin.cli.query import JsonFlag, TenantFlag, print_rows
from tocsin.cli.send import Written, write_all
from tocsin.errors import DecodeError
from tocsin.formats.subscriptions import decode_subscription, subscription_key
from tocsin.model import topics
from tocsin.model.explanations import moment
from tocsin.model.raw import RawRecord
from tocsin.model.subscription import Subscription, SubscriptionChange

TopicName = Annotated[str, typer.Argument(metavar="TOPIC", help="such as UA1545-2026-11-28")]
Users = Annotated[list[str], typer.Argument(metavar="USER…", help="ids of users")]


class _Lies(NamedTuple):
    """A subscription, and the partition on which it lies."""

    change: SubscriptionChange
    partition: int


def subscribe(
    topic: TopicName,
    users: Users,
    *,
    since: Annotated[str, typer.Option(help="not to events before this time, RFC 3339")] = "",
    tenant: TenantFlag = "default",
) -> None:
    """Subscribe users to a topic: they get the events that name it."""
    settings, value = Settings(), msgspec.json.encode(Subscription(since=since or None))
    keys = [_key(tenant, topic, user, value) for user in users]
    partitions = [partition_of(key, settings.partitions) for key in keys]
    records = [Written(key, value, place) for key, place in zip(keys, partitions, strict=True)]
    write_all(settings, topics.SUBSCRIPTIONS, records)
    _say(topic, len(users), "subscribed")


def unsubscribe(topic: TopicName, users: Users, *, tenant: TenantFlag = "default") -> None:
    """Unsubscribe users from a topic; an event that is fanned out now may still reach them."""
    settings, wanted = Settings(), {_key(tenant, topic, user, None): user for user in users}
    found = [one for one in _subscriptions(settings) if _key_of(one.change) in wanted]
    known = {_key_of(one.change) for one in found}
    missing = [user for key, user in wanted.items() if key not in known]
    if missing:
        cure = "`tocsin subscriptions` lists who is; nothing is changed"
        fail(f"not subscribed to {topic} of tenant {tenant}: {', '.join(missing)}; {cure}")
    records = [Written(_key_of(one.change), None, one.partition) for one in found]
    write_all(settings, topics.SUBSCRIPTIONS, records)
    _say(topic, len(wanted), "unsubscribed")


def subscriptions(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="only this topic")] = "",
    *,
    user: Annotated[str, typer.Option(help="only this user")] = "",
    tenant: TenantFlag = "default",
    json: JsonFlag = False,
) -> None:
    """List who is subscribed to which topic, as the topic `subscriptions` has it."""
    found = [
        one.change
        for one in _subscriptions(Settings())
        if one.change.tenant == tenant and topic in {"", one.change.topic} and user in {"", one.change.user}
    ]
    rows = [_row(one) for one in sorted(found, key=lambda one: (one.topic, one.user))]
    if json:
        print_json(rows)
        return
    who = f"{user} is not" if user else "Nobody is"
    nothing = f"{who} subscribed to {topic or 'any topic'} of tenant {tenant}."
    print_rows(rows, "Subscriptions", nothing)


def _say(topic: str, number: int, what: str) -> None:
    users = f"{number} user{'' if number == 1 else 's'}"
    console.print(Text.assemble(("✓", "green"), f" {topic}: {users} {what}"), soft_wrap=True)


def _key(tenant: str, topic: str, user: str, value: bytes | None) -> bytes:
    """Make the key of a subscription; names and value that no shard would take end the command."""
    if "/" in tenant:
        fail("--tenant: a tenant's name has no '/'", code=2)
    key = subscription_key(tenant, topic, user)
    try:
        decode_subscription(RawRecord(topics.SUBSCRIPTIONS, 0, 0, 0, key, value, ()))
    except DecodeError as error:
        fail(str(error), code=2)
    return key


def _key_of(change: SubscriptionChange) -> bytes:
    return subscription_key(change.tenant, change.topic, change.user)


def _subscriptions(settings: Settings) -> Iterator[_Lies]:
    """Read who is subscribed now; records that no shard takes are left out."""
    found: dict[tuple[int, bytes], _Lies] = {}
    with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
        if not reader.partitions(topics.SUBSCRIPTIONS):
            name = f"{settings.topic_prefix}{topics.SUBSCRIPTIONS}"
            fail(f"topic {name} is not there: run `tocsin topics create`")
        for record in reader.read(topics.SUBSCRIPTIONS):
            try:
                change = decode_subscription(record)
            except DecodeError:
                continue
            found[record.partition, _key_of(change)] = _Lies(change, record.partition)
    return (one for one in found.values() if one.change.subscribed)


def _row(change: SubscriptionChange) -> dict[str, Any]:
    since = moment(change.since_ms) if change.since_ms else ""
    return {"topic": change.topic, "user": change.user, "since": since}
