"""Signs mails with DKIM (RFC 6376, 8463), the same for every attempt at a message.

dkimpy signs with RSA in pure Python: 10 ms of CPU a mail where OpenSSL takes 1. A mail of ours needs one
canonical form and two kinds of keys, so they are written here; the tests let dkimpy judge the result.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tocsin.providers.vendor import Host

MIN_RSA_BITS = 1024
"""Verifiers take no shorter key (RFC 8301); use 2048."""
SIGNED = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
    "Feedback-ID",
)
"""Headers that are signed if they are there; RFC 8058 asks for those of one-click unsubscribe."""

_NO_KEY = "must be a private key in PEM, without a password: RSA of 1024 bits or more, or Ed25519"
_BLANKS = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r\n[ \t]+")
_LINE = 72

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


class DkimKey(BaseModel):
    """One key of a signing domain; its public half is the TXT record `<selector>._domainkey.<domain>`.

    Attributes:
        domain: that of the sender, or one above it: else DMARC does not count the signature.
        key: private key, PEM text (`key_file` in the file reads it from there).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    domain: Annotated[Host, Field(min_length=1)]
    selector: Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]
    key: SecretStr

    @field_validator("key")
    @classmethod
    def _readable(cls, key: SecretStr) -> SecretStr:
        _load(key)
        return key


def _load(key: SecretStr) -> PrivateKey:
    try:
        found = load_pem_private_key(key.get_secret_value().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(_NO_KEY) from None
    if isinstance(found, Ed25519PrivateKey):
        return found
    if isinstance(found, RSAPrivateKey) and found.key_size >= MIN_RSA_BITS:
        return found
    raise ValueError(_NO_KEY)


class DkimSigner:
    """Signs mails with each of its keys. Receivers that know no Ed25519 read the signature of RSA."""

    def __init__(self, keys: Sequence[DkimKey]) -> None:
        self._keys = [(each, _load(each.key)) for each in keys]

    def sign(self, mail: bytes, at_s: int) -> bytes:
        """Put the signatures before a mail whose lines end with CRLF.

        Args:
            mail: headers, an empty line, the body.
            at_s: time of the signature, in seconds since 1970.
        """
        if not self._keys:
            return mail
        head, _, body = mail.partition(b"\r\n\r\n")
        fields = list(_fields(head))
        digest = b64encode(sha256(relaxed_body(body)).digest()).decode()
        signatures = [_signature(each, key, fields, digest, at_s) for each, key in self._keys]
        return b"".join([*signatures, mail])


def relaxed_body(body: bytes) -> bytes:
    r"""Write a body in its relaxed canonical form (RFC 6376, 3.4.4).

    >>> relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n")
    b' C\r\nD E\r\n'
    """
    lines = [_BLANKS.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"\r\n".join([*lines, b""]) if lines else b""


def relaxed_header(name: str, value: bytes) -> bytes:
    r"""Write a header in its relaxed canonical form (RFC 6376, 3.4.2), without a line end.

    >>> relaxed_header("SUBject", b" A\r\n\t B \t C ")
    b'subject:A B C'
    """
    unfolded = value.replace(b"\r\n", b"")
    return name.lower().encode() + b":" + _BLANKS.sub(b" ", unfolded).strip(b" ")


def _fields(head: bytes) -> Iterator[tuple[str, bytes]]:
    for line in _FOLD.sub(b" ", head).split(b"\r\n"):
        name, _, value = line.partition(b":")
        yield name.decode("ascii", "replace"), value


def _signature(
    settings: DkimKey, key: PrivateKey, fields: Sequence[tuple[str, bytes]], digest: str, at_s: int
) -> bytes:
    signed = [pair for name in SIGNED for pair in reversed(fields) if pair[0].lower() == name.lower()]
    # A second From would be shown and not signed: naming it once more forbids it (RFC 6376, 5.4).
    names = ":".join([*(name for name, _ in signed), "From"])
    algorithm = "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ed25519-sha256"
    tags = (
        f"v=1; a={algorithm}; c=relaxed/relaxed; d={settings.domain};\r\n s={settings.selector}; t={at_s};"
        f"\r\n h={names.replace(':', f':{chr(13)}{chr(10)}  ')};\r\n bh={digest};\r\n b="
    )
    lines = [relaxed_header(name, value) for name, value in signed]
    text = b"\r\n".join([*lines, relaxed_header("DKIM-Signature", tags.encode())])
    return f"DKIM-Signature: {tags}{_folded(_signed(key, text))}\r\n".encode()


def _signed(key: PrivateKey, text: bytes) -> str:
    if isinstance(key, RSAPrivateKey):
        return b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()
    return b64encode(key.sign(sha256(text).digest())).decode()  # RFC 8463: Ed25519 over the hash


def _folded(text: str) -> str:
    return "\r\n  ".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
