"""Dead letters (`tocsin.dead`): the original bytes as the value, everything else in headers.

So replaying is copying, and a record at the size limit still fits. The id of a dead letter is its origin.
"""

import msgspec


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One record that could not be handled.

    Attributes:
        value: the bytes as they were read (None for a null value).
        key: the key as it was read.
        origin_topic: topic without the prefix; partition and offset beside it.
        stage: `decode`, `gate`, `deliver`, or `callback` for a vendor's event that never was in a topic.
        reason: one of `tocsin.model.statuses.Reason`.
        error: a sentence naming field and cure; no addresses.
        headers: the original headers, kept under `tocsin-original-<name>`.
    """

    value: bytes | None
    key: bytes | None
    origin_topic: str
    origin_partition: int
    origin_offset: int
    stage: str
    reason: str
    error: str
    attempts: int = 0
    first_ms: int = 0
    last_ms: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()
