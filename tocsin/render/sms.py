"""Measures how an SMS is encoded and billed: GSM-7 or UCS-2, and the number of segments.

An SMS is 140 octets: 160 septets of GSM 03.38 or 70 UTF-16 units. A text that needs more is sent in segments
that each lose 6 octets to a header. One character outside GSM-7 makes the whole text UCS-2.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple
from unicodedata import normalize

from tocsin.render.currency_codes import with_codes

Encoding = Literal["GSM-7", "UCS-2"]

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""One septet each (3GPP TS 23.038, 6.2.1)."""

GSM_EXTENDED = frozenset("^{}\\[~]|€\f")
"""Two septets each: escape and character."""

_GSM = GSM_BASIC | GSM_EXTENDED


def _outside(characters: Iterable[str]) -> re.Pattern[str]:
    return re.compile(f"[^{re.escape(''.join(sorted(characters)))}]")


# A pattern finds the first other character in a third of the time that a set takes.
_NOT_BASIC, _NOT_GSM = _outside(GSM_BASIC), _outside(_GSM)

ONE: dict[Encoding, int] = {"GSM-7": 160, "UCS-2": 70}
"""Units of a text that fits one SMS."""

MANY: dict[Encoding, int] = {"GSM-7": 153, "UCS-2": 67}
"""Units of one segment of several."""

SMART = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'", "‹": "'", "›": "'",
        "ʼ": "'", "ʻ": "'",  # letters; keyboards write an apostrophe
        "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"', "«": '"', "»": '"',
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
        "…": "...", "•": "-", "\t": " ", "\u00a0": " ", "\u202f": " ", "\u205f": " ", "\u3000": " ",
        **{chr(space): " " for space in range(0x2000, 0x200B)},
        "\u200b": "", "\u2060": "", "\ufeff": "", "\u00ad": "",
        **dict.fromkeys("\u200e\u200f\u2066\u2067\u2068\u2069", ""),  # marks of direction
    }
)  # fmt: skip
"""Typographic characters and what says the same in GSM-7."""


class SmsSize(NamedTuple):
    """Says what a text is billed as."""

    encoding: Encoding
    segments: int


def analyse(text: str) -> SmsSize:
    """Measure a text as providers bill it; an empty text is one segment.

    A character of two units is never split over two segments: one that does not fit begins the next.

    >>> analyse("Gate B12 closes at 14:05")
    SmsSize(encoding='GSM-7', segments=1)
    >>> analyse("a" * 152 + "€" + "a" * 152)
    SmsSize(encoding='GSM-7', segments=3)
    """
    basic = not _NOT_BASIC.search(text)
    encoding: Encoding = "GSM-7" if basic or not _NOT_GSM.search(text) else "UCS-2"
    double = 0 if basic else _doubles(text, encoding)
    units = len(text) + double  # septets or UTF-16 units
    if units <= ONE[encoding]:
        return SmsSize(encoding, 1)
    limit = MANY[encoding]
    segments = _fill(_widths(text, encoding), limit) if double else -(-units // limit)
    return SmsSize(encoding, segments)


class SmsFill(NamedTuple):
    """How full a text makes its segments.

    Attributes:
        units: septets or UTF-16 units of the text.
        room: units that as many segments hold.
        costly: the characters, each once, that are outside of GSM-7 and make the whole text UCS-2.
    """

    units: int
    room: int
    costly: str


def fill(text: str) -> SmsFill:
    """Say how much room a text takes and has.

    >>> fill("Gate B12 closes at 14:05"), fill("Ворота B12").costly
    (SmsFill(units=24, room=160, costly=''), 'Ворта')
    """
    encoding, segments = analyse(text)
    room = ONE[encoding] if segments == 1 else segments * MANY[encoding]
    units = len(text) + _doubles(text, encoding)
    return SmsFill(units, room, "".join(dict.fromkeys(_NOT_GSM.findall(text))))


def smart(text: str, *, currency_codes: bool = True) -> str:
    """Replace typographic characters where that makes the whole text GSM-7; else leave it as it is.

    Accents that are characters of their own join their letter. Where `currency_codes` is set, currency signs
    outside GSM-7 become ISO codes.

    >>> smart("It’s late – sorry"), smart("Это ‘да’"), smart("Only ₹99 – today")
    ("It's late - sorry", 'Это ‘да’', 'Only INR 99 - today')
    """
    plain = normalize("NFC", text).translate(SMART)
    if currency_codes and _NOT_GSM.search(plain):
        plain = with_codes(plain)
    return text if _NOT_GSM.search(plain) else plain


def _doubles(text: str, encoding: Encoding) -> int:
    if encoding == "GSM-7":
        return sum(map(text.count, GSM_EXTENDED))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2 - len(text)


def _widths(text: str, encoding: Encoding) -> Iterable[int]:
    if encoding == "GSM-7":
        return (2 if char in GSM_EXTENDED else 1 for char in text)
    return (2 if char > "\uffff" else 1 for char in text)


def _fill(widths: Iterable[int], limit: int) -> int:
    segments, used = 1, 0
    for width in widths:
        if used + width > limit:
            segments, used = segments + 1, 0
        used += width
    return segments
