"""Groups the digits of a number where Babel cannot: Switzerland's `1'234'567`.

Babel reads apostrophes in a finished number as the quotes of a pattern, and removes each pair of them with
what it takes for the quotes of a text (`findings/babel-drops-swiss-apostrophes.sh`).
"""

import re
from typing import Final, Protocol

from babel import Locale
from babel.numbers import get_group_symbol

_APOSTROPHE: Final = "'"
_WHOLE: Final = re.compile(r"\d+")


class Write(Protocol):
    """Writes a number by Babel."""

    def __call__(self, *, group_separator: bool) -> str:
        """Return the number, with its groups or without any."""
        ...


def grouped(write: Write, known: Locale) -> str:
    """Write a number whose digits are grouped as the language does.

    All languages that group with an apostrophe have groups of three.

    >>> from functools import partial
    >>> from babel.numbers import format_decimal
    >>> swiss = Locale.parse("de_CH")
    >>> grouped(partial(format_decimal, 1234567.25, locale=swiss), swiss)
    "1'234'567.25"
    """
    if get_group_symbol(known) != _APOSTROPHE:
        return write(group_separator=True)
    return _WHOLE.sub(_in_threes, write(group_separator=False), count=1)


def _in_threes(digits: re.Match[str]) -> str:
    return f"{int(digits[0]):,}".replace(",", _APOSTROPHE)
