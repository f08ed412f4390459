"""Signature Version 4 against Amazon's own test suite, and what a signature must cover."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tocsin.providers.aws_signature import AwsKeys, AwsSigner

NOW_S = 1_440_938_160  # 2015-08-30T12:36:00Z, the date of Amazon's suite
KEYS = AwsKeys("AKIDEXAMPLE", SecretStr("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YU"
    "uwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8Y"
    "QcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICC"
    "R/oLxBA=="
)
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Vector(NamedTuple):
    """A request of Amazon's suite (`aws-sig-v4-test-suite`), and the signature that it publishes."""

    name: str
    signature: str
    method: str = "GET"
    target: str = "/"
    headers: Mapping[str, str] = {}
    body: bytes = b""
    token: str = ""


VECTORS = (
    Vector("get-vanilla", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    Vector(
        "get-vanilla-empty-query-key",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        target="/?Param1=value1",
    ),
    Vector(
        "get-vanilla-query-order-key-case",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        target="/?Param2=value2&Param1=value1",
    ),
    Vector(
        "get-vanilla-query-unreserved",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        target=f"/?{UNRESERVED}={UNRESERVED}",
    ),
    Vector(
        "get-vanilla-utf8-query",
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        target="/?ሴ=bar",
    ),
    Vector(
        "get-unreserved",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        target=f"/{UNRESERVED}",
    ),
    Vector("get-utf8", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85", target="/ሴ"),
    Vector(
        "get-space",
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        target="/example space/",
    ),
    Vector(
        "get-header-value-trim",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        headers={"My-Header1": " value1", "My-Header2": ' "a   b   c"'},
    ),
    Vector("post-vanilla", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", "POST"),
    Vector(
        "post-vanilla-query",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        "POST",
        "/?Param1=value1",
    ),
    Vector(
        "post-header-key-sort",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        "POST",
        headers={"My-Header1": "value1"},
    ),
    Vector(
        "post-header-value-case",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        "POST",
        headers={"My-Header1": "VALUE1"},
    ),
    Vector(
        "post-x-www-form-urlencoded",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        "POST",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=b"Param1=value1",
    ),
    Vector(
        "post-sts-header-before",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        "POST",
        token=TOKEN,
    ),
)


def signature(headers: Mapping[str, str]) -> str:
    """Take the signature out of the header that carries it."""
    found = re.search(r"Signature=([0-9a-f]{64})$", headers["authorization"])
    assert found
    return found[1]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_amazons_own_vectors(vector: Vector) -> None:
    signer = AwsSigner(KEYS._replace(session_token=SecretStr(vector.token)), "us-east-1", "service")
    url = f"https://example.amazonaws.com{vector.target}"
    sent = signer.sign(vector.method, url, vector.headers, vector.body, NOW_S)
    assert signature(sent) == vector.signature
    assert sent["x-amz-date"] == "20150830T123600Z"
    assert sent.get("x-amz-security-token", "") == vector.token
    assert all(sent[name] == value for name, value in vector.headers.items())


def test_the_example_of_amazons_documentation() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    sent = AwsSigner(KEYS, "us-east-1", "iam").sign("GET", url, headers, b"", NOW_S)
    assert sent["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_a_signer_that_runs_over_midnight_signs_as_a_new_one() -> None:
    signer = AwsSigner(KEYS, "eu-west-1", "ses")
    for now_s in (NOW_S, NOW_S + 86_400, NOW_S):
        fresh = AwsSigner(KEYS, "eu-west-1", "ses")
        assert signer.sign("GET", "https://a.example/", {}, b"", now_s) == fresh.sign(
            "GET", "https://a.example/", {}, b"", now_s
        )


@given(body=st.binary(min_size=1, max_size=50), at=st.integers(0, 49))
def test_a_changed_body_has_another_signature(body: bytes, at: int) -> None:
    changed = bytearray(body)
    changed[at % len(body)] ^= 1
    one, two = [
        AwsSigner(KEYS, "eu-west-1", "sns").sign("POST", "https://a.example/", {}, each, NOW_S)
        for each in (body, bytes(changed))
    ]
    assert signature(one) != signature(two)


def test_no_secret_is_shown() -> None:
    signer = AwsSigner(KEYS, "eu-west-1", "ses")
    assert "wJalrXUtn" not in repr(KEYS)
    assert "wJalrXUtn" not in str(signer.sign("GET", "https://a.example/", {}, b"", NOW_S))
