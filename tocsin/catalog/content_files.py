"""Names the files of a catalog folder that are content, and the version that they make."""

from hashlib import blake2b
from pathlib import Path
from typing import Final

from tocsin.model.zones import ZONE_DATA

_SUFFIXES: Final = (".yaml", ".yml", ".j2")


def content_version(path: Path) -> str:
    """Name this catalog in outcomes: 12 hex digits, the hash of its files, and the release of the zone data.

    Both decide when a message leaves. A shard with another tzdata package shows in its outcomes.
    """
    total = blake2b(digest_size=6)
    for file in catalog_files(path):
        content = file.read_bytes()
        total.update(f"{file.relative_to(path).as_posix()}:{len(content)}:".encode())
        total.update(content)
    return f"{total.hexdigest()}-tz{ZONE_DATA}"


def catalog_files(path: Path) -> list[Path]:
    """List the files of a catalog folder that are content, sorted: notes beside them are none."""
    return sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())


def template_folders(path: Path) -> set[str]:
    """Name the templates of a catalog folder, or of a tenant's own."""
    return {item.name for item in (path / "templates").glob("*") if item.is_dir()}
