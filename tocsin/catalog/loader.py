"""Loads a catalog folder: a frozen catalog, or every mistake at once, each as `file:line: what, cure`.

`load_apart` leaves out only the tenants whose mistakes they are. A tenant answers for its own file and
folder, and for the categories that it lacks.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from tocsin.catalog.catalog import Candidates, Catalog
from tocsin.catalog.compile import compile_tenant
from tocsin.catalog.content_files import content_version
from tocsin.catalog.files import Document, Problem
from tocsin.catalog.reading import CatalogReading
from tocsin.catalog.schedules import compile_schedules
from tocsin.catalog.spec import NotificationSpec
from tocsin.errors import CatalogError

__all__ = ["Candidates", "Catalog", "Entry", "check", "entries", "load", "load_apart"]


def load(path: Path) -> Catalog:
    """Load a catalog folder.

    Raises:
        CatalogError: every mistake, one a line, each `file:line: what, cure`.
    """
    reading = CatalogReading(path)
    if reading.problems:
        raise CatalogError(_lines(reading.problems))
    return _compiled(path, reading)


def load_apart(path: Path) -> Catalog:
    """Load a catalog folder; tenants with mistakes of their own are in `faults` and not in `tenants`.

    Raises:
        CatalogError: a mistake in what tenants share, or in every tenant; each `file:line: what, cure`.
    """
    reading = CatalogReading(path)
    shared = [problem for problem in reading.problems if not problem.tenant]
    if shared or reading.tenants.keys() <= {problem.tenant for problem in reading.problems}:
        raise CatalogError(_lines(reading.problems))
    return _compiled(path, reading)


def _lines(problems: list[Problem]) -> str:
    return "\n".join(str(problem) for problem in problems)


def check(path: Path) -> list[Problem]:
    """List every mistake of a catalog folder, in the order of files and lines."""
    return CatalogReading(path).problems


class Entry(NamedTuple):
    """Holds one notification as it is written.

    Attributes:
        name: of the notification.
        notice: what is written.
        document: the file.
        home: the folder of the tenant that it belongs to, as in `tenants/acme/`; empty if all share it.
    """

    name: str
    notice: NotificationSpec
    document: Document
    home: str


def entries(path: Path) -> list[Entry]:
    """List the notifications without mistakes: the shared ones, then those of single tenants."""
    reading = CatalogReading(path)
    shared = [Entry(name, spec, reading.places[name], "") for name, spec in reading.notifications.items()]
    own = [
        Entry(name, spec, overlay.places[name], f"tenants/{tenant}/")
        for tenant, overlay in reading.overlays.items()
        for name, spec in overlay.notifications.items()
        if spec is not None
    ]
    return shared + own


def _compiled(path: Path, reading: CatalogReading) -> Catalog:
    """Compile the tenants without mistakes."""
    version, faults = content_version(path), _faults(reading.problems)
    tenants = {
        name: msgspec.structs.replace(
            compile_tenant(name, spec, reading.notifications_of(name), version),
            schedules=compile_schedules(name, spec, reading.schedules.of(name)),
        )
        for name, spec in reading.tenants.items()
        if name not in faults
    }
    return Catalog(version, tenants, reading.sources, faults)


def _faults(problems: list[Problem]) -> dict[str, str]:
    tenants = {problem.tenant for problem in problems}
    return {name: _lines([one for one in problems if one.tenant == name]) for name in tenants}
