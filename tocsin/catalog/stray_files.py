"""Finds files that nobody reads because their place has the wrong name: `schedule/`, `notifications.yaml`."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tocsin.catalog.files import Problem

FOLDERS: Final = ("attachments", "notifications", "schedules", "templates", "tenants")
_ALIKE: Final = 0.8


def stray_problems(path: Path) -> Iterator[Problem]:
    """Name what is written almost like a folder of the catalog. Notes and other tools' files are let be."""
    for item in sorted(path.iterdir()):
        meant = difflib.get_close_matches(item.stem.lower(), FOLDERS, 1, _ALIKE)
        if not meant or item.name in FOLDERS:
            continue
        if item.is_dir():
            yield Problem(f"{item.name}/", 1, f"nobody reads this folder, call it {meant[0]}")
        elif item.suffix in (".yaml", ".yml"):
            yield Problem(item.name, 1, f"nobody reads this file, move it into the folder {meant[0]}/")
