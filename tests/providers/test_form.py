"""Forms are encoded and decoded as the standard library does it."""

import time
from urllib.parse import parse_qs, parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.providers.form import form_pairs, form_text

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.dictionaries(TEXT, TEXT, max_size=5))
def test_the_same_as_the_standard_library(fields: dict[str, str]) -> None:
    assert form_text(fields) == urlencode(fields)


@given(st.dictionaries(TEXT.filter(bool), TEXT.filter(bool), max_size=5))
def test_whoever_reads_it_gets_the_fields(fields: dict[str, str]) -> None:
    assert parse_qs(form_text(fields), strict_parsing=bool(fields)) == {k: [v] for k, v in fields.items()}


PIECES = b"a|_|.| |	|+|=|&|%41|%c3%A4|%3D|%26|%25|%0A|%00".split(b"|")


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
def test_a_form_is_decoded_as_the_standard_library_does_it(form: bytes) -> None:
    known = parse_qsl(form.decode(), keep_blank_values=True, errors="strict")
    assert form_pairs(form, 2_000) == known


@pytest.mark.parametrize(
    "form",
    [
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"%%41=a",
        b"a=%\n41",
        b"a=%\r\n",
        b"a=b\nc",
        b"a=%FF",
        "a=ä".encode(),
        b"a&b&c",
    ],
)
def test_what_is_no_form_is_refused(form: bytes) -> None:
    with pytest.raises(ValueError, match=r"fields|escape|decode"):
        form_pairs(form, 2)


@pytest.mark.parametrize("field", [b"%41" * 2_700_000, b"%" * 8_000_000])
def test_a_forger_takes_no_second_of_a_processor(field: bytes) -> None:
    """The standard library takes one second for the first of these, and eight for the second."""
    began_s = time.process_time()
    try:
        found = len(form_pairs(b"a=" + field, 2_000))
    except ValueError:
        found = 0
    assert found == (1 if b"41" in field else 0)
    assert time.process_time() - began_s < 0.6
