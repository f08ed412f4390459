"""VAPID (RFC 8292): a JWT for each push service, signed with the key that subscriptions are bound to."""

from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tocsin.providers.http import Clock

LIFE_S = 12 * 3600
"""RFC 8292 allows 24 hours, counted by the push service's clock."""

RENEW_BEFORE_S = 3600
"""A token is made anew when it has so much left: it must outlive the call."""

ORIGINS = 1_000
"""Push services whose tokens are kept. Browsers use four; more come from endpoints that people make up."""

_SCALAR_BYTES = 32


class _Signed(NamedTuple):
    header: str
    expires_s: float


def unpadded(data: bytes) -> str:
    """Write bytes in base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_base64(text: str) -> bytes:
    """Read base64 or base64url, padded or not.

    Raises:
        ValueError: it is neither.
    """
    padded = text + "=" * (-len(text) % 4)
    return urlsafe_b64decode(padded) if "-" in text or "_" in text else b64decode(padded, validate=True)


def read_key(text: str) -> EllipticCurvePrivateKey:
    """Read a P-256 private key: PEM, or the 32 bytes in base64url that most tools for VAPID write.

    Raises:
        ValueError: it is neither; the text does not quote it.
    """
    key: object = None
    try:
        if text.lstrip().startswith("-----"):
            key = load_pem_private_key(text.encode(), password=None)
        elif len(scalar := from_base64(text.strip())) == _SCALAR_BYTES:
            key = derive_private_key(int.from_bytes(scalar, "big"), SECP256R1())
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        msg = "is no P-256 private key: give PEM text, or the private key in base64url"
        raise ValueError(msg)
    return key


def public_bytes(key: EllipticCurvePrivateKey) -> bytes:
    """Return the uncompressed public point: 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Vapid:
    """Makes the `Authorization` of requests: one token an origin, used until an hour before it expires.

    Args:
        key: the private key that the subscriptions were made with.
        subject: `mailto:` address or https URL, where a push service finds the sender.
        clock: wall time in seconds.
    """

    def __init__(self, key: EllipticCurvePrivateKey, subject: str, clock: Clock) -> None:
        self._key = key
        self._subject = subject
        self._clock = clock
        self._public = unpadded(public_bytes(key))
        self._by_origin: dict[str, _Signed] = {}

    def header(self, origin: str) -> str:
        """Return `Authorization` for an origin: scheme, host, and a port that is not the default."""
        known = self._by_origin.get(origin)
        now_s = self._clock()
        if known is None or known.expires_s - now_s < RENEW_BEFORE_S:
            if len(self._by_origin) >= ORIGINS:
                self._by_origin.clear()
            known = self._by_origin[origin] = self._sign(origin, int(now_s) + LIFE_S)
        return known.header

    def _sign(self, origin: str, expires_s: int) -> _Signed:
        claims = {"aud": origin, "exp": expires_s, "sub": self._subject}
        token = jwt.encode(claims, self._key, "ES256")
        return _Signed(f"vapid t={token}, k={self._public}", expires_s)
