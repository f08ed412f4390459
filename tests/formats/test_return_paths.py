"""Tokens of return paths: short, in any case of letters, and nobody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.formats.return_paths import (
    DAY_MS,
    MAX_LOCAL_CHARS,
    TOKEN_CHARS,
    ReturnPaths,
    ReturnToken,
    fits,
    tokens_in,
)
from tocsin.model.ids import digest

PATHS = ReturnPaths(b"the secret of these tests")
NOON_MS = 1_700_000_000_000
IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(message_id=IDS, decided_ms=st.integers(0, 4_000_000_000_000))
def test_a_token_names_its_message_whatever_a_server_does_to_its_case(
    message_id: str, decided_ms: int
) -> None:
    token = PATHS.token(message_id, decided_ms)
    assert len(token) == TOKEN_CHARS
    assert len(f"bounce-{token}") <= MAX_LOCAL_CHARS
    assert list(tokens_in(f"<BOUNCE-{token.upper()}@x>")) == [token.upper()]
    for spelled in (token, token.upper(), token.title()):
        assert PATHS.read(spelled) == ReturnToken(message_id, decided_ms // DAY_MS)


@given(message_id=IDS, at=st.integers(0, TOKEN_CHARS - 1), letter=st.sampled_from("abcdefgh234567"))
def test_an_altered_token_opens_nothing(message_id: str, at: int, letter: str) -> None:
    token = PATHS.token(message_id, NOON_MS)
    altered = token[:at] + letter + token[at + 1 :]
    assert (PATHS.read(altered) is None) == (altered != token)


def test_the_bits_of_the_last_letter_that_say_nothing_are_checked_too() -> None:
    token = PATHS.token(digest("m"), NOON_MS)
    spellings = {token[:-1] + letter for letter in "abcdefghijklmnopqrstuvwxyz234567"}
    assert [spelled for spelled in spellings if PATHS.read(spelled)] == [token]


@pytest.mark.parametrize("text", ["", "a" * TOKEN_CHARS, "1" * TOKEN_CHARS, "ä" * TOKEN_CHARS, "a" * 5_000])
def test_what_is_no_token_opens_nothing(text: str) -> None:
    assert PATHS.read(text) is None


def test_the_token_of_another_secret_opens_nothing() -> None:
    token = ReturnPaths(b"another secret of other people").token(digest("m"), NOON_MS)
    assert PATHS.read(token) is None


def test_a_token_is_found_through_forwarders_and_only_where_it_ends_a_local_part() -> None:
    token = PATHS.token(digest("m"), NOON_MS)
    rewritten = f"SRS0=HH=TT=bounces.example.com=bounce-{token}@forwarder.example"
    assert list(tokens_in(f"to {rewritten} and again {rewritten}")) == [token]
    assert list(tokens_in(f"x{token}@a.example {token} {token}b@a.example")) == []


def test_a_token_grows_old() -> None:
    token = PATHS.read(PATHS.token(digest("m"), NOON_MS))
    assert token
    assert not token.is_expired(NOON_MS + 60 * DAY_MS, 60)
    assert token.is_expired(NOON_MS + 61 * DAY_MS, 60)


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("bounce-{token}@bounces.example.com", True),
        ("bounces-x-{token}@example.com", False),
        ("bounces-{token}@example.com", True),
        ("{token}@example.com", True),
        ("news@example.com", True),
        ("@example.com", False),
    ],
)
def test_the_local_part_has_64_characters_at_most(path: str, good: bool) -> None:
    assert fits(path) is good
