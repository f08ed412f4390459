"""Track: outcomes into the analytical store, reported done once stored."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.gate_parts import Timing
from tocsin.formats.codec import dead_letter
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import Reason

_POLL = timedelta(milliseconds=5)
Done = Callable[[str, int, int], None]


class Finished(NamedTuple):
    """A record that needs nothing more; `error` says why it could not be stored at all."""

    record: RawRecord
    error: str = ""


class Writer(Protocol):
    """What stores records in the background (`sinks.clickhouse.OutcomeWriter`)."""

    def submit(self, records: list[RawRecord]) -> None:
        """Take records; never blocks."""
        ...

    def finished(self) -> list[Finished]:
        """Give back what is done since the last call."""
        ...

    @property
    def waiting(self) -> int:
        """Records taken and not given back yet."""
        ...


class TrackLogic(StatefulBatchLogic[list[RawRecord], list[OutRecord], None]):
    """Feeds the writer and reports what it finished; keeps no state: what is not done is read again."""

    def __init__(self, writer: Writer, done: Done, timing: Timing) -> None:
        self._writer = writer
        self._done = done
        self._timing = timing

    def on_batch(self, values: list[list[RawRecord]]) -> tuple[list[list[OutRecord]], bool]:
        """Submit and report."""
        for records in values:
            self._writer.submit(records)
        return self._drain(), False

    def on_notify(self) -> tuple[list[list[OutRecord]], bool]:
        """Report what has been stored meanwhile."""
        return ([] if self._timing.in_gap() else self._drain()), False

    def notify_at(self) -> datetime | None:
        """Poll while something waits."""
        return self._timing.utc_now() + _POLL if self._writer.waiting else None

    def snapshot(self) -> None:
        """Nothing to keep."""

    def _drain(self) -> list[list[OutRecord]]:
        """Report what the writer has finished; return the dead letters of what it could not store."""
        letters: list[OutRecord] = []
        for record, error in self._writer.finished():
            self._done(record.topic, record.partition, record.offset)
            if error:
                letters.append(dead_letter(record, "track", Reason.BAD_FIELD, error))
        return [letters] if letters else []


@operator
def track(
    step_id: str,
    up: KeyedStream[list[RawRecord]],
    *,
    writer: Writer,
    done: Done,
    timing: Timing,
) -> KeyedStream[list[OutRecord]]:
    """Store outcome records; the stream that comes out holds dead letters of lines that cannot be stored.

    At least once: a record is read again until `done` was called for it; the store drops copies.

    Args:
        step_id: names the step in the recovery store.
        up: records of `outcomes`, keyed by anything.
        writer: stores them in the background.
        done: called with topic, partition and offset of every record that is finished.
        timing: the time between records.
    """
    return op.stateful_batch("write", up, lambda _resume: TrackLogic(writer, done, timing))
