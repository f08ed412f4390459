"""Writes dead letters as Kafka records: the original bytes stay the value, the facts about them are headers.

So a replay is a copy: value, key and the original headers go back to the origin topic as they came.
"""

import msgspec

from tocsin.errors import DecodeError
from tocsin.model import topics
from tocsin.model.dead_letter import DeadLetter
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

_OURS = "tocsin-"
_ORIGINAL = "tocsin-original-"
_MAX_ERROR = 1_000
_NUMBERS = ("origin_partition", "origin_offset", "attempts", "first_ms", "last_ms")


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
        stage: `decode`, `gate` or `deliver`.
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
    found = {name: data.decode("utf-8", "replace") for name, data in raw.headers if name.startswith(_OURS)}
    fields: dict[str, object] = {}
    try:
        for name in (*_NUMBERS, "origin_topic", "stage", "reason", "error"):
            text = found[_header(name)]
            fields[name] = int(text) if name in _NUMBERS else text
    except (KeyError, ValueError) as error:
        text = f"header {_header(name)}: missing or no number; only Tocsin writes to {topics.DEAD}"
        raise DecodeError(Reason.BAD_FIELD, text) from error
    skip = len(_ORIGINAL)
    originals = tuple((name[skip:], data) for name, data in raw.headers if name.startswith(_ORIGINAL))
    return msgspec.convert({"value": raw.value, "key": raw.key, "headers": originals} | fields, DeadLetter)
