"""Signed requests: HMAC-SHA256 over method, path with query, time, nonce and body. Pure.

    Authorization: TOCSIN-HMAC-SHA256 key=<appKey>, time=<s>, nonce=<16-64>, body=<hex>, signature=<hex>

`body` is the SHA-256 of the body. So a forged request is refused before its body is read, and the body is
held against the hash while it is read. The signature is over these lines, joined by line feeds:
`TOCSIN-HMAC-SHA256`, time, nonce, method, path with query as sent, body.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

SCHEME = "TOCSIN-HMAC-SHA256"
WINDOW_MS = 300_000
"""How far the time of a signed request may be from ours, either way."""
_FIELD = re.compile(r"\s*([a-z]+)=([A-Za-z0-9_-]+)\s*")
_FORMS = {
    "key": re.compile(r"[0-9a-f]{16}"),
    "time": re.compile(r"[0-9]{1,12}"),
    "nonce": re.compile(r"[A-Za-z0-9_-]{16,64}"),
    "body": re.compile(r"[0-9a-f]{64}"),
    "signature": re.compile(r"[0-9a-f]{64}"),
}
_NO_SECRET = b"0" * 43


class Signed(NamedTuple):
    """The fields of the header.

    Attributes:
        key: id of the key.
        time_s: when it was signed, seconds since 1970.
        nonce: makes this request another one than each before.
        body: SHA-256 of the body, hex digits.
        signature: HMAC-SHA256, hex digits.
    """

    key: str
    time_s: int
    nonce: str
    body: str
    signature: str


def read(fields: str) -> Signed | str:
    """Read what follows the scheme in the header; a text says what is wrong with it.

    >>> read("key=0123456789abcdef, time=1")
    'lacks `nonce`'
    """
    found: dict[str, str] = {}
    for part in fields.split(","):
        pair = _FIELD.fullmatch(part)
        if pair is None or pair[1] not in _FORMS or pair[1] in found:
            return "must be `key=…, time=…, nonce=…, body=…, signature=…`, each once"
        found[pair[1]] = pair[2]
    for name, form in _FORMS.items():
        if name not in found:
            return f"lacks `{name}`"
        if not form.fullmatch(found[name]):
            return f"has a `{name}` of another form than {form.pattern}"
    return Signed(found["key"], int(found["time"]), found["nonce"], found["body"], found["signature"])


def is_timely(signed: Signed, now_ms: int) -> bool:
    """Tell whether a request was signed within the window."""
    return abs(now_ms - signed.time_s * 1_000) <= WINDOW_MS


def is_proved(signed: Signed, method: str, target: str, secrets: Iterable[bytes]) -> bool:
    """Tell whether one of the secrets made the signature. Without any it takes as long."""
    text = text_of(method, target, signed.time_s, signed.nonce, signed.body)
    known = tuple(secrets)
    proved = [hmac.compare_digest(mac(each, text), signed.signature) for each in known or (_NO_SECRET,)]
    return any(proved) and bool(known)


def text_of(method: str, target: str, time_s: int, nonce: str, body: str) -> str:
    """Write what is signed."""
    return "\n".join((SCHEME, str(time_s), nonce, method, target, body))


def mac(secret: bytes, text: str) -> str:
    """Compute the signature of a text."""
    return hmac.digest(secret, text.encode(), "sha256").hex()


def authorization(
    key: str, secret: str, method: str, target: str, body: bytes, time_s: int, nonce: str
) -> str:
    """Sign a request: the value of its header `Authorization`."""
    body_hash = sha256(body).hexdigest()
    signature = mac(secret.encode(), text_of(method, target, time_s, nonce, body_hash))
    return f"{SCHEME} key={key}, time={time_s}, nonce={nonce}, body={body_hash}, signature={signature}"
