"""Invents browsers with a push subscription: the name of one gives its keys, so nobody has to keep them.

The demo publishes the public halves in profiles; the sandbox's push service decrypts with the private ones.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SALT, _SIZE, _LENGTH = 16, 4, 1
_TAG = 16


def private_key(name: str) -> EllipticCurvePrivateKey:
    """Return the private key of a browser."""
    number = int.from_bytes(sha256(f"browser-key/{name}".encode()).digest(), "big")
    return derive_private_key(1 + number % (_ORDER - 1), SECP256R1())


def auth_secret(name: str) -> bytes:
    """Return the secret of a browser's subscription."""
    return sha256(f"browser-auth/{name}".encode()).digest()[:16]


def subscription(push_service: str, name: str) -> dict[str, str]:
    """Return what a profile holds of a browser: its address at a push service, and its keys."""
    return {
        "endpoint": f"{push_service}/{name}",
        "p256dh": _text(_point(private_key(name))),
        "auth": _text(auth_secret(name)),
    }


def decrypt(body: bytes, name: str) -> bytes:
    """Read a message for a browser, as the browser does (RFC 8188, RFC 8291).

    Raises:
        ValueError: it is no single record of aes128gcm for this browser.
    """
    at = _SALT + _SIZE
    length = body[at] if len(body) > at else 0
    salt, size = body[:_SALT], int.from_bytes(body[_SALT:at], "big")
    sender, record = body[at + _LENGTH : at + _LENGTH + length], body[at + _LENGTH + length :]
    if not _TAG + 1 < len(record) <= size:
        msg = "not one record of the size that its header names"
        raise ValueError(msg)
    key = private_key(name)
    shared = key.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP256R1(), sender))
    info = b"WebPush: info\x00" + _point(key) + sender
    secret = HKDF(SHA256(), 32, auth_secret(name), info).derive(shared)
    cipher = AESGCM(HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(secret))
    nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(secret)
    try:
        plain = cipher.decrypt(nonce, record, None).rstrip(b"\x00")
    except InvalidTag as error:
        msg = "not encrypted for this browser"
        raise ValueError(msg) from error
    if not plain.endswith(b"\x02"):
        msg = "the last record has another delimiter than 2"
        raise ValueError(msg)
    return plain[:-1]


def _point(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
