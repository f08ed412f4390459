"""Writes the text of an SMS as its tenant wants it: characters, the words about stopping, and the length."""

from bisect import bisect_right
from typing import NamedTuple

import regex

from tocsin.catalog.sms import SmsSettings
from tocsin.render.sms import SmsSize, analyse, smart
from tocsin.render.transliteration import without_accents

MAX_SMS_CHARS = 1_600  # of Twilio and SNS
WORD_SLACK = 24  # characters given up at most to end at a word

_GRAPHEME = regex.compile(r"\X")
_LAST_SPACE = regex.compile(r"\s\S*\Z")


class SmsText(NamedTuple):
    """A text as it goes out, and what it is billed as."""

    text: str
    size: SmsSize


def sms_text(text: str, settings: SmsSettings, stop_text: str = "") -> SmsText:
    """Write a text in the tenant's way. It may still be longer than the tenant allows.

    Args:
        text: as rendered, without control characters.
        settings: of the tenant.
        stop_text: how to stop messages; it stays whole where the text is cut. Empty for none.
    """
    ending = f"\n{stop_text}" if stop_text and stop_text not in text else ""
    whole = _plain(f"{text}{ending}", settings)
    most = settings.max_segments
    if settings.too_long != "truncate" or most is None or _fits(whole, most):
        return whole
    return _cut(text, ending, settings, most)


def _fits(written: SmsText, most: int) -> bool:
    return written.size.segments <= most and len(written.text) <= MAX_SMS_CHARS


def _plain(text: str, settings: SmsSettings) -> SmsText:
    """Replace what the settings allow, if that makes the whole text GSM-7."""
    size = analyse(text)
    if size.encoding == "GSM-7" or settings.transliterate == "never":
        return SmsText(text, size)
    plain = smart(text, currency_codes=settings.currency_codes)
    if settings.transliterate == "full":
        plain = without_accents(plain, currency_codes=settings.currency_codes)
    return SmsText(plain, analyse(plain))


def _cut(text: str, ending: str, settings: SmsSettings, most: int) -> SmsText:
    """Keep as much of a text as fits before an ellipsis and the ending, at a word if one is near.

    More text never takes fewer segments, so the place is found by halving. No grapheme is cut.
    """
    text = text[: 10 * MAX_SMS_CHARS]  # replacing shortens a text, but never so much
    ends = [0, *(found.end() for found in _GRAPHEME.finditer(text))]

    def cut_at(number: int) -> SmsText:
        head = text[: ends[number]].rstrip()
        return _plain(
            f"{head}…{ending}" if settings.transliterate != "never" else f"{head}...{ending}", settings
        )

    kept = bisect_right(range(len(ends)), False, key=lambda number: not _fits(cut_at(number), most)) - 1
    head = text[: ends[max(kept, 0)]]
    space = _LAST_SPACE.search(head)
    if space and not text[len(head) : len(head) + 1].isspace() and len(head) - space.start() <= WORD_SLACK:
        kept = ends.index(space.start()) if space.start() in ends else kept
    return cut_at(max(kept, 0))
