"""Signatures of Amazon SNS: the names that each kind of message signs, and the certificate of the key. Pure.

Only certificates from Amazon's own servers are believed, and only calls to them are made: whoever posts names
both addresses, so they could lead anywhere else (SSRF).
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from tocsin.providers import aws_regions

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIBED = "UnsubscribeConfirmation"

_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED: Mapping[str, tuple[str, ...]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _CONFIRMATION,
    UNSUBSCRIBED: _CONFIRMATION,
}
_HASHES = {"1": SHA1(), "2": SHA256()}  # noqa: S303 (version 1 is SNS's default)
# A region, and nothing else: `sns.s3-us-west-2.amazonaws.com` is a bucket that anybody might have.
_HOST = re.compile(rf"sns\.(?P<region>{aws_regions.REGION})\.[a-z.]+")


def is_amazons(url: str, *, path_end: str = "") -> bool:
    """Tell whether an address leads to a server of SNS, over TLS and at its own port.

    >>> is_amazons("https://sns.eu-west-1.amazonaws.com/a.pem", path_end=".pem")
    True
    >>> is_amazons("https://sns.eusc-de-east-1.amazonaws.eu/a.pem", path_end=".pem")
    True
    >>> is_amazons("https://sns.eu-west-1.amazonaws.com.evil.example/a.pem", path_end=".pem")
    False
    >>> is_amazons("https://sns.s3-us-west-2.amazonaws.com/a.pem", path_end=".pem")
    False
    """
    if not url.isascii() or re.search(r"[\s\\#]", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    named = _HOST.fullmatch(parts.netloc)  # no port, user or capital in it
    is_host = named is not None and parts.netloc == aws_regions.host("sns", named["region"])
    is_path = not path_end or (parts.path.endswith(path_end) and not parts.query and "%" not in parts.path)
    return parts.scheme == "https" and is_host and is_path


def signed_text(envelope: Mapping[str, Any]) -> bytes:
    """Return what is signed of a message: each name and its value, one a line. Nothing of an unknown type."""
    kind = envelope.get("Type")
    names = SIGNED.get(kind, ()) if isinstance(kind, str) else ()
    lines = [f"{name}\n{envelope[name]}\n" for name in names if isinstance(envelope.get(name), str)]
    return "".join(lines).encode("utf-8", "surrogatepass")


def is_signed(envelope: Mapping[str, Any], certificate: bytes) -> bool:
    """Tell whether the key of a certificate signed a message."""
    kind, signature = _HASHES.get(str(envelope.get("SignatureVersion"))), envelope.get("Signature")
    key = _key_of(certificate)
    if kind is None or key is None or not isinstance(signature, str) or not signed_text(envelope):
        return False
    try:
        key.verify(b64decode(signature, validate=True), signed_text(envelope), PKCS1v15(), kind)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


@lru_cache(64)
def _key_of(certificate: bytes) -> RSAPublicKey | None:
    try:
        key = load_pem_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None
