"""Standard Webhooks: signs requests, reads secrets, and classes what a receiver's server answers."""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from tocsin.errors import DeliveryError, RecipientGone, Rejected, Throttled, Transient
from tocsin.providers.answers import wait_s
from tocsin.providers.base import Limits
from tocsin.providers.http import Response

LIMITS = Limits(max_bytes=262_144, timeout_s=15)
"""Standard Webhooks asks senders to wait 15 to 30 seconds."""

ERRORS: Mapping[int, type[DeliveryError]] = {
    410: RecipientGone,
    408: Transient,
    425: Transient,
    429: Throttled,
}
"""HTTP status to error; 5xx are `Transient`, and all others refuse the message."""

_SECRET_BYTES = (24, 64)
_PREFIX = "whsec_"
_URL_SAFE = re.compile(r"(?=.*[-_])[A-Za-z0-9_-]{32,86}={0,2}")


def secret_bytes(text: str) -> bytes:
    """Read a secret of Standard Webhooks: `whsec_` and the base64 of 24 to 64 bytes.

    Base64url is refused: the libraries of receivers read base64 alone, so none of them could verify.

    Raises:
        ValueError: it is none; the text does not quote it.
    """
    written = text.removeprefix(_PREFIX)
    try:
        found = b64decode(written + "=" * (-len(written) % 4), validate=True)
    except ValueError:
        found = b""
    least, most = _SECRET_BYTES
    if not least <= len(found) <= most:
        raise ValueError(_fault(written))
    return found


def _fault(written: str) -> str:
    if _URL_SAFE.fullmatch(written):
        return "is base64url, which receivers cannot read: write + for each -, and / for each _"
    least, most = _SECRET_BYTES
    return f"is no secret: write {_PREFIX} and the base64 of {least} to {most} random bytes"


def signed_headers(webhook_id: str, now_s: float, body: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """Build the headers of a signed request.

    Args:
        webhook_id: the same for each attempt, by which the receiver knows a copy.
        now_s: when it is sent.
        body: what is sent.
        secrets: each signs.
    """
    at = str(int(now_s))
    signed = f"{webhook_id}.{at}.".encode() + body
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join([_signature(secret, signed) for secret in secrets]),
    }


def _signature(secret: bytes, signed: bytes) -> str:
    return f"v1,{b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()}"


def utc_text(at_ms: int) -> str:
    """Write a time as RFC 3339, in UTC with milliseconds."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_of(answer: Response, now_s: float) -> DeliveryError:
    """Class an answer by its status alone: the body may say anything of anybody."""
    kind = ERRORS.get(answer.status) or (Transient if answer.status >= 500 else Rejected)
    return kind(f"HTTP {answer.status}", code=str(answer.status), retry_after_s=wait_s(kind, answer, now_s))
