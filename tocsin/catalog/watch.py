"""Watches the catalog folder: hands over a new catalog, or says what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tocsin.catalog.content_files import content_version
from tocsin.catalog.loader import Catalog, load_apart
from tocsin.errors import CatalogError

Signature = tuple[tuple[str, int, int], ...]


class Reload(NamedTuple):
    """Holds what a poll found: a new catalog, or the problem that keeps the old one, or neither.

    `as_before` says that the files changed, or could not be read, and are again those in force: a mistake was
    taken back, or a file touched, or one changed that decides nothing (a sample of a template).
    """

    catalog: Catalog | None = None
    problem: str = ""
    as_before: bool = False


class CatalogWatcher:
    """Polls a catalog folder.

    A folder that is still being written (its files differ from poll to poll) is left alone until it rests.
    A catalog with mistakes, or that is not accepted, is reported once: the one in force stays. Mistakes of a
    tenant are in `Catalog.faults` of the new one (`tocsin.catalog.loader.load_apart`).
    """

    def __init__(
        self, path: Path, version: str, accept: Callable[[Catalog], None], *, every_ms: int = 1_000
    ) -> None:
        """Watch.

        Args:
            path: the catalog folder.
            version: `Catalog.version` of what is in force.
            accept: puts a catalog in force, or raises `CatalogError` and changes nothing.
            every_ms: how often to look, at most.
        """
        self._path = path
        self._version = version
        self._accept = accept
        self._every_ms = every_ms
        self._next_ms = 0
        self._judged: Signature | None = None
        self._last: Signature = ()
        self._judged_before = False

    def poll(self, now_ms: int) -> Reload:
        """Look at the folder if it is time to; cheap where nothing changed (one `stat` a file)."""
        if now_ms < self._next_ms:
            return Reload()
        self._next_ms = now_ms + self._every_ms
        try:
            signature = _signature(self._path)
            resting, self._last = signature == self._last, signature
            if not resting or signature == self._judged:
                return Reload()
            return self._judge(signature)
        except OSError as error:
            # A file went away between listing and reading: the next polls will see the folder at rest.
            self._last, self._judged, self._judged_before = (), None, True
            return Reload(problem=f"catalog folder cannot be read: {error.strerror}")

    def _judge(self, signature: Signature) -> Reload:
        version = content_version(self._path)
        first, self._judged_before = not self._judged_before, True
        self._judged = signature
        if version == self._version:
            return Reload(as_before=not first)
        try:
            catalog = load_apart(self._path)
            self._accept(catalog)
        except CatalogError as error:
            return Reload(problem=str(error))
        self._version = catalog.version
        return Reload(catalog)


def _signature(path: Path) -> Signature:
    found = []
    for file in sorted(path.rglob("*")):
        if file.is_file():
            stat = file.stat()
            found.append((file.as_posix(), stat.st_mtime_ns, stat.st_size))
    return tuple(found)
