"""User tokens: what opens an inbox, and everything that does not."""

import hmac
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import pytest

from tocsin.formats.sealed import Seal
from tocsin.gateway.inbox.tokens import (
    AUDIENCE,
    LONGEST_S,
    SCOPE,
    BadToken,
    InboxUser,
    sign,
    signing_key,
    verify,
)
from tocsin.gateway.keys import PURPOSE, Key, KeyRing, Secret, hashed

SECRET = b"a secret of the tests"
NOW_MS = 1_764_367_200_000
NOW_S = NOW_MS // 1_000
APP_SECRET = b"what only the company and its server know"
SEAL = Seal(SECRET, PURPOSE)
KEYS = {
    "shop": Key(key_id="k-shop", tenant="shop", scopes=(SCOPE,), secrets=(Secret(hashed("one")),)),
    "bank": Key(key_id="k-bank", tenant="bank", scopes=(SCOPE,), secrets=(Secret(hashed("two")),)),
    "app": Key(
        key_id="k-app", tenant="shop", scopes=(SCOPE,), secrets=(Secret(sealed=SEAL.close(APP_SECRET)),)
    ),
    "other": Key(
        key_id="k-other", tenant="shop", scopes=("events:write",), secrets=(Secret(hashed("three")),)
    ),
}


def opened(token: str, *changed: Key, now_ms: int = NOW_MS) -> InboxUser:
    ring = KeyRing(SEAL, [*KEYS.values(), *changed])
    return verify(token, ring.find, ring.secrets, SECRET, now_ms)


def own(
    key: bytes = signing_key(APP_SECRET), *, kid: object = "k-app", alg: str = "HS256", **claims: Any
) -> str:
    """Make a token as a company's server does; a claim of None is left out."""
    about = {"tenant": "shop", "sub": "ann", "aud": AUDIENCE, "iat": NOW_S, "exp": NOW_S + 600} | claims
    found = {name: value for name, value in about.items() if value is not None}
    return jwt.encode(found, key, alg, {"kid": kid})


def test_a_token_opens_the_inbox_of_its_user() -> None:
    token = sign(KEYS["shop"], SECRET, "ann", NOW_MS, 600)
    assert opened(token) == InboxUser("shop", "ann", NOW_MS + 600_000, NOW_MS)
    assert opened(token).key == "shop/ann"


def test_a_company_signs_by_itself_in_one_line() -> None:
    key = hmac.new(APP_SECRET, b"tocsin:inbox", "sha256").digest()
    assert opened(own(key)) == InboxUser("shop", "ann", NOW_MS + 600_000, NOW_MS)
    assert opened(sign(KEYS["app"], SECRET, "bob", NOW_MS)).user == "bob"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW_S}, "over"),
        ({"iat": NOW_S - LONGEST_S, "exp": NOW_S + 1}, "lasts longer"),
        ({"iat": NOW_S + 120, "exp": NOW_S + 600}, "in the future"),
        ({"exp": float(NOW_S + 10)}, "whole seconds"),
        ({"iat": True}, "whole seconds"),
        ({"aud": "tocsin:unsubscribe"}, "aud"),
        ({"aud": None}, "aud"),
        ({"tenant": "bank"}, "tenant"),
        ({"tenant": None}, "tenant"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 513}, "sub"),
        ({"sub": "ann\0"}, "sub"),
        ({"sub": "\ud800"}, "sub"),
        ({"exp": None}, "exp"),
        ({"iat": None}, "iat"),
    ],
)
def test_claims_that_open_nothing(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadToken, match=reason) as caught:
        opened(own(**claims))
    assert "ann" not in str(caught.value)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "x" * 9_000,
        own(kid="k-nobody"),
        "eyJhbGciOiJIUzI1NiIsImtpZCI6N30.e30.AAAA",
        own(kid="k-bank"),
        own(kid="k-other", key=b"x" * 32),
        own(key=b"another secret of enough length."),
        own(key=APP_SECRET),
        own(key=SECRET.ljust(32)),
        own(key=b"x" * 64, alg="HS512"),
        jwt.encode({"tenant": "shop", "sub": "ann"}, "", "none", {"kid": "k-app"}),
        own() + "x",
        "\ud800.x.x",
        urlsafe_b64encode(b"[" * 2_900).decode() + ".e30.AAAA",
        own()[:-4] + "AAAA",
        sign(KEYS["other"], SECRET, "ann", NOW_MS),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_token_that_nobody_may_use(token: str) -> None:
    with pytest.raises(BadToken):
        opened(token)


def test_a_token_of_one_tenant_is_none_of_another() -> None:
    """Even with the id of the other's key in it: the key that signs depends on tenant and id."""
    token = sign(KEYS["shop"], SECRET, "ann", NOW_MS)
    header, claims, signature = token.split(".")
    swapped = sign(KEYS["bank"], SECRET, "ann", NOW_MS).split(".")[0]
    for forged in (f"{swapped}.{claims}.{signature}", token.replace(header, swapped)):
        with pytest.raises(BadToken):
            opened(forged)


def test_revoking_the_key_ends_its_tokens() -> None:
    revoked = Key(**{**_fields(KEYS["shop"]), "revoked_ms": NOW_MS})
    with pytest.raises(BadToken, match="revoked"):
        opened(sign(KEYS["shop"], SECRET, "ann", NOW_MS), revoked)


def test_rotating_the_key_ends_its_tokens_after_the_overlap() -> None:
    token = sign(KEYS["shop"], SECRET, "ann", NOW_MS)
    old = Secret(hashed("one"), until_ms=NOW_MS + 1_000)
    rotated = Key(**{**_fields(KEYS["shop"]), "secrets": (Secret(hashed("new")), old)})
    assert opened(token, rotated).user == "ann"
    assert opened(sign(rotated, SECRET, "bob", NOW_MS), rotated).user == "bob"
    with pytest.raises(BadToken):
        opened(token, rotated, now_ms=NOW_MS + 1_000)
    assert opened(sign(rotated, SECRET, "bob", NOW_MS), rotated, now_ms=NOW_MS + 1_000).user == "bob"


def _fields(key: Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in key.__struct_fields__}


def test_another_secret_of_the_installation_ends_all() -> None:
    token = sign(KEYS["shop"], b"another secret of it", "ann", NOW_MS)
    with pytest.raises(BadToken):
        opened(token)
