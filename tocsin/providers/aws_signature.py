"""Signature Version 4, by which Amazon's APIs know who sends a request."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from tocsin.model.domains import url_host

_ALGORITHM = "AWS4-HMAC-SHA256"
_PLAIN = "-_.~"


class AwsKeys(NamedTuple):
    """An access key; `session_token` belongs to temporary ones."""

    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr = SecretStr("")


class AwsSigner:
    """Signs requests to one service in one region. The key derived for a day is kept."""

    def __init__(self, keys: AwsKeys, region: str, service: str) -> None:
        self._keys = keys
        self._region = region
        self._service = service
        self._day = ""
        self._key = b""

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, now_s: float
    ) -> dict[str, str]:
        """Return the headers to send: those given, the date, the session token, and the signature over all.

        Args:
            method: of the request.
            url: as it is sent. Its host is signed; the transport writes the same into `Host`.
            headers: every other header that is signed, in any case.
            body: as it is sent.
            now_s: wall time in seconds. Amazon refuses a date that is more than 5 minutes off.
        """
        parts = urlsplit(url)
        at = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        sent = {**headers, "x-amz-date": at}
        if token := self._keys.session_token.get_secret_value():
            sent["x-amz-security-token"] = token
        signed = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
        signed = sorted([*signed, ("host", url_host(url))])
        names = ";".join([name for name, _ in signed])
        lines = [f"{name}:{value}" for name, value in signed]
        request = [method, _path(parts.path), _query(parts.query), *lines, "", names, _sha256(body)]
        scope = f"{at[:8]}/{self._region}/{self._service}/aws4_request"
        text = "\n".join([_ALGORITHM, at, scope, _sha256("\n".join(request).encode())])
        signature = _hmac(self._key_of(at[:8]), text).hex()
        credential = f"{self._keys.access_key_id}/{scope}"
        sent["authorization"] = (
            f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        return sent

    def _key_of(self, day: str) -> bytes:
        if day != self._day:
            key = f"AWS4{self._keys.secret_access_key.get_secret_value()}".encode()
            for text in (day, self._region, self._service, "aws4_request"):
                key = _hmac(key, text)
            self._day, self._key = day, key
        return self._key


def _path(path: str) -> str:
    return quote(path or "/", safe=f"/{_PLAIN}")


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join([f"{name}={value}" for name, value in encoded])


def _encoded(text: str) -> str:
    return quote(unquote(text), safe=_PLAIN)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
