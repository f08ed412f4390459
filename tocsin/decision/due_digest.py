"""A digest that is due becomes one notification, which the rules decide like any other."""

import msgspec
from msgspec.structs import replace

from tocsin.catalog.compile import CompiledNotification
from tocsin.decision.timers import DueTimer, HeldDigest, HeldEvent
from tocsin.decision.user_state import DigestRef
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event

_encode = msgspec.json.Encoder().encode


def as_notification(
    due: DueTimer,
    held: HeldEvent,
    first: Event,
    digest: DigestRef,
    notification: CompiledNotification | None,
) -> tuple[HeldEvent, Event]:
    """Return what is decided: a digest with all that it kept, or its only item by itself.

    Args:
        due: the timer, with what is kept beside it.
        held: the payload of the timer.
        first: the event of the first item.
        digest: its numbers.
        notification: the notification in the catalog of now; None if it is gone.
    """
    terms = notification.digest if notification else None
    if digest.count == 1 and terms is not None and terms.plain_single:
        return replace(held, digest=HeldDigest(due.now_ms, plain=True)), first
    assert held.digest is not None, "a timer of this kind has the payload of a digest"
    event = _event(first, held.digest.key, digest, due)
    mark = HeldDigest(due.now_ms, channels=digest.channels)
    return replace(held, raw=rewritten(event), digest=mark), event


def _event(first: Event, key: str, digest: DigestRef, due: DueTimer) -> Event:
    """Make the event of a digest: its first item's, as of now, with the data that templates get.

    Its latency counts from when the first item was received, as that of anything held does.
    """
    more = digest.count - len(due.kept)
    data = b'{"items":[%b],"count":%d,"more":%d,"key":%b}' % (
        b",".join(due.kept),
        digest.count,
        more,
        _encode(key),
    )
    return replace(
        first,
        data=msgspec.Raw(data),
        time_ms=due.now_ms,
        send_at_ms=None,
        expires_ms=None,
    )
