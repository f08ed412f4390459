"""Signatures as Amazon's front door judges them: each way to be wrong has its name."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from tocsin.devkit.sandbox.aws_v4 import check
from tocsin.devkit.sandbox.keys import AWS_KEY_ID, AWS_REGION, AWS_SECRET
from tocsin.devkit.sandbox.wire import Request
from tocsin.providers.aws_signature import AwsKeys, AwsSigner

NOW_MS = 1_790_000_000_000
KEYS = AwsKeys(AWS_KEY_ID, SecretStr(AWS_SECRET))


def signed(keys: AwsKeys = KEYS, region: str = AWS_REGION, service: str = "ses", age_s: float = 0) -> Request:
    headers = {"content-type": "application/json"}
    url = "http://127.0.0.1:8025/ses/v2/email/outbound-emails?a=b"
    sent = AwsSigner(keys, region, service).sign("POST", url, headers, b"{}", NOW_MS / 1000 - age_s)
    return seen("POST", sent | {"host": "127.0.0.1:8025"}, b"{}")


def seen(method: str, headers: Mapping[str, str], body: bytes) -> Request:
    """Build the request as a vendor sees it: without the mount."""
    named = {name.encode(): value.encode() for name, value in headers.items()}
    return Request(method, "/v2/email/outbound-emails", "a=b", named, body)


def judged(request: Request) -> str:
    return check(request, "ses", "/ses", NOW_MS)


def changed(**fields: Any) -> Request:
    return msgspec.structs.replace(signed(), **fields)


def without(name: bytes) -> Request:
    headers = dict(signed().headers)
    del headers[name]
    return changed(headers=headers)


def test_a_right_signature_is_taken() -> None:
    assert judged(signed()) == ""
    assert judged(signed(KEYS._replace(session_token=SecretStr("temporary")))) == ""
    assert judged(signed(age_s=299)) == ""


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (without(b"authorization"), "MissingAuthenticationToken"),
        (without(b"x-amz-date"), "IncompleteSignature"),
        (changed(headers=signed().headers | {b"authorization": b"Bearer x"}), "IncompleteSignature"),
        (changed(headers=signed().headers | {b"x-amz-date": b"today"}), "IncompleteSignature"),
        (signed(KEYS._replace(access_key_id="AKIDOTHER")), "InvalidClientTokenId"),
        (signed(KEYS._replace(secret_access_key=SecretStr("wrong"))), "SignatureDoesNotMatch"),
        (signed(region="us-east-1"), "SignatureDoesNotMatch"),
        (signed(service="sns"), "SignatureDoesNotMatch"),
        (signed(age_s=301), "SignatureDoesNotMatch"),
        (signed(age_s=-301), "SignatureDoesNotMatch"),
        (changed(body=b"{ }"), "SignatureDoesNotMatch"),
        (changed(method="PUT"), "SignatureDoesNotMatch"),
        (changed(query=""), "SignatureDoesNotMatch"),
        (changed(path="/v2/email/account"), "SignatureDoesNotMatch"),
        (changed(headers=signed().headers | {b"content-type": b"text/plain"}), "SignatureDoesNotMatch"),
        (changed(headers=signed().headers | {b"host": b"other"}), "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_one_is_named(request_: Request, name: str) -> None:
    assert judged(request_) == name
