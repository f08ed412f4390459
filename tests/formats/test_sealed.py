"""Sealed texts have one spelling: base64 has others for the same bytes, and none of them opens."""

from string import ascii_letters, digits

import pytest

from tocsin.formats.sealed import Seal

SEAL = Seal(b"sixteen bytes or more", b"test")
LETTERS = ascii_letters + digits + "-_+/="


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_no_other_letter_at_the_end_opens_it(size: int) -> None:
    text = SEAL.close(b"x" * size)
    assert [letter for letter in LETTERS if SEAL.open(text[:-1] + letter)] == [text[-1]]


@pytest.mark.parametrize("more", ["=", "==", "A", "AAAA", "!", "\n", " ", "ü"])
def test_nothing_may_be_added(more: str) -> None:
    text = SEAL.close(b"a plain text")
    assert SEAL.open(text) == b"a plain text"
    assert SEAL.open(text + more) is None
    assert SEAL.open(more + text) is None
