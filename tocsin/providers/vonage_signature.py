"""Signatures of Vonage's SMS API, of requests and of delivery receipts alike."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

Method = Literal["md5hash", "md5", "sha1", "sha256", "sha512"]
"""`md5hash` is the account's first setting, a hash of text and secret; the others are HMACs."""

_UNSAFE = str.maketrans("&=", "__")


def signature(fields: Mapping[str, str], secret: str, method: Method) -> str:
    """Sign the fields other than `sig`: hexadecimal, in upper case.

    >>> signature({"b": "x&y", "a": "1"}, "secret", "sha256")[:16]
    '7D7BE3E8D7A2DDA1'
    """
    names = sorted(name for name in fields if name != "sig")
    text = "".join([f"&{name}={fields[name].translate(_UNSAFE)}" for name in names])
    if method == "md5hash":
        # Vonage's scheme asks for MD5; the choice is the account's.
        return hashlib.md5(f"{text}{secret}".encode(), usedforsecurity=False).hexdigest().upper()
    return hmac.digest(secret.encode(), text.encode(), method).hex().upper()
