"""Reads the template files of a catalog: `templates/<name>/<locale>/<part>.j2`. Mails share `_layout/`.

A tenant may have files of its own under `tenants/<tenant>/templates/`: each adds to the shared ones, or
replaces the one of the same path.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tocsin.errors import CatalogError
from tocsin.model.channels import spec_of
from tocsin.model.locales import family
from tocsin.render.mjml import MJML, compile_mjml

LAYOUT = "_layout"
LAST_LOCALE = "en"
SUFFIX = ".j2"


def load_templates(folder: Path) -> dict[str, str]:
    """Read every template below `folder` (the catalog's `templates/`).

    Returns:
        `<name>/<locale>/<part>` (the path without its suffix, `/` on every system) -> source. A part written
        in MJML is there twice: as `html.mjml`, and compiled as `html`.

    Raises:
        CatalogError: a file is not UTF-8, or a mistake in MJML.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    found = {path.relative_to(folder).as_posix().removesuffix(SUFFIX): _text(path) for path in paths}
    mistakes = []
    for name in [name for name in found if name.endswith(MJML)]:
        try:
            found[name.removesuffix(MJML)] = _compiled(found, name, folder)
        except CatalogError as error:
            mistakes.append(str(error))
    if mistakes:
        raise CatalogError("\n".join(mistakes))
    return found


def _compiled(templates: Mapping[str, str], name: str, folder: Path) -> str:
    file, part = f"{folder / name}{SUFFIX}", name.removesuffix(MJML)
    if part in templates:
        msg = f"{file}:1: {part}{SUFFIX} is the same part in HTML; remove one of them"
        raise CatalogError(msg)
    return compile_mjml(templates[name], file)


def written(templates: Mapping[str, str]) -> list[str]:
    """List the templates that somebody has written, not what was compiled from one of MJML."""
    return [name for name in templates if name + MJML not in templates]


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

    Args:
        templates: all of a tenant, by name.
        name: of the template.
        channel: says which parts are required, and which optional.
        locale: as the recipient's profile has it.

    Returns:
        part -> template name; None if a required part is missing in the whole family.
    """
    tags = family(locale)
    spec = spec_of(channel)
    wanted = (*spec.parts, *spec.optional_parts)
    found = {
        part: path
        for part in wanted
        for path in [_first(templates, [*(f"{name}/{tag}/{part}" for tag in tags), f"{name}/{part}"])]
        if path
    }
    return found if tags and found.keys() >= set(spec.parts) else None


class ChosenParts(NamedTuple):
    """The templates of a message's parts, and the language that they were asked for in."""

    names: dict[str, str]
    locale: str


def chosen_parts(
    templates: Mapping[str, str], name: str, channel: str, locales: Iterable[str]
) -> ChosenParts | None:
    """Choose the templates of a message: of the first of these languages, or of English, that has all parts.

    Args:
        templates: all of a tenant, by name.
        name: of the template.
        channel: says which parts are required.
        locales: the most wanted first.

    Returns:
        None if every one of them lacks a required part.
    """
    for locale in (*locales, LAST_LOCALE):
        found = find_parts(templates, name, channel, locale)
        if found is not None:
            return ChosenParts(found, locale)
    return None


def locales_of(templates: Mapping[str, str], name: str) -> set[str]:
    """Name the folders of languages that a template has."""
    paths = [path.split("/") for path in templates if path.startswith(f"{name}/")]
    return {steps[1] for steps in paths if len(steps) > 2}


def _first(templates: Mapping[str, str], paths: list[str]) -> str:
    return next((path for path in paths if path in templates), "")
