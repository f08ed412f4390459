"""Signatures of SendGrid's event webhook: ECDSA over the timestamp and the bytes of the body. Pure."""

import binascii
from base64 import b64decode
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

_ECDSA = ECDSA(SHA256())


@lru_cache(64)
def _public_key(key: str) -> EllipticCurvePublicKey:
    """Read a public key.

    Raises:
        ValueError: it is no public key of an elliptic curve.
    """
    try:
        found = load_der_public_key(b64decode(key, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        found = None
    if isinstance(found, EllipticCurvePublicKey):
        return found
    msg = (
        "is no verification key; copy it from SendGrid: Mail Settings, Event Webhooks, Signature Verification"
    )
    raise ValueError(msg)


def verification_key(key: str) -> str:
    """Check a key as it is configured; empty is none.

    Raises:
        ValueError: it is not one of SendGrid's.
    """
    if key:
        _public_key(key)
    return key


def is_signed(key: str, timestamp: str, body: bytes, signature: str) -> bool:
    """Tell whether a signature is that of a timestamp and a body, as they came.

    Args:
        key: verification key of the event webhook, as SendGrid shows it.
        timestamp: the header; empty if there is none.
        body: byte for byte as it was posted.
        signature: the header, in base64.
    """
    try:
        given = b64decode(signature, validate=True)
        _public_key(key).verify(given, timestamp.encode() + body, _ECDSA)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True
