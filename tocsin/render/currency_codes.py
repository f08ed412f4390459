"""Writes ISO 4217 codes for the currency signs that GSM-7 lacks: one `₹` makes a whole text message UCS-2.

The signs are those of currencies in use, as CLDR writes them in languages of Latin script. Signs of several
currencies, like `₨` and `ƒ`, stay: no code says the same.
"""

import re
from collections.abc import Mapping
from typing import Final

SIGNS: Final[Mapping[str, str]] = {
    "₹": "INR", "₱": "PHP", "₦": "NGN", "₵": "GHS", "₪": "ILS", "₡": "CRC", "₺": "TRY", "₩": "KRW",
    "₫": "VND", "₲": "PYG", "₼": "AZN", "₾": "GEL", "₽": "RUB", "₴": "UAH", "₸": "KZT", "₮": "MNT",
    "₭": "LAK", "฿": "THB", "៛": "KHR", "৳": "BDT", "֏": "AMD", "؋": "AFN", "⃀": "KGS",
}  # fmt: skip
"""Currency signs outside GSM-7 that mean one currency."""

WORDS: Final[Mapping[str, str]] = {"zł": "PLN", "ZŁ": "PLN", "Kč": "CZK", "KČ": "CZK", "Lekë": "ALL"}
"""Names of currencies with a letter outside GSM-7; they count only as whole words."""

_CODES: Final = {**SIGNS, **WORDS}
_SYMBOL: Final = re.compile(rf"[{''.join(SIGNS)}]|(?<![^\W\d_])(?:{'|'.join(WORDS)})(?!\w)")


def with_codes(text: str) -> str:
    """Replace each currency sign by its code, apart from the number by a space.

    >>> with_codes("₹1,234.50 or 99zł"), with_codes("-₺5"), with_codes("zły")
    ('INR 1,234.50 or 99 PLN', '-TRY 5', 'zły')
    """
    return _SYMBOL.sub(_code, text)


def _code(found: re.Match[str]) -> str:
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    head = " " if before.isalnum() or before in {".", ",", ":"} else ""
    tail = " " if after.isalnum() or after in {"+", "-"} else ""
    return f"{head}{_CODES[found[0]]}{tail}"
