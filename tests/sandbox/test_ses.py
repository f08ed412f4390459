"""Amazon SES's contract, as the sheet says it: our own adapter sends, wrong requests get SES's own errors."""

import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
import pytest
from pydantic import SecretStr

from tests.providers.samples import message
from tests.sandbox.box import MESSAGE_ID, Box
from tocsin.devkit.sandbox.keys import AWS_KEY_ID, AWS_REGION, AWS_SECRET
from tocsin.model.content import EmailContent
from tocsin.model.message import Target
from tocsin.providers.aws_signature import AwsKeys, AwsSigner
from tocsin.providers.ses import mail_document

Document = dict[str, Any]
CONTENT = EmailContent("Gate change", "Gate 12\n", "<p>Gate <b>12</b></p>\n", "fly@example.org", "Fly")


def document(**changes: Any) -> Document:
    to = changes.pop("to", "ada@example.com")
    letter = message("email", message_id=MESSAGE_ID, target=Target(to))
    return mail_document(letter, CONTENT) | changes


def send(box: Box, body: object, key: str = AWS_KEY_ID, path: str = "/outbound-emails") -> httpx2.Response:
    """Send a request with a right signature."""
    data = b"" if body is None else msgspec.json.encode(body)
    method = "GET" if body is None else "POST"
    url = f"{box.url}/ses/v2/email{path}"
    signer = AwsSigner(AwsKeys(key, SecretStr(AWS_SECRET)), AWS_REGION, "ses")
    headers = signer.sign(method, url, {"content-type": "application/json"}, data, time.time())
    return box.http.request(method, url, content=data, headers=headers)


def error(answer: httpx2.Response) -> str:
    return str(answer.headers["x-amzn-errortype"]).partition(":")[0]


def test_a_right_mail_is_accepted_recorded_and_shown(box: Box) -> None:
    answer = send(box, document())
    assert answer.status_code == 200
    (record,) = box.send_log()
    assert (record["provider"], record["recipient"], record["message_id"]) == (
        "ses",
        "ada@example.com",
        MESSAGE_ID,
    )
    assert record["provider_id"] == answer.json()["MessageId"]
    (shown,) = box.sent()
    content = shown["content"]
    assert (content["subject"], content["sender_name"]) == ("Gate change", "Fly")
    assert content["html"].strip() == "<p>Gate <b>12</b></p>"
    page = box.http.get(f"/mail/{shown['seq']}")
    assert page.text.strip() == "<p>Gate <b>12</b></p>"


def test_the_quota_can_be_asked(box: Box) -> None:
    assert send(box, None, path="/account").json()["SendQuota"]["MaxSendRate"] == 14


def test_a_wrong_key_is_named(box: Box) -> None:
    answer = send(box, document(), key="AKIDOTHER")
    assert (answer.status_code, error(answer)) == (403, "InvalidClientTokenId")
    unsigned = box.http.post("/ses/v2/email/outbound-emails", json=document())
    assert (unsigned.status_code, error(unsigned)) == (403, "MissingAuthenticationToken")


def raw(change: Callable[[bytes], bytes]) -> Document:
    body = document()
    mail = change(b64decode(body["Content"]["Raw"]["Data"]))
    return body | {"Content": {"Raw": {"Data": b64encode(mail).decode()}}}


WRONG: list[tuple[Document, str]] = [
    (document(Destination={"ToAddresses": []}), "BadRequestException"),
    (document(Destination={"ToAddresses": ["nobody"]}), "BadRequestException"),
    (document(Destination={"ToAddresses": ["adä@example.com"]}), "BadRequestException"),
    (document(Destination={"ToAddresses": [f"p{n}@example.com" for n in range(51)]}), "BadRequestException"),
    (document(Content={}), "BadRequestException"),
    (document(Content={"Raw": {"Data": "###"}}), "SerializationException"),
    (document(Surprise=1), "BadRequestException"),
    (document(EmailTags=[{"Name": "a", "Value": "b c"}]), "BadRequestException"),
    (document(EmailTags=[{"Name": "a", "Value": "x" * 257}]), "BadRequestException"),
    (document(EmailTags=[{"Name": "a", "Value": "b"}] * 2), "BadRequestException"),
    (document(ConfigurationSetName="missing-set"), "NotFoundException"),
    (raw(lambda mail: mail.replace(b"From:", b"Form:")), "BadRequestException"),
    (raw(lambda mail: mail + b"x" * 999), "BadRequestException"),
    (raw(lambda mail: mail.replace(b"fly@example.org", b"fly@unverified.example")), "MessageRejected"),
]


@pytest.mark.parametrize(("body", "name"), WRONG, ids=[f"{n}-{name}" for n, (_, name) in enumerate(WRONG)])
def test_a_wrong_mail_is_refused(box: Box, body: Document, name: str) -> None:
    assert error(send(box, body)) == name
    assert box.send_log() == []


def test_faults_have_ses_s_own_names(box: Box) -> None:
    box.order({"kind": "status", "status": 429, "retry_after_s": 7}, count=1)
    answer = send(box, document())
    assert (answer.status_code, error(answer)) == (429, "TooManyRequestsException")
    assert answer.headers["retry-after"] == "7"
    box.order({"kind": "status", "status": 400, "code": "SendingPausedException"}, count=1)
    assert error(send(box, document())) == "SendingPausedException"
    assert send(box, document(to="bounce+1@example.com")).status_code == 200
    assert box.sent(status="bounced")[0]["recipient"] == "bounce+1@example.com"
