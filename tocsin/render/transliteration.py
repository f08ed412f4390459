"""Writes Latin letters that GSM-7 lacks without their accents: `ç` as `c`, `ł` as `l`, `œ` as `oe`."""

from collections.abc import Mapping
from typing import Final
from unicodedata import combining, normalize

from tocsin.render.currency_codes import with_codes
from tocsin.render.sms import GSM_BASIC, GSM_EXTENDED, SMART

_GSM: Final = GSM_BASIC | GSM_EXTENDED
LETTERS: Final[Mapping[str, str]] = {
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H",
    "ı": "i", "ŋ": "n", "Ŋ": "N", "œ": "oe", "Œ": "OE", "ŧ": "t", "Ŧ": "T", "ẞ": "SS", "ƒ": "f", "ə": "e",
    "Ə": "E", "ĸ": "k", "ŀ": "l", "Ŀ": "L", "ſ": "s", "°": "o", "º": "o", "ª": "a", "©": "(c)", "®": "(R)",
    "™": "TM", "×": "x", "÷": "/", "µ": "u", "¢": "c", "·": ".", "№": "No",
}  # fmt: skip
"""Letters and signs that have no accent to take away."""


def without_accents(text: str, *, currency_codes: bool = True) -> str:
    """Take accents away where that makes the whole text GSM-7; else leave the text as it is.

    Letters of GSM-7 keep theirs. Where `currency_codes` is set, currency signs become ISO codes.

    >>> without_accents("Ça coûte 5 € à Łódź"), without_accents("Żółw – Привет")
    ('Ça coute 5 € à Lodz', 'Żółw – Привет')
    """
    composed = normalize("NFC", text).translate(SMART)
    if currency_codes:
        composed = with_codes(composed)
    plain = "".join([char if char in _GSM else _plain(char) for char in composed])
    return plain if _GSM.issuperset(plain) else text


def _plain(char: str) -> str:
    """Write one character without its accents; one that has none is replaced by the table."""
    if char in LETTERS:
        return LETTERS[char]
    bare = "".join([part for part in normalize("NFKD", char) if not combining(part)])
    return "".join([LETTERS.get(part, part) for part in bare])
