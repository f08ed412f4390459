"""Bills a text as providers do: GSM-7 or UCS-2, and the number of segments (3GPP 23.038)."""

from typing import NamedTuple

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")
GSM7 = _BASIC | _EXTENDED


class Billing(NamedTuple):
    """Encoding (`GSM-7` or `UCS-2`), units used (septets or UTF-16 units) and segments."""

    encoding: str
    units: int
    segments: int


def bill(text: str) -> Billing:
    """Count the segments of a text; a character of two units is never split over two segments.

    >>> bill("a" * 161)
    Billing(encoding='GSM-7', units=161, segments=2)
    """
    if _BASIC.issuperset(text):
        return _even("GSM-7", len(text), single=160, part=153)
    if GSM7.issuperset(text):
        widths = [2 if char in _EXTENDED else 1 for char in text]
        return _count("GSM-7", widths, single=160, part=153)
    if max(text) <= "\uffff":
        return _even("UCS-2", len(text), single=70, part=67)
    widths = [2 if ord(char) > 0xFFFF else 1 for char in text]
    return _count("UCS-2", widths, single=70, part=67)


def _even(encoding: str, units: int, *, single: int, part: int) -> Billing:
    """Count where every character is one unit."""
    return Billing(encoding, units, 1 if units <= single else -(-units // part))


def _count(encoding: str, widths: list[int], *, single: int, part: int) -> Billing:
    units = sum(widths)
    if units <= single:
        return Billing(encoding, units, 1)
    segments, used = 1, 0
    for width in widths:
        if used + width > part:
            segments, used = segments + 1, 0
        used += width
    return Billing(encoding, units, segments)
