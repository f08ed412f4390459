"""Keeps a previewer of a catalog folder that is being edited: a change shows at the next look."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tocsin.catalog.catalog import Catalog
from tocsin.catalog.watch import CatalogWatcher
from tocsin.errors import CatalogError, PreviewError
from tocsin.render.preview import Previewer

_EVERY_MS = 400


def steady_ms() -> int:
    """Read a clock that never goes back, in ms."""
    return time.monotonic_ns() // 1_000_000


class State(NamedTuple):
    """What is shown of a folder.

    Attributes:
        revision: grows with each change of a file, of samples too.
        version: of the catalog that is shown; empty if none could be loaded yet.
        problem: the mistakes of the files as they are now, one a line; the catalog before is shown meanwhile.
    """

    revision: int
    version: str
    problem: str


class Workbench:
    """Reloads a catalog folder when it is asked about and has changed. Safe to use from threads.

    Args:
        folder: the catalog.
        clock_ms: a clock that never goes back.
    """

    def __init__(self, folder: Path, clock_ms: Callable[[], int] = steady_ms) -> None:
        self._folder = folder
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._previewer: Previewer | None = None
        self._revision, self._problem = 1, ""
        try:
            self._previewer = Previewer.open(folder)
            self._problem = self._faults()
        except CatalogError as error:
            self._problem = str(error)
        version = self._previewer.catalog.version if self._previewer else ""
        self._watcher = CatalogWatcher(folder, version, self._accept, every_ms=_EVERY_MS)

    def look(self) -> State:
        """Reload what has changed, and tell what is shown."""
        with self._lock:
            self._poll()
            version = self._previewer.catalog.version if self._previewer else ""
            return State(self._revision, version, self._problem)

    def previewer(self) -> Previewer:
        """Return the previewer of the newest catalog without mistakes.

        Raises:
            PreviewError: there was none yet; the text lists the mistakes.
        """
        state = self.look()
        if self._previewer is None:
            msg = f"the catalog has mistakes:\n{state.problem}"
            raise PreviewError(msg, "catalog")
        return self._previewer

    def _poll(self) -> None:
        found = self._watcher.poll(self._clock_ms())
        if found.problem:
            self._revision, self._problem = self._revision + 1, found.problem
        elif found.catalog is not None or found.as_before:
            self._revision, self._problem = self._revision + 1, self._faults()

    def _accept(self, catalog: Catalog) -> None:
        self._previewer = Previewer(self._folder, catalog)
        self._problem = self._faults()

    def _faults(self) -> str:
        """List the mistakes that are single tenants' alone."""
        return "\n".join(self._previewer.catalog.faults.values()) if self._previewer else self._problem
