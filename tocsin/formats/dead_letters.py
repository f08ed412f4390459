"""Writes dead letters as Kafka records: the original bytes stay the value, the facts about them are headers.

So a replay is a copy: value, key and the original headers go back to the origin topic as they came.
"""

from collections.abc import Mapping

from tocsin.errors import DecodeError
from tocsin.model import topics
from tocsin.model.dead_letter import DeadLetter
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

_OURS = "tocsin-"
_ORIGINAL = "tocsin-original-"
_MAX_ERROR = 1_000
_SKIPPED = len(_ORIGINAL)


def _header(name: str) -> str:
    return _OURS + name.removeprefix("origin_").replace("_", "-")


_FIELDS = (
    "origin_topic",
    "origin_partition",
    "origin_offset",
    "stage",
    "reason",
    "error",
    "attempts",
    "first_ms",
    "last_ms",
)
_NAMES = tuple(map(_header, _FIELDS))
_NUMBERS = (1, 2, 6, 7, 8)
"""Places of the numbers among the fields."""


def dead_letter(
    raw: RawRecord,
    stage: str,
    reason: Reason | str,
    error: str,
    *,
    attempts: int = 0,
    first_ms: int = 0,
    last_ms: int = 0,
) -> OutRecord:
    """Make the dead letter of a record; the same arguments give the same bytes.

    Args:
        raw: the record as it was read.
        stage: `decode`, `gate`, `deliver`, or `callback` for a vendor's event that never was in a topic.
        reason: one of `Reason`.
        error: a sentence with field and cure, free of addresses; cut at 1,000 characters.
        attempts: how often delivery was tried.
        first_ms: when it was first handled; Kafka's time of the record if 0.
        last_ms: when it was last handled; Kafka's time of the record if 0.
    """
    texts = (
        raw.topic,
        str(raw.partition),
        str(raw.offset),
        stage,
        str(reason),
        error[:_MAX_ERROR],
        str(attempts),
        str(first_ms or raw.timestamp_ms),
        str(last_ms or raw.timestamp_ms),
    )
    headers = [(name, text.encode("utf-8", "replace")) for name, text in zip(_NAMES, texts, strict=True)]
    headers += [(_ORIGINAL + name, data) for name, data in raw.headers]
    return OutRecord(topics.DEAD, raw.partition, raw.key, raw.value, tuple(headers))


def read_dead_letter(raw: RawRecord) -> DeadLetter:
    """Read one record of `dead`.

    Raises:
        DecodeError: a header of ours is missing or is no number.
    """
    headers = dict(raw.headers)
    try:
        texts = [headers[name] for name in _NAMES]
        numbers = [int(texts[at]) for at in _NUMBERS]
    except (KeyError, ValueError) as error:
        text = f"header {_wrong(headers)}: missing or no number; only Tocsin writes to {topics.DEAD}"
        raise DecodeError(Reason.BAD_FIELD, text) from error
    topic, _, _, stage, reason, said, *_ = (text.decode("utf-8", "replace") for text in texts)
    partition, offset, attempts, first_ms, last_ms = numbers
    return DeadLetter(
        value=raw.value,
        key=raw.key,
        origin_topic=topic,
        origin_partition=partition,
        origin_offset=offset,
        stage=stage,
        reason=reason,
        error=said,
        attempts=attempts,
        first_ms=first_ms,
        last_ms=last_ms,
        headers=tuple([(name[_SKIPPED:], data) for name, data in raw.headers if name.startswith(_ORIGINAL)]),
    )


def _wrong(headers: Mapping[str, bytes]) -> str:
    """Name the first header that is missing or should be a number and is none."""
    for at, name in enumerate(_NAMES):
        if name not in headers or (at in _NUMBERS and not headers[name].strip().isdigit()):
            return name
    return _NAMES[0]
