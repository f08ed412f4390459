"""Tokens of unsubscribe links: opaque, bound to recipient and list, impossible to forge."""

from base64 import urlsafe_b64decode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.render_world import SECRET
from tocsin.errors import SettingsError
from tocsin.render.unsubscribe import Subscription, UnsubscribeTokens

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TOKENS = UnsubscribeTokens(SECRET)
ADA = Subscription("default", "ada@example.com", "offers")


@settings(deadline=None)
@given(NAMES, NAMES, NAMES)
def test_a_token_says_what_it_stops(tenant: str, user: str, category: str) -> None:
    subscription = Subscription(tenant, user, category)
    token = TOKENS.make(subscription)
    assert TOKENS.read(token) == subscription
    assert token.isascii()
    assert token.replace("-", "").replace("_", "").isalnum()


def test_a_token_is_the_same_for_the_same_subscription() -> None:
    assert TOKENS.make(ADA) == UnsubscribeTokens(SECRET).make(ADA)


@pytest.mark.parametrize("field", ["tenant", "user", "category"])
def test_a_token_is_bound_to_tenant_user_and_category(field: str) -> None:
    assert TOKENS.make(ADA) != TOKENS.make(ADA._replace(**{field: "other"}))


def test_fields_do_not_run_into_each_other() -> None:
    assert TOKENS.make(Subscription("a", "b", "c")) != TOKENS.make(Subscription("ab", "", "c"))


def test_a_token_shows_nothing_of_the_user() -> None:
    token = TOKENS.make(ADA)
    plain = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for word in (b"ada", b"example", b"offers", b"default"):
        assert word not in plain
        assert word not in token.encode()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.characters(codec="ascii"))
def test_an_altered_token_is_refused(position: int, char: str) -> None:
    token = TOKENS.make(ADA)
    at = position % len(token)
    altered = token[:at] + char + token[at + 1 :]
    # The last letter of base64 may carry unused bits, so another letter can mean the same bytes.
    assert TOKENS.read(altered) in ((None,) if altered != token and at < len(token) - 1 else (None, ADA))


def test_the_other_spelling_of_base64_is_refused() -> None:
    tokens = (TOKENS.make(ADA._replace(user=f"user-{number}")) for number in range(100))
    token = next(token for token in tokens if {"-", "_"} <= set(token))
    assert TOKENS.read(token) is not None
    assert TOKENS.read(token.replace("-", "+")) is None
    assert TOKENS.read(token.replace("_", "/")) is None


@settings(deadline=None)
@given(st.text(max_size=120) | st.binary(max_size=80).map(lambda raw: raw.hex()))
def test_anything_else_is_refused(text: str) -> None:
    assert TOKENS.read(text) is None


@pytest.mark.parametrize("junk", [" ", "\n", "!", "=", "+"])
def test_junk_inside_a_token_is_refused(junk: str) -> None:
    token = TOKENS.make(ADA)
    assert TOKENS.read(token[:8] + junk + token[8:]) is None


def test_tokens_of_another_secret_and_endless_ones_are_refused() -> None:
    assert TOKENS.read(UnsubscribeTokens(b"another secret, as long").make(ADA)) is None
    assert TOKENS.read("A" * 100_000) is None


@pytest.mark.parametrize("secret", [b"", b"fifteen bytes !"])
def test_short_secrets_are_refused(secret: bytes) -> None:
    with pytest.raises(SettingsError, match="16 bytes"):
        UnsubscribeTokens(secret)
