"""Deterministic ids: 128-bit BLAKE2b over length-prefixed fields, as 32 hex digits.

The same fields give the same id on every machine and in every run, so everything downstream can drop
copies by id. A length before each field keeps ("ab", "c") and ("a", "bc") apart. The ids spell `digest`
out in one format, which takes a third of its time: they are the largest cost of a decision.
"""

from hashlib import blake2b

from tocsin.model.statuses import FIRST_CHANNELS

# A copy of an empty hasher costs a third less than a new one.
_fresh = blake2b(digest_size=16).copy
_fresh_target = blake2b(digest_size=8).copy
_PLAIN = frozenset(FIRST_CHANNELS)


def digest(*fields: str) -> str:
    """Hash the fields in order; 32 lower-case hex digits.

    >>> digest("ab", "c") == digest("a", "bc")
    False
    """
    return hash_of(spelled(*fields))


def spelled(*fields: str) -> str:
    """Spell fields with their lengths: what `digest` hashes. A part that stays the same is spelled once."""
    return "".join([f"{len(field)}:{field}" for field in fields])


def hash_of(text: str) -> str:
    """Hash fields that were spelled before; 32 lower-case hex digits."""
    hasher = _fresh()
    try:
        hasher.update(text.encode())
    except UnicodeEncodeError:
        hasher.update(text.encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()


def notification_id(
    tenant: str, source: str, event_id: str, user: str, notification: str, origin: str
) -> str:
    """Name one notification: what one event means to one user.

    The origin (`topic/partition/offset`) belongs to the name. An event that comes again when its first record
    is forgotten is decided anew, and must not vanish behind the ids of the first (law 1).

    Args:
        tenant: of the event.
        source: of the event.
        event_id: of the event, unique within its source.
        user: who is notified; empty for none.
        notification: its name in the catalog.
        origin: `topic/partition/offset` where the event was first read.

    Returns:
        32 lower-case hex digits, as every id but that of a target.
    """
    return hash_of(
        f"1:n{len(tenant)}:{tenant}{len(source)}:{source}{len(event_id)}:{event_id}{len(user)}:{user}"
        f"{len(notification)}:{notification}{len(origin)}:{origin}"
    )


def message_id(notification: str, channel: str, target: str, generation: int = 0) -> str:
    """Name one message: one notification to one target (an address, a device) on one channel.

    Args:
        notification: the notification's id.
        channel: its name.
        target: the target's id, see `target_id`.
        generation: 0; a forced replay has another one, so that it is a message of its own.
    """
    number = str(generation)
    return hash_of(
        f"1:m{len(notification)}:{notification}{len(channel)}:{channel}{len(target)}:{target}"
        f"{len(number)}:{number}"
    )


def outcome_id(subject: str, status: str, attempt: int = 0) -> str:
    """Name one outcome of a message id, notification id or origin offset."""
    number = str(attempt)
    return hash_of(f"1:o{len(subject)}:{subject}{len(status)}:{status}{len(number)}:{number}")


def target_id(address: str, channel: str = "") -> str:
    """Name an address or device without saying it: 16 hex digits, fit for outcomes and log lines.

    Mail addresses are one and the same however they are capitalised: a complaint blocks all spellings.
    Channels other than the first ones have names of their own: who stops WhatsApp does not stop SMS.

    >>> target_id("Ann@Mail.example") == target_id("ann@mail.example")
    True
    """
    named = address.lower() if "@" in address else address
    if channel and channel not in _PLAIN:
        named = f"{channel}:{named}"
    hasher = _fresh_target()
    hasher.update(named.encode())
    return hasher.hexdigest()
