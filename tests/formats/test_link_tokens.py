"""Tokens of links: they come back as they were made, and nothing else opens."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.samples import message
from tocsin.formats.link_tokens import MAX_TOKEN_CHARS, MAX_URL_CHARS, LinkTokens, TrackedLink
from tocsin.formats.marks import Marks, marked_of
from tocsin.formats.sealed import Seal

SECRET = b"the secret of these links"
TOKENS = LinkTokens(SECRET)
MESSAGE = message("email")
LINK = TrackedLink(MESSAGE.message_id, marked_of(MESSAGE), "https://shop.example/a?b=c", 2, 1_000, 9_000)


@given(url=st.text(max_size=200), number=st.integers(0, 500), at=st.integers(0, 2**50), short=st.booleans())
def test_a_token_says_what_it_was_made_of(url: str, number: int, at: int, short: bool) -> None:
    link = LINK._replace(url=url, number=number, decided_ms=at, expires_ms=at + 1)
    link = link._replace(owner=None) if short else link
    token = TOKENS.make(link)
    assert TOKENS.read(token) == link
    assert TOKENS.make(link) == token, "the same for each attempt"


@settings(max_examples=60)
@given(place=st.integers(0, 10_000), other=st.sampled_from("abcXYZ019-_+/="))
def test_a_changed_token_opens_nothing(place: int, other: str) -> None:
    token = TOKENS.make(LINK)
    place %= len(token)
    changed = token[:place] + other + token[place + 1 :]
    assert changed == token or TOKENS.read(changed) is None


def test_tokens_of_other_secrets_and_purposes_open_nothing() -> None:
    assert TOKENS.read(LinkTokens(b"another secret, long enough").make(LINK)) is None
    assert TOKENS.read(Marks(SECRET).of(MESSAGE)) is None
    assert Marks(SECRET).open(TOKENS.make(LINK)) is None
    assert TOKENS.read(Seal(SECRET, b"tocsin unsub v1").close(b"x" * 40)) is None
    assert TOKENS.read("") is None


def test_the_longest_link_fits_and_a_short_token_is_short() -> None:
    longest = LINK._replace(url="https://a.example/" + "ü" * (MAX_URL_CHARS - 18))
    assert len(TOKENS.make(longest)) < MAX_TOKEN_CHARS
    assert TOKENS.read(TOKENS.make(longest)) == longest
    bare = LINK._replace(owner=None, url="https://skylark.example/f/UA1")
    assert len(TOKENS.make(bare)) < 130
