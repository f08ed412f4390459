"""The last good catalog of each tenant, kept on disk beside the state.

A process that starts with a mistake in a tenant's files takes what it kept for this tenant. Without that its
events would become dead letters until the files are fixed, and so would what queues for a provider.
"""

import json
import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from tocsin.catalog.content_files import catalog_files, content_version

_log = logging.getLogger("tocsin.catalog")
_TENANTS: Final = "tenants.json"
_HASH: Final = re.compile(r"^[0-9a-f]{12}$")


def kept_folder(state_dir: Path, process: str) -> Path:
    """Return the folder in which a process keeps what is good of its catalog: beside its state."""
    return state_dir / f"{process}.catalog"


class KeptCatalog:
    """Keeps copies of a catalog's files: one for each version that is the last good one of some tenant.

    What cannot be written is logged, and the process goes on without it.

    Args:
        folder: where the copies are, for one process alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder_of(self, tenant: str) -> Path | None:
        """Return the folder of a tenant's last good catalog; None if there is none."""
        name = self._tenants().get(tenant, "")
        return self._folder / name if _HASH.match(name) and (self._folder / name).is_dir() else None

    def keep(self, path: Path, versions: Mapping[str, str]) -> None:
        """Keep the catalog that is in force.

        Args:
            path: the folder of the newest catalog.
            versions: tenant -> the version that is in force for it.
        """
        wanted, before = {tenant: _name(version) for tenant, version in versions.items()}, self._tenants()
        try:
            if wanted != before or not self._has(wanted.values()):
                self._copy(path, set(wanted.values()))
                self._write(self._copied(wanted, before))
        except OSError as error:
            _log.warning("the catalog is not kept for the next start: %s", error.strerror)

    def _tenants(self) -> dict[str, str]:
        try:
            found = json.loads((self._folder / _TENANTS).read_text())
        except (OSError, ValueError):
            return {}
        pairs = found.items() if isinstance(found, dict) else ()
        return {str(tenant): str(name) for tenant, name in pairs}

    def _has(self, names: Iterable[str]) -> bool:
        return all((self._folder / name).is_dir() for name in names)

    def _copied(self, wanted: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
        """Leave a tenant the version of before where the wanted one changed before it could be copied."""
        found = {
            tenant: name if self._has([name]) else before.get(tenant, "") for tenant, name in wanted.items()
        }
        return {tenant: name for tenant, name in found.items() if name}

    def _copy(self, path: Path, wanted: set[str]) -> None:
        """Copy the newest catalog if some tenant has it and it has not changed meanwhile."""
        name = _name(content_version(path))
        if name not in wanted or (self._folder / name).is_dir():
            return
        part = self._folder / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        for file in catalog_files(path):
            copy = part / file.relative_to(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        if _name(content_version(part)) == name:
            part.rename(self._folder / name)

    def _write(self, wanted: Mapping[str, str]) -> None:
        """Name the version of each tenant, then drop the copies that none has any more."""
        part = self._folder / f"{_TENANTS}.part"
        part.write_text(json.dumps(wanted))
        part.rename(self._folder / _TENANTS)
        for other in self._folder.iterdir():
            if other.is_dir() and other.name not in wanted.values():
                shutil.rmtree(other, ignore_errors=True)


def kept_versions(state_dir: Path, tenant: str) -> list[str]:
    """List the versions of a tenant's last good catalog that the processes of a state directory keep."""
    found = [KeptCatalog(folder).folder_of(tenant) for folder in state_dir.glob("*.catalog")]
    return sorted({folder.name for folder in found if folder is not None})


def _name(version: str) -> str:
    """Return the hash in a version: the release of the zone data is not in the files."""
    return version.partition("-")[0]
