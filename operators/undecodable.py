"""Records that cannot be decoded: a dead letter with the bytes, and an outcome of its own."""

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats import codec
from tocsin.formats.forwarded import place_of
from tocsin.formats.readable import names_of
from tocsin.formats.replays import read_replay
from tocsin.model import ids, topics
from tocsin.model.event import Replay
from tocsin.model.outcome import Outcome
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Status


def undecodable(raw: RawRecord, error: DecodeError, now_ms: int, partitions: int) -> list[OutRecord]:
    """Write the dead letter and the outcome of a record; the outcome has what names could be read.

    Args:
        raw: the record as it was read.
        error: why it cannot be decoded, with its cure.
        now_ms: the time of its partition.
        partitions: of our topics.
    """
    origin, names = place_of(raw), names_of(raw)
    outcome = Outcome(
        outcome_id=ids.outcome_id(origin, Status.DEAD),
        status=Status.DEAD,
        tenant=names.tenant or "default",
        user=names.user,
        event_id=names.event_id,
        event_source=names.event_source,
        event_type=names.event_type,
        origin=origin,
        reason=error.reason,
        at_ms=now_ms,
        received_ms=raw.timestamp_ms,
        detail={"error": str(error)},
    )
    if replay := _replay_of(raw):
        outcome = msgspec.structs.replace(outcome, replay=replay.id, replay_of=str(replay.origin))
    # A declared topic may have more partitions than ours.
    partition = raw.partition % partitions
    letter = codec.dead_letter(raw, "decode", error.reason, str(error))
    return [
        msgspec.structs.replace(letter, partition=partition),
        OutRecord(topics.OUTCOMES, partition, raw.key, msgspec.json.encode(outcome)),
    ]


def _replay_of(raw: RawRecord) -> Replay | None:
    """Return what makes a record that cannot be decoded a replay; None where its mark is wrong, too."""
    try:
        return read_replay(raw.headers)
    except DecodeError:
        return None
