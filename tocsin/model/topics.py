"""Names of the topics, without the prefix, and what each is for. Partition counts of `KEYED` are equal.

Declared topics (`sources.yaml`) belong to other software. Their names begin with `source:`, which no name in
Kafka does, and stand for the topic without any prefix.
"""

from tocsin.model.statuses import CHANNELS, Channel

EVENTS = "events"
BULK = "bulk"
PROFILES = "profiles"
RECEIPTS = "receipts"
RETRIES = "retries"
OUTCOMES = "outcomes"
DEAD = "dead"
SUBSCRIPTIONS = "subscriptions"
AUDIT = "audit"


def messages(channel: Channel | str, *, bulk: bool = False) -> str:
    """Topic of a channel's messages: `messages.email.now` or `messages.email.bulk`."""
    return f"messages.{channel}.{'bulk' if bulk else 'now'}"


MESSAGES = tuple(messages(channel, bulk=bulk) for channel in CHANNELS for bulk in (False, True))
# The places of EVENTS and BULK in ALL are stored (`tocsin.decision.dedup`): add behind them.
GATE_INPUTS = (PROFILES, RECEIPTS, RETRIES, EVENTS, BULK, SUBSCRIPTIONS)
READ_FIRST = (PROFILES, SUBSCRIPTIONS)
"""Compacted topics: a first start reads them to their end before the first event."""
KEYED = (*GATE_INPUTS, *MESSAGES, OUTCOMES)
TRACKED = (OUTCOMES, DEAD, AUDIT)
"""What the track flow stores in ClickHouse."""
ALL = (*KEYED, DEAD, AUDIT)

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
} | dict.fromkeys(MESSAGES, "admitted messages of one channel")


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
