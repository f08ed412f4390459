"""Amazon SNS's contract: signed requests, numbered attributes, XML answers, and our own adapter."""

import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.providers.samples import PHONE, outgoing
from tests.sandbox.box import Box
from tests.sandbox.judging import judged
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.keys import AWS_KEY_ID, AWS_REGION, AWS_SECRET
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.sns_query import Sns
from tocsin.devkit.sandbox.wire import Refusal, Request
from tocsin.errors import DeliveryError, Misconfigured, OptedOut, RecipientGone, Throttled
from tocsin.model.content import SmsContent
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.aws_signature import AwsKeys, AwsSigner
from tocsin.providers.sns import Sns as Adapter

NOW_S = 1_790_000_000
RIGHT = {"Action": "Publish", "Version": "2010-03-31", "PhoneNumber": PHONE, "Message": "Hi"}
SIGNER = AwsSigner(AwsKeys(AWS_KEY_ID, SecretStr(AWS_SECRET)), AWS_REGION, "sns")


def request(form: dict[str, str], *, at_s: int = NOW_S, **headers: str) -> Request:
    body = urlencode(form, errors="replace").encode()
    signed = SIGNER.sign("POST", "http://sandbox:1/sns/", headers, body, at_s) | {"host": "sandbox:1"}
    return Request("POST", "/", "", {k.lower().encode(): v.encode() for k, v in signed.items()}, body)


@pytest.fixture(scope="module")
def sns() -> Sns:
    return Sns(lambda: NOW_S * 1000)


def code_of(verdict: Accepted | Refusal) -> str:
    found = re.search(rb"<Code>(.*)</Code>", verdict.reply.body)
    return found[1].decode() if found else ""


def attribute(name: str, value: str, kind: str = "String", number: int = 1) -> dict[str, str]:
    start = f"MessageAttributes.entry.{number}"
    fields = {f"{start}.Name": name, f"{start}.Value.DataType": kind, f"{start}.Value.StringValue": value}
    return RIGHT | fields


WRONG: list[tuple[dict[str, str], str]] = [
    ({}, "InvalidAction"),
    (RIGHT | {"Action": "PublishBatch"}, "InvalidAction"),
    (RIGHT | {"PhoneNumber": "4915112345678"}, "InvalidParameter"),
    (RIGHT | {"TopicArn": "arn:aws:sns:eu-west-1:1:t"}, "InvalidParameter"),
    (RIGHT | {"Message": ""}, "InvalidParameter"),
    (RIGHT | {"Message": "é" * 801}, "InvalidParameter"),
    (attribute("AWS.SNS.SMS.SMSType", "transactional"), "InvalidParameter"),
    (attribute("AWS.SNS.SMS.SenderID", "12345"), "InvalidParameter"),
    (attribute("AWS.SNS.SMS.SenderID", "a b"), "InvalidParameter"),
    (attribute("AWS.SNS.SMS.Color", "red"), "InvalidParameter"),
    (attribute("AWS.SNS.SMS.MaxPrice", "0.5"), "ParameterValueInvalid"),
    (attribute("AWS.SNS.SMS.MaxPrice", "dear", "Number"), "InvalidParameter"),
    (attribute("AWS.MM.SMS.OriginationNumber", "+1"), "InvalidParameter"),
    (attribute("AWS.SNS.SMS.SMSType", "Promotional", number=2), "MalformedQueryString"),
    (RIGHT | {"MessageAttributes.entry.1.Name": "x"}, "ParameterValueInvalid"),
    (RIGHT | {"MessageAttributes.1": "x"}, "MalformedQueryString"),
]


@pytest.mark.parametrize(("form", "code"), WRONG)
def test_a_wrong_message_is_refused_with_its_code(sns: Sns, form: dict[str, str], code: str) -> None:
    verdict = judged(sns, request(form))
    assert (verdict.reply.status, code_of(verdict)) == (400, code)


def test_a_right_message_has_an_id(sns: Sns) -> None:
    form = attribute("AWS.SNS.SMS.SMSType", "Transactional") | attribute(
        "AWS.SNS.SMS.MaxPrice", "0.50", "Number", 2
    )
    verdict = judged(sns, request(form))
    assert isinstance(verdict, Accepted)
    assert f"<MessageId>{verdict.provider_id}</MessageId>".encode() in verdict.reply.body


def test_who_did_not_sign_is_refused(sns: Sns) -> None:
    late, good = request(RIGHT, at_s=NOW_S - 3600), request(RIGHT)
    other = msgspec.structs.replace(good, body=good.body.replace(b"Hi", b"Ho"))
    bare = msgspec.structs.replace(good, headers={})
    for wrong in (late, other, bare):
        assert isinstance(judged(sns, wrong), Refusal)


@pytest.mark.parametrize(
    ("fault", "http", "code"),
    [
        (Fault("status", status=429), 429, "Throttled"),
        (Fault("status", status=400, code="Throttling"), 400, "Throttling"),
        (Fault("status", status=503), 503, "ServiceUnavailable"),
        (Fault("refused_number"), 400, "InvalidParameter"),
        (Fault("refused_number", code="OptedOut"), 400, "OptedOut"),
    ],
)
def test_ordered_faults_have_amazon_s_form(sns: Sns, fault: Fault, http: int, code: str) -> None:
    refused = sns.fail(fault)
    assert refused is not None
    assert (refused.reply.status, code_of(refused)) == (http, code)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from([*attribute("n", "v")]), st.text(max_size=9)))
def test_sns_never_falls_over(change: dict[str, str]) -> None:
    judged(Sns(lambda: NOW_S * 1000), request(RIGHT | change))


async def test_our_adapter_against_the_sandbox(box: Box) -> None:
    right: dict[str, Any] = {
        "vendor": "sns",
        "access_key_id": AWS_KEY_ID,
        "secret_access_key": AWS_SECRET,
        "region": AWS_REGION,
        "base_url": f"{box.url}/sns",
        "sender": "Fly",
        "max_price": 0.5,
    }
    wrong = right | {"secret_access_key": "another"}
    accounts = parse_accounts({"accounts": {"main": right, "wrong": wrong}}, {}, Path("p.yaml"))
    made = build(accounts, clock=time.time)
    text = SmsContent(text="Gate B12 → B14", segments=1, encoding="UCS-2")
    receipt = await made["main"].send(outgoing("sms", text))
    assert isinstance(made["main"], Adapter)
    assert "monthly spend limit 1 USD" in await made["main"].verify()
    for order, kind in (
        ({"kind": "status", "status": 400, "code": "Throttling"}, Throttled),
        ({"kind": "bounce"}, RecipientGone),
        ({"kind": "refused_number", "code": "OptedOut"}, OptedOut),
    ):
        box.order(order, match={"provider": "sns"}, count=1)
        with pytest.raises(DeliveryError) as caught:
            await made["main"].send(outgoing("sms", text))
        assert type(caught.value) is kind
    with pytest.raises(Misconfigured) as refused:
        await made["wrong"].send(outgoing("sms", text))
    assert refused.value.code == "SignatureDoesNotMatch"
    for provider in made.values():
        await provider.close()
    (record,) = box.send_log()
    assert (record["provider_id"], record["recipient"]) == (receipt.provider_message_id, PHONE)
    assert record["message_id"] == outgoing("sms").message.message_id
    assert box.sent()[0]["content"]["body"] == "Gate B12 → B14"
