"""Whatever is sent to the judges of e-mail, they accept it or refuse it in the provider's shape."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.sandbox.judging import judged_in_form
from tests.sandbox.test_judges import clock_ms, mutated, post
from tests.sandbox.test_mandrill import mail
from tests.sandbox.test_ses import document
from tocsin.devkit.sandbox.keys import AWS_KEY_ID, AWS_REGION, AWS_SECRET
from tocsin.devkit.sandbox.mailgun_v3 import Mailgun
from tocsin.devkit.sandbox.mandrill_1 import Mandrill
from tocsin.devkit.sandbox.request_handler import Accepted, Vendor
from tocsin.devkit.sandbox.ses_v2 import Ses
from tocsin.devkit.sandbox.wire import Request
from tocsin.providers.aws_signature import AwsKeys, AwsSigner
from tocsin.providers.multipart import multipart_form

KEYS = AwsKeys(AWS_KEY_ID, SecretStr(AWS_SECRET))
VARIABLES = {
    "merge_vars": [{"rcpt": "ada@example.com", "vars": [{"name": "t0", "content": "x"}]}],
    "recipient_metadata": [{"rcpt": "ada@example.com", "values": {"message_id": "a"}}],
}
FORM = [
    ("from", "Fly <fly@example.org>"),
    ("to", "ada@example.com"),
    ("subject", "Hi"),
    ("text", "Hi %recipient.t0%"),
    ("v:message_id", "%recipient.f1%"),
    ("recipient-variables", '{"ada@example.com": {"t0": "ada", "f1": "x"}}'),
]


def ses(body: object) -> Request:
    """Sign a request, so that its body is what is judged."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = "http://127.0.0.1:8025/ses/v2/email/outbound-emails"
    headers = AwsSigner(KEYS, AWS_REGION, "ses").sign("POST", url, {}, data, clock_ms() / 1000)
    named = {name.encode(): value.encode() for name, value in headers.items()}
    return Request("POST", "/v2/email/outbound-emails", "", named | {b"host": b"127.0.0.1:8025"}, data)


def mailgun(body: bytes, kind: str) -> Request:
    login = "Basic " + base64.b64encode(b"api:key").decode()
    return post("/v3/mg.example.org/messages", body, authorization=login, content_type=kind)


def mandrill(body: object) -> Request:
    return post("/api/1.0/messages/send", body)


def test_the_requests_are_right_as_they_are() -> None:
    kind, body = multipart_form(FORM, "x")
    right: list[tuple[Vendor, Request]] = [
        (Ses(clock_ms), ses(document())),
        (Mailgun(), mailgun(body, kind)),
        (Mandrill(), mandrill({"key": "k", "message": mail(**VARIABLES)})),
    ]
    for vendor, request in right:
        assert isinstance(judged_in_form(vendor, request), Accepted)


@settings(max_examples=50)
@given(mutated(document()))
def test_ses_never_falls_over(body: Any) -> None:
    judged_in_form(Ses(clock_ms), ses(body))


@settings(max_examples=50)
@given(mutated({"key": "k", "message": mail(**VARIABLES), "async": False}))
def test_mandrill_never_falls_over(body: Any) -> None:
    judged_in_form(Mandrill(), mandrill(body), highest=500)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from([name for name, _ in FORM] + ["o:tag", "h:X"]), st.text(max_size=20)))
)
def test_mailgun_never_falls_over(fields: list[tuple[str, str]]) -> None:
    kind, body = multipart_form([*FORM, *fields], "x")
    judged_in_form(Mailgun(), mailgun(body, kind))


@given(st.binary(max_size=200))
def test_bytes_never_make_a_judge_of_mail_fall_over(body: bytes) -> None:
    judged_in_form(Ses(clock_ms), ses(body))
    judged_in_form(Mandrill(), mandrill(body), highest=500)
    judged_in_form(Mailgun(), mailgun(body, "multipart/form-data; boundary=x"))
    judged_in_form(Mailgun(), mailgun(body, "application/x-www-form-urlencoded"))


@pytest.mark.parametrize("value", ["x\r\ny", 'a"b', "--form-x", "", "ß☃"])
def test_a_form_is_read_as_it_was_written(value: str) -> None:
    kind, body = multipart_form([*FORM, ("html", value)], "x")
    found = judged_in_form(Mailgun(), mailgun(body, kind))
    assert isinstance(found, Accepted)
    assert json.loads(found.calls[0].content)["html"] == value
