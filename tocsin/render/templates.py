"""Reads the template files of a catalog: `templates/<name>/<locale>/<part>.j2`. Mails share `_layout/`.

A tenant may have files of its own under `tenants/<tenant>/templates/`: each adds to the shared ones, or
replaces the one of the same path.
"""

from collections.abc import Mapping
from pathlib import Path

from tocsin.errors import CatalogError
from tocsin.model.channels import DELIVERED
from tocsin.model.locales import family

REQUIRED_PARTS: Mapping[str, tuple[str, ...]] = {name: spec.parts for name, spec in DELIVERED.items()}
OPTIONAL_PARTS: Mapping[str, tuple[str, ...]] = {
    name: spec.optional_parts for name, spec in DELIVERED.items()
}
LAYOUT = "_layout"
LAST_LOCALE = "en"
SUFFIX = ".j2"


def load_templates(folder: Path) -> dict[str, str]:
    """Read every template below `folder` (the catalog's `templates/`).

    Returns:
        `<name>/<locale>/<part>` (the path without its suffix, `/` on every system) -> source.

    Raises:
        CatalogError: a file is not UTF-8.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    return {path.relative_to(folder).as_posix().removesuffix(SUFFIX): _text(path) for path in paths}


def own_templates(catalog: Path, tenant: str) -> dict[str, str]:
    """Read the templates that a tenant has of its own; raises `CatalogError` as `load_templates` does."""
    return load_templates(catalog / "tenants" / tenant / "templates")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        msg = f"{path}:1: not UTF-8, save it as such"
        raise CatalogError(msg) from error


def find_parts(templates: Mapping[str, str], name: str, channel: str, locale: str) -> dict[str, str] | None:
    """Find the template of each part for a channel in one language.

    Languages stand in for one another as CLDR says (`tocsin.model.locales.family`).
    A regional locale may override single parts of its language, and a part that stands in the folder itself
    (`<name>/url`) serves every language; but a message never mixes languages.

    Returns:
        part -> template name; None if a required part is missing in the whole family.
    """
    tags = family(locale)
    wanted = (*REQUIRED_PARTS[channel], *OPTIONAL_PARTS.get(channel, ()))
    found = {
        part: path
        for part in wanted
        for path in [_first(templates, [*(f"{name}/{tag}/{part}" for tag in tags), f"{name}/{part}"])]
        if path
    }
    return found if tags and found.keys() >= set(REQUIRED_PARTS[channel]) else None


def _first(templates: Mapping[str, str], paths: list[str]) -> str:
    return next((path for path in paths if path in templates), "")
