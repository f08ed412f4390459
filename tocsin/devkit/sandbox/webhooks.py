"""Stands in for a customer's server: verifies signed webhooks as Standard Webhooks says."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import msgspec

from tocsin.devkit.sandbox.content import Inbox, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.keys import HOOK_SECRET
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sent import Call, user_key
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply

TOLERANCE_S = 300


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    timestamp: str
    data: dict[str, Any]


def refusal(status: int, code: str) -> Refusal:
    """Build an error answer."""
    return Refusal(json_reply({"error": code}, status), code)


class Webhooks:
    """Any path is a server of somebody. Messages are signed with `HOOK_SECRET`."""

    name = "webhook"

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._secret = b64decode(HOOK_SECRET.removeprefix("whsec_"))

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        if request.method != "POST":
            raise refusal(405, "method")
        number, at = request.header(b"webhook-id"), request.header(b"webhook-timestamp")
        if not number or not at.isdecimal():
            raise refusal(400, "missing_headers")
        if abs(int(at) - self._clock_ms() / 1000) > TOLERANCE_S:
            raise refusal(400, "timestamp")
        signed = hmac.digest(self._secret, f"{number}.{at}.".encode() + request.body, hashlib.sha256)
        given = request.header(b"webhook-signature").split(" ")
        if not any(hmac.compare_digest(f"v1,{b64encode(signed).decode()}", one) for one in given):
            raise refusal(401, "signature")
        return Accepted([_call(request, number)], Reply(204), number)

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or say that nobody wants it any more."""
        if fault.kind == "status":
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            return Refusal(json_reply({}, fault.status, headers), fault.code or str(fault.status))
        return refusal(410, "gone") if fault.kind in ("dead_token", "bounce", "refused_number") else None


def _call(request: Request, number: str) -> Call:
    try:
        data = msgspec.json.decode(request.body, type=_Document).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise refusal(400, "body") from None
    if data.get("message_id") != number:
        raise refusal(400, "id")
    title, body = str(data.get("title", "")), str(data.get("body", ""))
    return Call(
        provider="webhook",
        channel="webhook",
        recipient=request.path,
        message_id=number,
        user=user_key(str(data.get("tenant", "")), str(data.get("user", ""))),
        title=title,
        text=preview(body),
        content=encode(Inbox(title, body, str(data.get("url", "")))),
    )
