"""Outcomes: the notification log (`tocsin.outcomes`), one record a decision, attempt and engagement."""

import msgspec

from tocsin.model.message import Slots

Scalar = str | int | float | bool | None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One line of the log. It holds no address, token or text of a message (law 7).

    Attributes:
        outcome_id: hash of (message id, or notification id, or origin; status; attempt): the key copies are
            dropped by.
        channel: `*` where it was decided before routing; then `message_id` is empty.
        target: `target_id` of the address or device, empty before routing.
        origin: `topic/partition/offset` of the event, without the topic prefix.
        detail: the numbers a decision rested on: counter, limit, window_s; of a duplicate its
            original; what was left out of an inline recipient.
        catalog_version: hash of the catalog and release of the zone data, like `300676bac714-tz2026.6`.
        at_ms: when it happened. For decisions the decision's `now`, for attempts wall time; with
            `TOCSIN_CLOCK=stream` as long after the decision as it took.
        latency_ms: from the event's Kafka time to here, in wall time; -1 where it makes no sense.
        provider_ms: how long the provider took; -1 without a call.
        rule: the name of the rule that objected (`docs/rules.md`); empty where none did.
        variant: the arm of an experiment that the user is in; empty where there is none.
        replay: id of the replay that it is part of; empty the first time.
        replay_of: what was replayed: the origin of an event's first record, or the id of the first message.
        locale: the locale of the user, in which it was rendered; empty before delivery.
    """

    outcome_id: str
    status: str
    tenant: str
    user: str = ""
    notification_id: str = ""
    message_id: str = ""
    event_id: str = ""
    event_source: str = ""
    event_type: str = ""
    event_time_ms: int = 0
    origin: str = ""
    notification: str = ""
    category: str = ""
    channel: str = "*"
    target: str = ""
    platform: str = ""
    reason: str = ""
    detail: dict[str, Scalar] = {}
    priority: str = ""
    catalog_version: str = ""
    provider: str = ""
    provider_message_id: str = ""
    code: str = ""
    attempt: int = 0
    generation: int = 0
    at_ms: int
    received_ms: int = 0
    latency_ms: int = -1
    provider_ms: int = -1
    rule: str = ""
    variant: str = ""
    replay: str = ""
    replay_of: str = ""
    locale: str = ""


class ReceiptEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """What became of a message after it was sent (`tocsin.receipts`): delivered, opened, bounced, gone….

    Some kinds block an address or device for the user, others lift the block
    (`tocsin.decision.receipts.RECEIPTS`). A receipt names it in one of these ways, the first that is given:

    - `mark`: as the provider gave it back. It names the user and the message, too: nothing else is needed;
    - `target`: its `target_id`, as in messages' outcomes;
    - `address`: the plain address or device token, as a webhook reports it. No outcome holds it;
    - `message_id` and `notification_id`: where that message went;
    - `channel`: all of the user's addresses and devices on it.

    `slots` are the places in limits that come back with a receipt of kind `failed`.

    `at_ms` is the time of the report, not of its arrival: a block that is older than its lift has no effect.
    """

    tenant: str = ""
    user: str = ""
    kind: str
    mark: str = ""
    message_id: str = ""
    notification_id: str = ""
    channel: str = ""
    target: str = ""
    address: str = ""
    at_ms: int = 0
    provider: str = ""
    provider_message_id: str = ""
    code: str = ""
    reason: str = ""
    receipt_id: str = ""
    origin: str = ""
    notification: str = ""
    category: str = ""
    slots: Slots | None = None
