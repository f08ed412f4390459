"""Matches an event with notifications: all expressions are evaluated before anything is decided.

If one fails, the whole event is dead-lettered; nothing of it was sent, so it can be replayed.
"""

import msgspec

from tocsin.catalog.compile import CompiledChannel, CompiledNotification
from tocsin.catalog.expressions import Scope
from tocsin.model.event import Asked
from tocsin.model.moments import Moment


class Match(msgspec.Struct, frozen=True, gc=False):
    """A notification that an event means, with the channels, keys and time that its expressions gave.

    `digest_item` is JSON, what the template of a digest gets of it; empty where it is not collected.
    """

    notification: CompiledNotification
    channels: tuple[CompiledChannel, ...]
    dedup_key: str = ""
    collapse_key: str = ""
    cancel_key: str = ""
    at: Moment | None = None
    digest_key: str = ""
    digest_item: bytes = b""


def fixed(notification: CompiledNotification) -> Match | None:
    """Match a notification without expressions once for all events; None if it has any."""
    expressions = [notification.when, notification.dedup_key, notification.collapse_key]
    expressions += [notification.cancel_key, notification.at.expression if notification.at else None]
    expressions += [channel.when for channel in notification.channels]
    expressions += notification.digest.expressions if notification.digest else ()
    return Match(notification, notification.channels) if not any(expressions) else None


def choose(notification: CompiledNotification, scope: Scope, asked: Asked | None = None) -> Match | None:
    """Evaluate a notification's expressions; None if its condition does not hold.

    Args:
        notification: may answer the event.
        scope: what its expressions read.
        asked: what the event asks for. One that is named has no condition to meet.

    Raises:
        ExpressionError: one of them failed on this event.
    """
    is_named = asked is not None and asked.notification != ""
    if notification.when is not None and not is_named and not notification.when.test(scope):
        return None
    at, channels = notification.at, notification.channels
    if notification.has_conditional_channels:
        channels = tuple([one for one in channels if one.when is None or one.when.test(scope)])
    dedup, collapse, cancel = notification.dedup_key, notification.collapse_key, notification.cancel_key
    dedup_key = dedup.text(scope) if dedup is not None else ""
    collapse_key, cancel_key, moment = "", "", None
    if collapse is not None:  # keys that are written alike are one expression
        collapse_key = dedup_key if collapse is dedup else collapse.text(scope)
    if asked is not None and asked.cancel_key:
        cancel_key = asked.cancel_key
    elif cancel is not None:
        cancel_key = dedup_key if cancel is dedup else cancel.text(scope)
    if at is not None and at.expression is not None:
        moment = at.expression.moment(scope)
    if (digest := notification.digest) is None:
        return Match(notification, channels, dedup_key, collapse_key, cancel_key, moment)
    key, item = digest.key.text(scope) if digest.key else "", digest.items.json(scope)
    return Match(notification, channels, dedup_key, collapse_key, cancel_key, moment, key, item)
