"""Language tags, as other systems write them, and the languages that may stand in for one another (CLDR).

Java, POSIX and browsers write one language in many ways. Tocsin keeps one spelling: language, script and
region of BCP 47, with the codes that CLDR uses today. Aliases, likely subtags and parents are those of Babel.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from babel.core import get_global

_TAG: Final = re.compile(
    r"(?P<language>[A-Za-z]{2,3})(?:[-_](?P<script>[A-Za-z]{4}))?(?:[-_](?P<region>[A-Za-z]{2}|\d{3}))?"
    r"(?P<rest>(?:[-_]+#?[A-Za-z0-9]{1,8})*)"
)
_JAVA_SCRIPT: Final = re.compile(r"#([A-Za-z]{4})\b")
_SCRIPTS: Final = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab"}
_LONGEST: Final = 64
# Babel has no macrolanguages. These are the languages that ISO 639-3 counts to Arabic and to Chinese.
_ARABIC: Final = (
    "aao abh abv acm acq acw acx acy adf aeb aec afb apc apd arq ars ary arz auz avl ayh ayl ayn"
    " ayp pga shu ssh"
)
_CHINESE: Final = "cdo cjy cpx czh czo gan hak hsn mnp nan wuu yue"
_MACRO: Final = dict.fromkeys(_ARABIC.split(), "ar") | dict.fromkeys(_CHINESE.split(), "zh")
_TWO_SCRIPTS: Final = frozenset(["az", "bs", "pa", "sr", "uz", "zh"])
_NORWEGIAN: Final = "no"


@lru_cache(4096)
def resolve(text: str) -> str:
    """Return the tag that a text means: language, script, region; empty if it names no language.

    An encoding, a modifier, variants and extensions are left out; old codes become those of today.

    >>> resolve("en_US@calendar=japanese"), resolve("sr_RS@latin"), resolve("iw-IL"), resolve("no_NO.UTF-8")
    ('en-US', 'sr-Latn-RS', 'he-IL', 'nb-NO')
    """
    if len(text) > _LONGEST:
        return ""
    name, _, modifier = text.strip().partition("@")
    found = _TAG.fullmatch(name.partition(".")[0])
    if found is None:
        return ""
    java = _JAVA_SCRIPT.search(found["rest"])
    script = found["script"] or (java[1] if java else _SCRIPTS.get(modifier.lower(), ""))
    return _of_today(found["language"].lower(), script.title(), (found["region"] or "").upper())


def _of_today(language: str, script: str, region: str) -> str:
    if language == _NORWEGIAN:
        return _joined("nb", script, region)
    alias = get_global("language_aliases").get(language, language)
    language, *implied = alias.split("_")
    for subtag in implied:
        script, region = (script or subtag, region) if len(subtag) == 4 else (script, region or subtag)
    successors = get_global("territory_aliases").get(region, ())
    return _joined(language, script, successors[0] if len(successors) == 1 else region)


def _joined(*subtags: str) -> str:
    return "-".join(filter(None, subtags))


def _split(tag: str) -> tuple[str, str, str]:
    language, *rest = tag.split("-")
    script = next((subtag for subtag in rest if len(subtag) == 4), "")
    return language, script, next((subtag for subtag in rest if len(subtag) != 4), "")


@lru_cache(4096)
def family(text: str) -> tuple[str, ...]:
    """List a locale and those that may stand in for it, the nearest first; nothing if it is none.

    >>> family("zh-TW"), family("es-MX"), family("nn")
    (('zh-TW', 'zh-Hant-TW', 'zh-Hant', 'zh', 'zh-Hans'), ('es-MX', 'es-419', 'es'), ('nn', 'nb', 'no'))
    """
    tag = resolve(text)
    return tuple(dict.fromkeys(_walk(tag))) if tag else ()


def _walk(tag: str) -> Iterator[str]:
    language, _, region = _split(tag)
    while tag:
        yield tag
        if twin := _twin(tag):
            yield twin
        tag = _parent(twin if "-" in tag and len(twin) > len(tag) else tag)
    if macro := _MACRO.get(language):
        yield from _walk(_joined(macro, _likely_script(language, region) if macro == "zh" else "", region))


def _twin(tag: str) -> str:
    """Return the same locale with its script left out, or named; empty where nobody would write it so."""
    language, script, region = _split(tag)
    likely = _likely_script(language, region)
    if script:
        return _joined(language, region) if script == likely else ""
    is_written = language in _TWO_SCRIPTS or likely != _likely_script(language, "")
    return _joined(language, likely, region) if is_written else ""


def _likely_script(language: str, region: str) -> str:
    likely = get_global("likely_subtags")
    full = likely.get(f"{language}_{region}") or likely.get(language) or ""
    return next((subtag for subtag in full.split("_") if len(subtag) == 4), "")


def _parent(tag: str) -> str:
    parent = str(get_global("parent_exceptions").get(tag.replace("-", "_"), "")).replace("_", "-")
    if parent == _NORWEGIAN and tag != "nb":
        return "nb"
    if parent == _NORWEGIAN or parent.partition("-")[0] == tag.partition("-")[0]:
        return parent
    return tag.rpartition("-")[0]
