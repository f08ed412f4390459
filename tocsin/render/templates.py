"""The template files of a catalog: `templates/<name>/<locale>/<part>.j2`; `_layout/` is shared by mails."""

import re
from collections.abc import Mapping
from pathlib import Path

from tocsin.errors import CatalogError
from tocsin.model.channels import CHANNELS

REQUIRED_PARTS: Mapping[str, tuple[str, ...]] = {name: spec.parts for name, spec in CHANNELS.items()}
OPTIONAL_PARTS: Mapping[str, tuple[str, ...]] = {name: spec.optional_parts for name, spec in CHANNELS.items()}
LAYOUT = "_layout"
LAST_LOCALE = "en"
SUFFIX = ".j2"

_LOCALE = re.compile(r"([a-z]{2,3})(-[A-Z][a-z]{3})?(-(?:[A-Z]{2}|\d{3}))?")


def load_templates(folder: Path) -> dict[str, str]:
    """Read every template below `folder` (the catalog's `templates/`).

    Returns:
        `<name>/<locale>/<part>` (the path without its suffix, `/` on every system) -> source.

    Raises:
        CatalogError: a file is not UTF-8.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    return {path.relative_to(folder).as_posix().removesuffix(SUFFIX): _text(path) for path in paths}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        msg = f"{path}:1: not UTF-8, save it as such"
        raise CatalogError(msg) from error


def normal_locale(locale: str) -> str:
    """Spell a locale as BCP 47 does (`de_at` -> `de-AT`); empty if it cannot be one.

    >>> normal_locale("de_at"), normal_locale("zh-hant-TW"), normal_locale("../etc")
    ('de-AT', 'zh-Hant-TW', '')
    """
    language, *rest = locale.strip().replace("_", "-").split("-")
    subtags = [subtag.title() if len(subtag) == 4 else subtag.upper() for subtag in rest]
    text = "-".join([language.lower(), *subtags])
    return text if _LOCALE.fullmatch(text) else ""


def family(locale: str) -> tuple[str, ...]:
    """List a locale and what it falls back to within its language.

    >>> family("zh-Hant-TW"), family("")
    (('zh-Hant-TW', 'zh-Hant', 'zh'), ())
    """
    subtags = [subtag for subtag in normal_locale(locale).split("-") if subtag]
    return tuple("-".join(subtags[:count]) for count in range(len(subtags), 0, -1))


def find_parts(templates: Mapping[str, str], name: str, channel: str, locale: str) -> dict[str, str] | None:
    """Find the template of each part for a channel in one language.

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
