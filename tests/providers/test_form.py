"""Forms are encoded as the standard library does it."""

from urllib.parse import parse_qs, urlencode

from hypothesis import given
from hypothesis import strategies as st

from tocsin.providers.form import form_text

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.dictionaries(TEXT, TEXT, max_size=5))
def test_the_same_as_the_standard_library(fields: dict[str, str]) -> None:
    assert form_text(fields) == urlencode(fields)


@given(st.dictionaries(TEXT.filter(bool), TEXT.filter(bool), max_size=5))
def test_whoever_reads_it_gets_the_fields(fields: dict[str, str]) -> None:
    assert parse_qs(form_text(fields), strict_parsing=bool(fields)) == {k: [v] for k, v in fields.items()}
