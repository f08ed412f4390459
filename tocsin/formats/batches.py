"""CloudEvents in batches: one record that holds a JSON array of events."""

from typing import Final

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import BOM, framed
from tocsin.formats.forwarded import CONTENT_TYPE
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

BATCH: Final = b"application/cloudevents-batch"
_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Split(Exception):
    """The record is a batch: it is no event itself. `records` hold its events."""

    def __init__(self, records: list[OutRecord]) -> None:
        self.records = records
        super().__init__()


def is_batch(raw: RawRecord) -> bool:
    """Tell whether a record says that it is a batch of CloudEvents."""
    return any(
        data[: len(BATCH)].lower() == BATCH and name.lower() == "content-type" for name, data in raw.headers
    )


def split(raw: RawRecord) -> list[OutRecord]:
    """Write each event of a batch as a record of its own, for the topic and partition of the batch.

    So each event has its own place in the topic: ids, dead letters and the audit rest on that. An event that
    is wrong is dead-lettered by itself. A copy of a record, written again after a crash, is a duplicate.

    Raises:
        DecodeError: the value is no JSON array.
    """
    value = (raw.value or b"").removeprefix(BOM)
    try:
        events = _decode(value)
    except (msgspec.MsgspecError, RecursionError) as error:
        text = "value: no JSON array, which a batch of CloudEvents is; send one, or one event a record"
        raise (framed(value) or DecodeError(Reason.BAD_JSON, text)) from error
    return [OutRecord(raw.topic, raw.partition, raw.key, bytes(event), (CONTENT_TYPE,)) for event in events]


def is_split(raw: RawRecord) -> bool:
    """Tell whether a record is a batch whose events become records of their own."""
    if not is_batch(raw):
        return False
    try:
        split(raw)
    except DecodeError:
        return False
    return True
