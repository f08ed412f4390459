"""Gives numbers and money the forms that CLDR asks for where Babel does not.

Babel reads apostrophes in a finished number as the quotes of a pattern, and removes each pair of them with
what it takes for the quotes of a text (`findings/babel-drops-swiss-apostrophes.sh`). It also writes
a currency that has no sign of its own against the digits: `CHF12`.
"""

import re
from typing import Final, Protocol
from unicodedata import category

from babel import Locale
from babel.numbers import get_currency_symbol, get_group_symbol

_APOSTROPHE: Final = "'"
_SPACE: Final = "\u00a0"
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


def spaced(money: str, currency: str, known: Locale) -> str:
    r"""Put a no-break space between the letters of a currency and digits (CLDR's currencySpacing).

    >>> english = Locale.parse("en")
    >>> spaced("CHF12.50", "CHF", english), spaced("$12.50", "USD", english)
    ('CHF\xa012.50', '$12.50')
    """
    sign = get_currency_symbol(currency, known)
    if _needs_space(sign[-1]):
        money = re.sub(rf"(?<={re.escape(sign)})(?=\d)", _SPACE, money)
    if _needs_space(sign[0]):
        money = re.sub(rf"(?<=\d)(?={re.escape(sign)})", _SPACE, money)
    return money


def _needs_space(character: str) -> bool:
    """Tell whether a character is neither a sign, such as a dollar's, nor a space."""
    return category(character)[0] not in "SZ"
