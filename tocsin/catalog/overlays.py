"""What a tenant has of its own: notifications and templates that add to those of all, or replace them.

`tenants/<tenant>/notifications/*.yaml` has entries as `notifications/*.yaml` does. An entry replaces the
whole shared one of its name, and `name: null` takes it away. `tenants/<tenant>/templates/…` has files as
`templates/…` does. A file replaces the shared file of the same path.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tocsin.catalog.close_names import cure
from tocsin.catalog.files import Document, Problem
from tocsin.catalog.spec import NotificationSpec

FOLDERS = ("notifications", "schedules", "templates")


class Overlay(NamedTuple):
    """Holds what one tenant has of its own.

    Attributes:
        notifications: name -> spec; None takes the shared notification away.
        places: name -> the file of the entry.
        templates: names of its template folders.
    """

    notifications: dict[str, NotificationSpec | None]
    places: dict[str, Document]
    templates: set[str]

    def over(self, shared: Mapping[str, NotificationSpec]) -> dict[str, NotificationSpec]:
        """Return the notifications of the tenant: the shared ones in their order, then those it adds."""
        both = {**shared, **self.notifications}
        return {name: spec for name, spec in both.items() if spec is not None}


def overlay_folders(path: Path) -> list[Path]:
    """List the folders of tenants that have something of their own."""
    return sorted(item for item in (path / "tenants").glob("*") if item.is_dir())


def folder_problems(folder: Path, tenants: set[str]) -> Iterator[Problem]:
    """Find folders that nobody reads: of a tenant without a file, or of an unknown name."""
    tenant, place = folder.name, f"tenants/{folder.name}/"
    if tenant not in tenants:
        yield Problem(place, 1, f"no tenants/{tenant}.yaml, add it or rename this folder", tenant)
    for item in sorted(folder.iterdir()):
        if item.name not in FOLDERS and not item.name.startswith("."):
            folders = "call it notifications, schedules or templates, or remove it"
            is_file = item.suffix in (".yaml", ".yml")
            other = f"move it into one of its folders, or its fields into tenants/{tenant}.yaml"
            yield Problem(place, 1, f"nobody reads `{item.name}`, {other if is_file else folders}", tenant)


def entry_problems(
    document: Document, name: str, spec: NotificationSpec | None, shared: Collection[str] | None
) -> Iterator[Problem]:
    """Find entries that say nothing: one that names tenants, one that takes away what is not there.

    `shared` are the names of shared notifications; None where some could not be read.
    """
    if spec is None and shared is not None and name not in shared:
        other = cure(name, shared, "correct the name or remove this line")
        text = f"no shared notification `{name}` to take away, {other}"
        yield document.problem((name,), text)
    if spec is not None and spec.tenants is not None:
        text = "only this tenant reads the file, remove `tenants`"
        yield document.problem((name, "tenants"), text)
