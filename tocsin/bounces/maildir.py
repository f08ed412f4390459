"""A Maildir as a source of mails that came back. A mail moves on only after its receipt is in Kafka.

New mails lie in `new/`. A mail that was read moves to `cur/`, one that a person may want to look at to the
folder `.quarantine/new/`. Each move is one rename, so a crash leaves a mail in one place: where it was, and
then it is read again and gives the same receipt, or where it belongs.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import NamedTuple

from tocsin.bounces.mail import MAX_BYTES
from tocsin.bounces.reader import BounceReader, Finished, Incoming
from tocsin.errors import SettingsError

QUARANTINE = ".quarantine"
READ_FLAGS = ":2,S"
BATCH = 200
BATCH_BYTES = 20_000_000

_FOLDERS = ("new", "cur", "tmp")


class Lying(NamedTuple):
    """A mail in `new/`: its file, and what is in it."""

    file: Path
    mail: Incoming


class Maildir:
    """Reads `new/` of one Maildir.

    Args:
        folder: the Maildir.
        create: make it where it is missing.

    Raises:
        SettingsError: it is no Maildir, or its folders cannot be made.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self._new, self._cur = folder / "new", folder / "cur"
        self._quarantine = folder / QUARANTINE / "new"
        if not self._new.is_dir() and not create:
            cure = "name the one that your mail server delivers to"
            msg = f"{folder}: no Maildir (it has no folder new/); {cure}"
            raise SettingsError(msg)
        try:
            for part in _FOLDERS:
                (folder / part).mkdir(parents=True, exist_ok=True)
                (folder / QUARANTINE / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{folder}: its folders cannot be made ({error.strerror}); look at its rights"
            raise SettingsError(msg) from None

    def waiting(self) -> int:
        """Tell how many mails lie in `new/`."""
        return len(self._files())

    def wait(self, stop: Event, seconds: float) -> None:
        """Wait until mail may have come."""
        stop.wait(seconds)

    def close(self) -> None:
        """Close nothing: a Maildir has no connection."""
        return

    def forget(self) -> None:
        """Drop nothing: a Maildir has no connection."""
        return

    def _files(self) -> list[Path]:
        """List the mails in `new/`, the oldest first by name."""
        return [Path(entry.path) for entry in sorted(os.scandir(self._new), key=lambda entry: entry.name)]

    def read(self, reader: BounceReader) -> Iterator[tuple[str, Finished]]:
        """Read all mails in `new/` that are there now, in batches, and move each when it is done with.

        Raises:
            LookupAwayError: the mails of this batch stay in `new/`.
        """
        for batch in _batches(self._files()):
            done = reader.read([lying.mail for lying in batch])
            for lying, finished in zip(batch, done, strict=True):
                self._move(lying.file, finished)
                yield lying.file.name, finished

    def peek(self, reader: BounceReader) -> Iterator[tuple[str, Finished]]:
        """Say of all mails in `new/` what they are; none is moved."""
        for batch in _batches(self._files()):
            done = reader.read([lying.mail for lying in batch])
            yield from zip((lying.file.name for lying in batch), done, strict=True)

    def keep(self, raw: bytes, name: str) -> None:
        """Put a mail that came another way into the quarantine, durably."""
        path = self._quarantine.parent / "tmp" / name
        with path.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        path.rename(self._quarantine / name)

    def _move(self, file: Path, finished: Finished) -> None:
        name = file.name.partition(":")[0]
        target = self._quarantine / name if finished.quarantined else self._cur / f"{name}{READ_FLAGS}"
        try:
            file.rename(target)
        except FileNotFoundError:
            return  # another process has read it meanwhile: the receipts are the same


def _batches(files: Sequence[Path]) -> Iterator[list[Lying]]:
    batch: list[Lying] = []
    size = 0
    for file in files:
        lying = _lying(file)
        if lying is None:
            continue
        batch.append(lying)
        size += len(lying.mail.raw)
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _lying(file: Path) -> Lying | None:
    """Read a file; None if it is gone or no file. One byte more than is read tells that it is too large."""
    try:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
        return Lying(file, Incoming(raw, file.stat().st_mtime_ns // 1_000_000))
    except FileNotFoundError:
        return None
