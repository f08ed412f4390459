"""API keys: what is kept, what proves one, and what rotation and revocation change. Pure."""

import hmac
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.formats.sealed import Seal
from tocsin.gateway import signing
from tocsin.gateway.keys import PURPOSE, Key, KeyRing, bearer, kept, new_id, new_secret

SEAL = Seal(b"a secret of 16 bytes or more", PURPOSE)
SECRETS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=43, max_size=43
)


def a_key(*secrets: str, signs: bool = False, until_ms: int = 0, revoked_ms: int = 0) -> Key:
    return Key(
        key_id=new_id(),
        tenant="shop",
        scopes=("events:write",),
        secrets=tuple(kept(each, SEAL if signs else None, until_ms) for each in secrets),
        revoked_ms=revoked_ms,
    )


def test_what_is_kept_does_not_hold_the_secret() -> None:
    secret = new_secret()
    stored = msgspec.json.encode([a_key(secret), a_key(secret, signs=True)])
    assert secret.encode() not in stored


@given(st.lists(SECRETS, min_size=1, max_size=3, unique=True), SECRETS)
def test_a_bearer_key_is_proved_by_its_secrets_only(secrets: list[str], other: str) -> None:
    key = a_key(*secrets)
    ring = KeyRing(SEAL, [key])
    assert all(ring.by_bearer(bearer(key.key_id, each), 0) is key for each in secrets)
    assert (ring.by_bearer(bearer(key.key_id, other), 0) is key) == (other in secrets)
    assert ring.by_bearer(bearer(new_id(), secrets[0]), 0) is None


@pytest.mark.parametrize(
    "text", ["", "tk_", "tk_0123456789abcdef_", "tk_0123456789abcdef_" + "é" * 43, "x" * 9_000]
)
def test_other_texts_prove_nothing(text: str) -> None:
    assert KeyRing(SEAL, [a_key("s" * 43)]).by_bearer(text, 0) is None


def test_a_secret_counts_until_its_end_and_a_revoked_key_never() -> None:
    key = a_key("s" * 43, until_ms=1_000)
    text = bearer(key.key_id, "s" * 43)
    ring = KeyRing(SEAL, [key])
    assert ring.by_bearer(text, 999) is key
    assert ring.by_bearer(text, 1_000) is None
    ring.add(msgspec.structs.replace(key, revoked_ms=1))
    assert ring.by_bearer(text, 0) is None
    assert ring.active(key.key_id, 0) is None


def test_a_signing_secret_is_no_bearer_key() -> None:
    key = a_key("s" * 43, signs=True)
    ring = KeyRing(SEAL, [key])
    assert ring.by_bearer(bearer(key.key_id, "s" * 43), 0) is None
    found = ring.active(key.key_id, 0)
    assert found is not None
    assert found.secrets == (b"s" * 43,)


def test_a_key_sealed_under_another_secret_signs_nothing() -> None:
    key = a_key("s" * 43, signs=True)
    other = KeyRing(Seal(b"another secret of 16 bytes", PURPOSE), [key])
    assert other.secrets(key, 0) == ()


def test_the_signature_is_the_documented_one() -> None:
    """Compute it by hand, as a client in another language would."""
    body_hash = sha256(b'{"a": 1}').hexdigest()
    text = f"TOCSIN-HMAC-SHA256\n1000\nnonce-nonce-nonce\nPOST\n/v1/events?x=1\n{body_hash}"
    wanted = hmac.new(b"secret", text.encode(), sha256).hexdigest()
    header = signing.authorization(
        "0123456789abcdef", "secret", "POST", "/v1/events?x=1", b'{"a": 1}', 1_000, "nonce-nonce-nonce"
    )
    assert header.endswith(f"signature={wanted}")
    assert signing.read(header.partition(" ")[2]) == signing.Signed(
        "0123456789abcdef", 1_000, "nonce-nonce-nonce", body_hash, wanted
    )


@given(st.integers(0, 5), st.binary(min_size=1, max_size=3))
def test_each_part_of_a_request_is_signed(changed: int, how: bytes) -> None:
    mark = how.hex()
    parts = ["POST", "/v1/events", "1000", "nonce-nonce-nonce", sha256(b"body").hexdigest()]
    method, target, time_s, nonce, body = parts
    signature = signing.mac(b"secret", signing.text_of(method, target, int(time_s), nonce, body))
    signed = signing.Signed("0123456789abcdef", int(time_s), nonce, body, signature)
    assert signing.is_proved(signed, method, target, [b"other", b"secret"])
    forged = [
        signing.is_proved(signed, method + mark, target, [b"secret"]),
        signing.is_proved(signed, method, target + mark, [b"secret"]),
        signing.is_proved(signed._replace(time_s=1_000 + int(mark, 16) + 1), method, target, [b"secret"]),
        signing.is_proved(signed._replace(nonce=nonce + mark), method, target, [b"secret"]),
        signing.is_proved(signed._replace(body=sha256(how).hexdigest()), method, target, [b"secret"]),
        signing.is_proved(signed, method, target, []),
    ]
    assert not forged[changed]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ("", "must be `key="),
        ("key=0123456789abcdef, key=0123456789abcdef", "each once"),
        ("key=0123456789abcdef, colour=red", "each once"),
        ("key=0123456789abcdef, time=1, nonce=short, body=00, signature=00", "`nonce` of another form"),
        ("key=ABC, time=1", "`key` of another form"),
    ],
)
def test_a_wrong_header_is_told(fields: str, wrong: str) -> None:
    found = signing.read(fields)
    assert isinstance(found, str)
    assert wrong in found


@given(st.text(max_size=200))
def test_no_header_breaks_the_reader(fields: str) -> None:
    assert isinstance(signing.read(fields), str | signing.Signed)


@pytest.mark.parametrize(("now_s", "timely"), [(700, True), (699, False), (1_300, True), (1_301, False)])
def test_the_window_is_five_minutes_either_way(now_s: int, timely: bool) -> None:
    signed = signing.Signed("0123456789abcdef", 1_000, "n" * 16, "", "")
    assert signing.is_timely(signed, now_s * 1_000) is timely
