"""Names of the topics, without the prefix, and what each is for. Partition counts of `KEYED` are equal.

Declared topics (`sources.yaml`) belong to other software. Their names begin with `source:`, which no name in
Kafka does, and stand for the topic without any prefix.
"""

from collections.abc import Collection

from tocsin.model.statuses import FIRST_CHANNELS

EVENTS = "events"
BULK = "bulk"
PROFILES = "profiles"
RECEIPTS = "receipts"
RETRIES = "retries"
OUTCOMES = "outcomes"
DEAD = "dead"
SUBSCRIPTIONS = "subscriptions"
AUDIT = "audit"


_MESSAGES = "messages."


def messages(channel: str, *, bulk: bool = False) -> str:
    """Topic of a channel's messages: `messages.email.now` or `messages.email.bulk`."""
    return f"{_MESSAGES}{channel}.{'bulk' if bulk else 'now'}"


def messages_of(channels: Collection[str]) -> tuple[str, ...]:
    """List the topics of the messages of channels."""
    return tuple(messages(channel, bulk=bulk) for channel in channels for bulk in (False, True))


def channel_of(name: str) -> str:
    """Return the channel whose messages a topic holds; empty for any other topic.

    >>> channel_of("messages.email.now"), channel_of("events")
    ('email', '')
    """
    return name.split(".")[1] if name.startswith(_MESSAGES) else ""


MESSAGES = messages_of(FIRST_CHANNELS)
"""Those of the first channels. Other channels have the same two topics each."""
# The places of EVENTS and BULK in ALL are stored (`tocsin.decision.dedup`): add behind them.
GATE_INPUTS = (PROFILES, RECEIPTS, RETRIES, EVENTS, BULK, SUBSCRIPTIONS)
READ_FIRST = (PROFILES, SUBSCRIPTIONS)
"""Compacted topics: a first start reads them to their end before the first event."""
KEYED = (*GATE_INPUTS, *MESSAGES, OUTCOMES)
"""Topics with the same number of partitions, as have the messages of other channels."""
TRACKED = (OUTCOMES, DEAD, AUDIT)
"""What the track flow stores in ClickHouse."""
ALL = (*KEYED, DEAD, AUDIT)


def needed(channels: Collection[str]) -> tuple[str, ...]:
    """List the topics of an installation that uses these channels."""
    return (*GATE_INPUTS, *messages_of(channels), OUTCOMES, DEAD, AUDIT)


PURPOSE = {
    EVENTS: "domain events, CloudEvents 1.0",
    BULK: "the same, for broadcasts; never delays events",
    PROFILES: "contacts, devices, preferences; compacted; key tenant/user; null erases",
    RECEIPTS: "delivered, opened, clicked, bounced, gone…",
    RETRIES: "messages that must be decided and tried again",
    SUBSCRIPTIONS: "which users a topic has; compacted; key tenant/topic/user; null unsubscribes",
    OUTCOMES: "the notification log",
    DEAD: "dead letters: original bytes, reason and origin in headers",
    AUDIT: "who changed what: catalogs, preferences, erasures, commands",
}


def purpose(name: str) -> str:
    """Say what a topic is for."""
    return "admitted messages of one channel" if channel_of(name) else PURPOSE[name]


_DECLARED = "source:"


def declared(topic: str) -> str:
    """Name a declared topic as outcomes, metrics and dead letters do.

    >>> declared("shop.orders")
    'source:shop.orders'
    """
    return _DECLARED + topic


def is_declared(name: str) -> bool:
    """Tell whether a name is that of a declared topic."""
    return name.startswith(_DECLARED)


def full_name(prefix: str, name: str) -> str:
    """Return a topic's name in Kafka.

    >>> full_name("tocsin.", "events"), full_name("tocsin.", "source:shop.orders")
    ('tocsin.events', 'shop.orders')
    """
    return name.removeprefix(_DECLARED) if is_declared(name) else prefix + name


def shard_group(prefix: str) -> str:
    """Name the consumer group that shards commit durable offsets to."""
    return f"{prefix}shard"
