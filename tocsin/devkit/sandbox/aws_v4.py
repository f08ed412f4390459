"""Checks Signature Version 4 of a request, as Amazon's front door does before any service sees it."""

import re
from datetime import UTC, datetime

from pydantic import SecretStr

from tocsin.devkit.sandbox.keys import AWS_KEY_ID, AWS_REGION, AWS_SECRET
from tocsin.devkit.sandbox.wire import Request
from tocsin.providers.aws_signature import AwsKeys, AwsSigner

SKEW_S = 300
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 "
    r"Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_KEYS = AwsKeys(AWS_KEY_ID, SecretStr(AWS_SECRET))


def check(request: Request, service: str, mount: str, now_ms: int) -> str:
    """Return Amazon's name of what is wrong with a signature; empty for a right one.

    Args:
        request: as the vendor sees it, without the mount.
        service: that the signature must name.
        mount: the beginning of the path that was signed, as `/ses`.
        now_ms: wall time; a date that is more than five minutes off is refused.
    """
    written = request.header(b"authorization")
    if not written:
        return "MissingAuthenticationToken"
    found = _AUTHORIZATION.fullmatch(written)
    at = _date_s(request.header(b"x-amz-date"))
    if not found or at is None or "host" not in found["headers"].split(";"):
        return "IncompleteSignature"
    if found["key"] != AWS_KEY_ID:
        return "InvalidClientTokenId"
    scope = (found["region"], found["service"])
    if scope != (AWS_REGION, service) or abs(now_ms / 1000 - at) > SKEW_S:
        return "SignatureDoesNotMatch"
    return (
        "" if _signed(request, service, mount, found["headers"], at) == written else "SignatureDoesNotMatch"
    )


def _signed(request: Request, service: str, mount: str, names: str, at: float) -> str:
    query = f"?{request.query}" if request.query else ""
    url = f"http://{request.header(b'host')}{mount}{request.path}{query}"
    others = [name for name in names.split(";") if name not in ("host", "x-amz-date")]
    headers = {name: request.header(name.encode()) for name in others}
    signer = AwsSigner(_KEYS, AWS_REGION, service)
    return signer.sign(request.method, url, headers, request.body, at)["authorization"]


def _date_s(written: str) -> float | None:
    try:
        return datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
