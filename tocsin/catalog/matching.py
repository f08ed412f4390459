"""Matches an event with notifications: all expressions are evaluated before anything is decided.

If one fails, the whole event is dead-lettered; nothing of it was sent, so it can be replayed.
"""

from typing import NamedTuple

from tocsin.catalog.compile import CompiledChannel, CompiledNotification
from tocsin.catalog.digests import CompiledDigest
from tocsin.catalog.expressions import Scope
from tocsin.model.moments import Moment


class Match(NamedTuple):
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


def choose(notification: CompiledNotification, scope: Scope) -> Match | None:
    """Evaluate a notification's expressions; None if its condition does not hold.

    Raises:
        ExpressionError: one of them failed on this event.
    """
    if notification.when is not None and not notification.when.test(scope):
        return None
    at, channels = notification.at, notification.channels
    if notification.has_conditional_channels:
        channels = tuple([one for one in channels if one.when is None or one.when.test(scope)])
    match = Match(
        notification,
        channels,
        notification.dedup_key.text(scope) if notification.dedup_key else "",
        notification.collapse_key.text(scope) if notification.collapse_key else "",
        notification.cancel_key.text(scope) if notification.cancel_key else "",
        at.expression.moment(scope) if at is not None and at.expression is not None else None,
    )
    return match if notification.digest is None else _collected(match, notification.digest, scope)


def _collected(match: Match, digest: CompiledDigest, scope: Scope) -> Match:
    """Add the key of the digest, and what it takes over of the event."""
    return Match(
        match.notification,
        match.channels,
        match.dedup_key,
        match.collapse_key,
        match.cancel_key,
        match.at,
        digest.key.text(scope) if digest.key else "",
        digest.items.json(scope),
    )
