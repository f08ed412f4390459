"""Signatures of Twilio's webhooks (`X-Twilio-Signature`). Pure."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, urlsplit

_PORTS = {"https": 443, "http": 80}


def signature(token: str, url: str, fields: Iterable[tuple[str, str]]) -> str:
    """Sign an address and the fields of a form: names in order, the distinct values of each in order."""
    text = url + "".join([f"{name}{value}" for name, value in sorted(set(fields))])
    return b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode("ascii")


def is_signed(token: str, url: str, fields: Iterable[tuple[str, str]], signed: str) -> bool:
    """Tell whether a signature is that of an address, with or without its port: Twilio uses both.

    Args:
        token: the account's auth token.
        url: the public address that Twilio called, with its query.
        fields: of the form, decoded; none if the body is no form.
        signed: the header `X-Twilio-Signature`; empty if there is none.
    """
    given, pairs = signed.encode(), list(fields)
    found = [hmac.compare_digest(signature(token, each, pairs).encode(), given) for each in _spellings(url)]
    return any(found)


def covers_body(url: str, body: bytes) -> bool:
    """Tell whether the hash in an address is that of a body that is no form."""
    said = [value for name, value in parse_qsl(urlsplit(url).query) if name == "bodySHA256"]
    own = hashlib.sha256(body).hexdigest().encode()
    return bool(said) and all(hmac.compare_digest(own, each.lower().encode()) for each in said)


def _spellings(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        host, port = parts.netloc, parts.port
    except ValueError:  # the caller's Host header, where TOCSIN_GATEWAY_URL is not set
        return
    bare = host.rpartition(":")[0] if port is not None else host
    yield url.replace(host, bare, 1)
    yield url.replace(host, f"{bare}:{port or _PORTS.get(parts.scheme, 443)}", 1)
