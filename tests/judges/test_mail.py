"""Adapters of e-mail against the providers' contracts: Prism validates requests, moto carries them out."""

import subprocess
from collections.abc import Callable
from email import message_from_bytes, policy
from typing import Any

import httpx2
import msgspec
import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from tests.judges.servers import moto as moto_python
from tests.providers.samples import EMAIL, outgoing
from tests.providers.sending import built
from tests.providers.test_adapters import CASES
from tests.providers.test_attached_mails import LOGO, PDF, attached
from tests.waiting import PATIENCE_S
from tocsin.devkit.processes import free_ports
from tocsin.errors import DeliveryError, Rejected
from tocsin.model.content import EmailContent, Outgoing
from tocsin.model.message import Target
from tocsin.providers.aws_signature import AwsKeys, AwsSigner

pytestmark = pytest.mark.judges

Prism = Callable[[str], str]
FULL = EmailContent(
    subject="Grüße: Gate B12",
    text="Hallo Ada,\nGate B12\n",
    html="<p>Hallo Ada</p>\n<p>Gate <b>B12</b></p>\n",
    sender="flights@example.com",
    sender_name="Flüge",
    reply_to="help@example.com",
    headers={
        "List-Unsubscribe": "<https://e.com/u/1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
)


def adapter(vendor: str, url: str, **fields: Any) -> Any:
    """Build an adapter from its account, at the address of a judge."""
    return built({**CASES[vendor].account, "base_url": url, **fields})


def batch() -> list[Outgoing]:
    """Build mails that share a request."""
    same = msgspec.structs.replace(FULL, headers={})
    texts = [msgspec.structs.replace(same, subject=f"Hi {n}", text=f"Hi {n}\n") for n in range(3)]
    return [outgoing("email", text, target=Target(f"p{n}@example.com")) for n, text in enumerate(texts)]


@pytest.mark.parametrize("vendor", ["sendgrid", "mailgun"])
async def test_requests_keep_the_contract(prism: Prism, vendor: str) -> None:
    provider = adapter(vendor, prism(vendor))
    await provider.send(outgoing("email", FULL))
    await provider.send(outgoing("email", EmailContent("s", "only text\n", "", "a@example.com")))
    # Prism reads no list from a form, not even from a field that repeats, and Mailgun's `inline` is one.
    await provider.send(attached(PDF) if vendor == "mailgun" else attached(PDF, LOGO))
    await provider.send_batch(batch())
    await provider.close()


async def test_mandrills_requests_keep_the_contract(prism: Prism) -> None:
    """Prism's example names another recipient: it takes the request, and knows nothing of ours."""
    provider = adapter("mandrill", prism("mandrill"), subaccount="acme")
    with pytest.raises(DeliveryError) as caught:
        await provider.send(outgoing("email", FULL))
    assert caught.value.code == "200"
    with pytest.raises(DeliveryError) as caught:
        await provider.send(attached(PDF, LOGO))
    assert caught.value.code == "200"
    assert {answer.code for answer in await provider.send_batch(batch())} == {"200"}
    assert await provider.verify() == "the key is known"
    await provider.close()


@pytest.mark.parametrize(
    ("vendor", "path", "body"),
    [
        ("sendgrid", "/v3/mail/send", {"personalizations": [{}], "from": {"email": "a@example.com"}}),
        ("mandrill", "/messages/send", {"key": "k", "message": {"to": "ada@example.com"}}),
    ],
)
def test_the_judge_refuses_what_breaks_the_contract(
    prism: Prism, vendor: str, path: str, body: object
) -> None:
    headers = {"authorization": "Bearer SG.x"}
    assert httpx2.post(f"{prism(vendor)}{path}", json=body, headers=headers).status_code in (400, 422)


def ses_request(url: str, method: str, path: str, body: object = None) -> httpx2.Response:
    """Ask moto as any client of SES does."""
    data = msgspec.json.encode(body) if body is not None else b""
    signer = AwsSigner(AwsKeys("AKIDEXAMPLE", SecretStr("secret")), "eu-west-1", "ses")
    headers = signer.sign(method, f"{url}{path}", {"content-type": "application/json"}, data, 1_700_000_000)
    return httpx2.request(method, f"{url}{path}", content=data, headers=headers)


def moto_mails(url: str) -> list[dict[str, Any]]:
    """List the mails that moto has carried out."""
    found: list[dict[str, Any]] = httpx2.get(f"{url}/moto-api/data.json").json()["ses"]["RawMessage"]
    return found


async def test_moto_sends_a_mail_of_ses(moto: str) -> None:
    provider = adapter("ses", moto)
    with pytest.raises(Rejected) as caught:
        await provider.send(outgoing("email", FULL))
    assert caught.value.code == "MessageRejected", "the sender is not verified yet"
    made = ses_request(moto, "POST", "/v2/email/identities", {"EmailIdentity": "flights@example.com"})
    assert made.status_code == 200
    full = msgspec.structs.replace(outgoing("email", FULL), attachments=(PDF, LOGO))
    receipt = await provider.send(full)
    await provider.close()
    [sent] = moto_mails(moto)
    assert receipt.provider_message_id == sent["id"]
    assert EMAIL in str(sent["destinations"])
    mail = message_from_bytes(sent["raw_data"].encode(), policy=policy.default)
    brought = {part.get_filename(): part.get_content() for part in mail.walk() if part.get_filename()}
    assert brought == {PDF.name: PDF.content, LOGO.name: LOGO.content}
    assert (mail["Subject"], mail["List-Unsubscribe-Post"]) == (FULL.subject, "List-Unsubscribe=One-Click")


BOTOCORE = """
import sys, datetime
from botocore import auth, awsrequest, credentials
at = datetime.datetime.fromtimestamp(1_700_000_000, datetime.timezone.utc)
auth.get_current_datetime = lambda remove_tzinfo=True: at.replace(tzinfo=None) if remove_tzinfo else at
method, url, service, body = sys.argv[1:]
keys = credentials.Credentials("AKIDEXAMPLE", "secret", "token")
request = awsrequest.AWSRequest(method, url, {"content-type": "application/json"}, body.encode())
auth.SigV4Auth(keys, service, "eu-west-1").add_auth(request)
print(request.headers["Authorization"])
"""


@pytest.mark.parametrize(
    ("method", "url", "service", "body"),
    [
        ("POST", "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails", "ses", '{"a": "ü"}'),
        ("GET", "https://email.eu-west-1.amazonaws.com/v2/email/account", "ses", ""),
        ("POST", "http://127.0.0.1:8025/", "sns", "Action=Publish&Message=a+b"),
        ("GET", "https://sns.eu-west-1.amazonaws.com/?Action=GetSMSAttributes&Version=2010-03-31", "sns", ""),
    ],
)
def test_botocore_signs_alike(method: str, url: str, service: str, body: str) -> None:
    command = [str(moto_python()), "-c", BOTOCORE, method, url, service, body]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    keys = AwsKeys("AKIDEXAMPLE", SecretStr("secret"), SecretStr("token"))
    headers = {"content-type": "application/json"}
    ours = AwsSigner(keys, "eu-west-1", service).sign(method, url, headers, body.encode(), 1_700_000_000)
    assert ours["authorization"] == theirs


class Kept:
    """A handler of aiosmtpd that keeps what it gets."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
        """Keep a mail."""
        self.envelopes.append(envelope)
        return "250 OK"


async def test_aiosmtpd_takes_our_mails() -> None:
    kept = Kept()
    (port,) = free_ports(1)
    server = Controller(kept, hostname="127.0.0.1", port=port, ready_timeout=PATIENCE_S)
    server.start()
    try:
        provider = built({"vendor": "smtp", "host": "127.0.0.1", "port": port, "security": "plain"})
        for _ in range(3):
            await provider.send(outgoing("email", FULL))
        await provider.close()
    finally:
        server.stop()
    assert [envelope.rcpt_tos for envelope in kept.envelopes] == [[EMAIL]] * 3
    mail = message_from_bytes(kept.envelopes[0].original_content, policy=policy.default)
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert not mail.defects
