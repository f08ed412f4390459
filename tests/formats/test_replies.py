"""Replies to text messages: each word in each spelling that a phone makes of it, and nothing else."""

import unicodedata

import pytest

from tocsin.formats.replies import START, STOP, reply_kind

SPELLINGS = (
    "{}",
    " {}. ",
    "{}!",
    "¡{}!",
    "«\u00a0{}\u00a0»",
    "„{}“",
    "{}…",
    "({})",
    "{} \N{PERSON WITH FOLDED HANDS}\ufe0f",
    "\ufeff{}\u200b",
    "{}\r\n",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_word_counts_in_each_spelling(spelling: str) -> None:
    for words, kind in ((STOP, "opted_out"), (START, "resubscribed")):
        for word in words:
            for cased in (word, word.upper(), word.title()):
                for form in ("NFC", "NFD"):
                    text = spelling.format(unicodedata.normalize(form, cased))
                    assert reply_kind(text) == kind, text


def test_no_word_stops_and_starts() -> None:
    assert not STOP & START


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "?",
        "please stop by at noon",
        "stop stop by",
        "don't stop",
        "never start",
        "yes",
        "start?",
        "stopp 5",
    ],
)
def test_other_texts_say_nothing(text: str) -> None:
    assert reply_kind(text) == ""
