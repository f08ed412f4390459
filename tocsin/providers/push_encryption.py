"""Encryption of web push messages (RFC 8291): one record of aes128gcm (RFC 8188) for one browser."""

import os
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tocsin.providers.vapid import from_base64

RECORD_BYTES = 4096
OVERHEAD_BYTES = 86 + 16 + 1
"""The header of the record, the tag of AES-GCM and the delimiter."""

_AUTH_BYTES, _SALT_BYTES = 16, 16
_DELIMITER = b"\x02"


class Keys(NamedTuple):
    """What a browser gave out with its subscription: its public point as it wrote it, and a secret."""

    point: bytes
    auth: bytes


def read_keys(p256dh: str, auth: str) -> Keys:
    """Read the keys of a subscription.

    Raises:
        ValueError: the point is not on the curve, or the secret has another length than 16 bytes.
    """
    keys = Keys(from_base64(p256dh), from_base64(auth))
    EllipticCurvePublicKey.from_encoded_point(SECP256R1(), keys.point)
    if len(keys.auth) != _AUTH_BYTES:
        msg = f"auth has {len(keys.auth)} bytes, not {_AUTH_BYTES}"
        raise ValueError(msg)
    return keys


def encrypt(
    plain: bytes, keys: Keys, salt: bytes = b"", sender: EllipticCurvePrivateKey | None = None
) -> bytes:
    """Encrypt for one browser.

    Args:
        plain: at most `RECORD_BYTES - OVERHEAD_BYTES` bytes.
        keys: the browser's.
        salt: 16 bytes; new ones unless given, as only known answers give them.
        sender: the key of this message; a new one unless given.

    Returns:
        The body of the request: salt, record size, the sender's point, and the record.
    """
    salt = salt or os.urandom(_SALT_BYTES)
    sender = sender or generate_private_key(SECP256R1())
    point = sender.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = sender.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP256R1(), keys.point))
    ikm = _derive(shared, keys.auth, b"WebPush: info\x00" + keys.point + point, 32)
    key = _derive(ikm, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derive(ikm, salt, b"Content-Encoding: nonce\x00", 12)
    head = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(point)]) + point
    return head + AESGCM(key).encrypt(nonce, plain + _DELIMITER, None)


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
