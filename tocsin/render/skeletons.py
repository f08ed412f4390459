"""Finds how a locale writes a CLDR skeleton, such as `MMMEdHm`.

Babel looks a skeleton up, and takes one that is near. Unicode's TR35 goes further, and so do we: `j` is the
hour as the locale counts it, a date and a time without a common form are joined, and names get the width that
the skeleton asks for.
"""

import re
from functools import lru_cache, partial
from typing import Final

from babel import Locale
from babel.dates import PATTERN_CHARS, match_skeleton

TIME_FIELDS: Final = frozenset("abBhHkKjmsSAzZOvVXx")
_KNOWN: Final = frozenset(PATTERN_CHARS) | {"j"}
_NAMES: Final = {"M": re.compile(r"'[^']*'|M{3,}|L{3,}"), "E": re.compile(r"'[^']*'|E+|c{3,}")}
"""Where a pattern writes the names of months and weekdays, beside quoted text."""
_SHORT: Final = 3
"""Letters of an abbreviated name: `MMM` is Feb, `MMMM` February, `M` a number."""


@lru_cache(1024)
def pattern_of(skeleton: str, locale: str) -> str:
    """Return the pattern that writes a skeleton in a locale.

    >>> pattern_of("MMMEdHm", "en"), pattern_of("jm", "en_GB"), pattern_of("EEEE", "de")
    ('E, MMM d, HH:mm', 'HH:mm', 'cccc')

    Raises:
        ValueError: CLDR has no form for it.
    """
    known = Locale.parse(locale)
    wanted = re.sub("j+", _hour(known), skeleton)
    if found := _matched(wanted, known) or _joined(wanted, known):
        return found
    msg = "no skeleton of CLDR"
    raise ValueError(msg)


def _hour(known: Locale) -> str:
    return "H" if re.search("[Hk]", str(known.time_formats["short"].pattern)) else "h"


def _matched(skeleton: str, known: Locale) -> str:
    forms = known.datetime_skeletons
    if not skeleton or not _KNOWN.issuperset(skeleton):
        return ""
    found = skeleton if skeleton in forms else match_skeleton(skeleton, forms)
    return _widened(str(forms[found].pattern), skeleton) if found else ""


def _widened(pattern: str, skeleton: str) -> str:
    """Write names in full where the skeleton does; quoted text stays."""
    for field, names in _NAMES.items():
        width = skeleton.count(field)
        if width > _SHORT:
            pattern = names.sub(partial(_wider, width), pattern)
    return pattern


def _wider(width: int, found: re.Match[str]) -> str:
    letter = found[0][0]
    return found[0] if letter == "'" else letter * width


def _joined(skeleton: str, known: Locale) -> str:
    """Join the forms of the date and of the time, as the locale joins the two."""
    date = "".join([field for field in skeleton if field not in TIME_FIELDS])
    time = "".join([field for field in skeleton if field in TIME_FIELDS])
    parts = _matched(date, known), _matched(time, known)
    if not all(parts):
        return ""
    style = {0: "short", 1: "short", 2: "short", _SHORT: "medium"}.get(date.count("M"), "long")
    if style == "long" and "E" in date:
        style = "full"
    joined = str(known.datetime_formats[style])
    return re.sub(r"\{([01])\}", lambda place: parts[1 - int(place[1])], joined)
