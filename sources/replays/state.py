"""The state file of a replay: what it was asked for, and how far it has come."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from sources.replays.selection import Selection
from sources.replays.spans import Span
from tocsin.errors import SettingsError

VERSION = 1
Status = Literal["running", "stopped", "done"]


class ReplayState(msgspec.Struct, kw_only=True):
    """One replay.

    Attributes:
        id: names it; it is in the header of each record that is written.
        kafka: the bootstrap servers it was started with.
        prefix: of the topics.
        spans: what is read, fixed at the start: what the replay causes is no part of it.
        outcome_spans: the outcomes that are read, fixed as well.
        forgotten_ms: what was sent before this time the send ledger may have forgotten.
        total: records to write.
        written: records written and confirmed.
        positions: the next offset to read of each `topic/partition`; all before are done.
        marks: the offset of each `topic/partition` behind which this replay may have written records that the
            state does not know of. After a kill they are found there, and not written twice.
        cluster: id of the Kafka cluster; empty where the cluster has none, or an older release began.
    """

    version: int = VERSION
    id: str
    created_ms: int
    kafka: str
    prefix: str
    partitions: int
    selection: Selection
    rate: float
    spans: list[Span]
    outcome_spans: list[Span]
    forgotten_ms: int = 0
    total: int = 0
    written: int = 0
    positions: dict[str, int] = {}
    marks: dict[str, int] = {}
    status: Status = "running"
    cluster: str = ""

    def left(self) -> list[Span]:
        """Return the ranges that are not read yet."""
        at = self.positions
        return [
            Span(s.topic, s.partition, max(s.start, at.get(f"{s.topic}/{s.partition}", 0)), s.end)
            for s in self.spans
        ]


class StateFolder:
    """The state files of all replays of a machine, one each. They hold user ids if a selection names some."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, replay_id: str) -> Path:
        """Return where the state of a replay is."""
        return self._folder / f"{replay_id}.json"

    def save(self, state: ReplayState) -> None:
        """Write a state such that a crash leaves the old one or the new one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self.path(state.id)
        beside = path.with_suffix(".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def load(self, replay_id: str) -> ReplayState:
        """Read the state of a replay.

        Raises:
            SettingsError: there is none, or it is broken; the text lists those that there are.
        """
        path = self.path(replay_id)
        try:
            return _decode(path.read_bytes())
        except FileNotFoundError:
            names = ", ".join(self.names()) or "none"
            msg = f"no replay {replay_id!r} in {self._folder}; there are: {names}. Is --state right?"
            raise SettingsError(msg) from None
        except (msgspec.MsgspecError, OSError) as error:
            msg = f"{path}: not the state of a replay ({error}); start the replay anew"
            raise SettingsError(msg) from error

    @contextmanager
    def held(self, replay_id: str) -> Iterator[None]:
        """Hold a replay, so that no other process carries it out; the kernel lets go when this one ends.

        Raises:
            SettingsError: another process holds it; the text names that process.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self.path(replay_id).with_suffix(".lock")
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(handle, replay_id)
            yield
        finally:
            os.close(handle)

    def names(self) -> list[str]:
        """List the ids of all replays, the oldest first."""
        return sorted(path.stem for path in self._folder.glob("*.json"))


def _take(handle: int, replay_id: str) -> None:
    """Lock a file and write into it who holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode("utf-8", "replace") or "another process"
        msg = f"replay {replay_id} is carried out by {holder} now; wait for its end, or stop it by Ctrl-C"
        raise SettingsError(msg) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


_decode = msgspec.json.Decoder(ReplayState).decode


def key_of(topic: str, partition: int) -> str:
    """Name a partition."""
    return f"{topic}/{partition}"
