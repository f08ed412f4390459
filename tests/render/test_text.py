"""Text fit for headers, titles, payloads and links."""

import json
import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.render.text import json_size, one_line, safe_url, shorten, tidy

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
CLUSTERS = st.lists(
    st.sampled_from(["e\u0301", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "a", " ", "ß", "한", "नि", "\r\n"]), max_size=60
).map("".join)


@settings(deadline=None)
@given(TEXTS)
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(char) == "Cc" for char in line)
    assert one_line(line) == line


def test_one_line_keeps_words_apart() -> None:
    assert one_line("  a\r\n\tb\u2028c  ") == "a b c"
    assert one_line("Grüße, 你好 👍") == "Grüße, 你好 👍"


@settings(deadline=None)
@given(TEXTS)
def test_tidy_text_has_no_controls_but_line_feeds(text: str) -> None:
    tidied = tidy(text)
    assert not any(unicodedata.category(char) == "Cc" and char != "\n" for char in tidied)
    assert "\n\n\n" not in tidied
    assert tidy(tidied) == tidied


def test_tidy_keeps_paragraphs() -> None:
    assert tidy("\r\n a \r\n\r\n\r\n\r\nb\tc \n") == "a\n\nb c"


@settings(deadline=None)
@given(TEXTS | CLUSTERS, st.integers(0, 400))
def test_shortened_text_fits(text: str, room: int) -> None:
    short = shorten(text, room)
    assert json_size(short) <= room
    assert short == text or short == "" or short.endswith("…")


@settings(deadline=None)
@given(TEXTS | CLUSTERS, st.integers(0, 400))
def test_shortening_never_splits_what_a_reader_sees_as_one_character(text: str, room: int) -> None:
    short = shorten(text, room)
    if short != text:
        kept = short.removesuffix("…")
        assert text.startswith(kept)
        edges = {found.end() for found in regex.finditer(r"\X", text)} | {0}
        trailing = len(text) - len(text[len(kept) :].lstrip())
        assert edges & set(range(len(kept), trailing + 1))


def test_shortening_ends_at_a_word() -> None:
    assert shorten("the quick brown fox", 15) == "the quick…"
    assert shorten("the quick brown fox", 18) == "the quick brown…"
    assert shorten("the quick brown fox", 19) == "the quick brown fox"


def test_shortening_gives_up_words_only_within_reason() -> None:
    assert shorten("a " + "b" * 100, 60) == "a " + "b" * 55 + "…"
    assert shorten("字" * 30, 30) == "字" * 9 + "…"


def test_joined_emoji_are_kept_whole() -> None:
    family = "👩‍👩‍👧‍👦"
    assert shorten(family * 3, len(family.encode()) * 2 + 3) == family * 2 + "…"
    assert shorten(family * 3, len(family.encode()) + 2) == "…"
    assert shorten(family, 2) == ""


@settings(deadline=None)
@given(TEXTS)
def test_json_size_is_what_json_takes(text: str) -> None:
    least = len(json.dumps(text, ensure_ascii=False).encode()) - 2
    assert json_size(text) == least or "\x7f" in text


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://skylark.example/trips/A1?x=1&y=%20#z", "https://skylark.example/trips/A1?x=1&y=%20#z"),
        (" https://skylark.example/a b ", "https://skylark.example/a%20b"),
        ("https://skylark.example/é\"'<>", "https://skylark.example/%C3%A9%22'%3C%3E"),
        ("skylark://trip/1", "skylark://trip/1"),
        ("https://Straße.example:8443/weiß", "https://xn--strae-oqa.example:8443/wei%C3%9F"),
        ("https://ada@bücher.example?q=ü", "https://ada@xn--bcher-kva.example?q=%C3%BC"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://[2001:db8::1]/ü", "https://[2001:db8::1]/%C3%BC"),
        ("skylark://bücher/x", "skylark://b%C3%BCcher/x"),
    ],
)
def test_links_are_encoded(url: str, safe: str) -> None:
    assert safe_url(url) == safe


@pytest.mark.parametrize(
    "url",
    [
        "",
        "trips/1",
        "//skylark.example",
        "https://",
        "https:// x",
        "javascript:alert(1)",
        "JAVASCRIPT://%0aalert(1)",
        "java\nscript://x",
        "data:text/html,x",
        "data://x",
        "file:///etc/passwd",
        "vbscript://x",
    ],
)
def test_links_that_must_not_be_followed_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a link that may be followed"):
        safe_url(url)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_a_safe_link_cannot_leave_an_attribute_or_a_header(rest: str) -> None:
    try:
        url = safe_url(f"https://skylark.example/{rest}")
    except UnicodeEncodeError:
        return  # a lone surrogate, which JSON cannot carry
    assert url.isascii()
    assert not set(url) & set('"<> \r\n\t\\')
