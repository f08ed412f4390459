"""What a mail brings arrives in the sandbox by every vendor, and is listed there; a wrong form is refused."""

import base64
import time
from typing import Any

import msgspec
import pytest

from tests.providers.samples import outgoing
from tests.providers.sending import built
from tests.providers.test_attached_mails import LOGO, PDF, attached
from tests.sandbox.box import Box, mail_document
from tests.sandbox.test_asking import adapter as http_adapter
from tocsin.devkit.sandbox.keys import AWS_KEY_ID, AWS_REGION, AWS_SECRET
from tocsin.providers.base import Provider

pytestmark = pytest.mark.integration


def adapter(box: Box, vendor: str) -> Provider:
    if vendor in ("sendgrid", "mailgun", "mandrill"):
        return http_adapter(box, vendor)
    accounts: dict[str, dict[str, Any]] = {
        "smtp": {"host": "127.0.0.1", "port": box.smtp_port, "security": "plain"},
        "ses": {
            "base_url": f"{box.url}/ses",
            "region": AWS_REGION,
            "access_key_id": AWS_KEY_ID,
            "secret_access_key": AWS_SECRET,
        },
    }
    return built({"vendor": vendor, **accounts[vendor]}, time.time)


@pytest.mark.parametrize("vendor", ["smtp", "ses", "sendgrid", "mailgun", "mandrill"])
async def test_attachments_and_images_arrive(box: Box, vendor: str) -> None:
    provider = adapter(box, vendor)
    await provider.send(attached(PDF, LOGO))
    await provider.send(msgspec.structs.replace(outgoing("email"), attachments=()))
    await provider.close()
    plain, full = box.sent()
    assert plain["content"]["attachments"] == []
    found = {(file["type"], file["size"], file["cid"]) for file in full["content"]["attachments"]}
    assert found == {(PDF.type, len(PDF.content), ""), (LOGO.type, len(LOGO.content), "logo")}
    assert PDF.name in [file["name"] for file in full["content"]["attachments"]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": "", "filename": "a.pdf"},
        {"content": "%%%", "filename": "a.pdf"},
        {"content": "eA==", "filename": ""},
        {"content": "eA==", "filename": "a.pdf", "disposition": "inline"},
        {"content": "eA==", "filename": "a.pdf", "disposition": "beside"},
    ],
)
def test_sendgrid_refuses_a_wrong_attachment(box: Box, wrong: dict[str, str]) -> None:
    assert box.sendgrid(mail_document(attachments=[wrong])).status_code == 400


def test_mandrill_and_mailgun_refuse_what_is_no_image_or_no_field(box: Box) -> None:
    file = {"type": "application/pdf", "name": "x", "content": base64.b64encode(b"x").decode()}
    message = {
        "from_email": "a@example.com",
        "to": [{"email": "b@example.com"}],
        "text": "x",
        "images": [file],
    }
    answer = box.http.post("/mandrill/api/1.0/messages/send", json={"key": "md", "message": message})
    assert answer.json()["name"] == "ValidationError"
    form = {"from": "a@example.com", "to": "b@example.com", "text": "x"}
    refused = box.http.post(
        "/mailgun/v3/mg.example.com/messages",
        data=form,
        files={"enclosure": ("a.pdf", b"x", "application/pdf")},
        auth=("api", "key-test"),
    )
    assert (refused.status_code, refused.json()["message"]) == (400, "unknown parameter enclosure")
