"""The sandbox posts webhooks as the vendors would, and the gateway takes them: both over HTTP."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.gateway.callbacks.conftest import reported_to
from tests.gateway.callbacks.test_callbacks import receipts
from tests.gateway.running import SECRET, Running, served, settings_for
from tests.providers.samples import CONTENTS, message
from tests.providers.test_reports import ACCOUNTS
from tests.sandbox.box import start
from tocsin.devkit.sandbox import keys
from tocsin.formats.marks import Marks
from tocsin.gateway.gateway import wall_ms
from tocsin.model.content import Outgoing
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.registry import vendors

SECRETS = {"twilio": "t0ken", "vonage": "s3cret", "mailgun": "s1gning", "mandrill": "wh00k"}
MAIL = ("sendgrid", "mailgun", "mandrill", "ses")
TEXTS = ("twilio", "vonage")


class Meeting(NamedTuple):
    """A sandbox and a gateway that can call each other."""

    sandbox: httpx2.AsyncClient
    gateway: Running
    url: str

    async def order(self, vendor: str, kinds: list[str], **more: Any) -> dict[str, int]:
        """Order webhooks about the messages of a vendor; give the statuses that came back."""
        url = f"{self.url}/v1/callbacks/{vendor}/{vendor}"
        asked = {"url": url, "provider": vendor, "kinds": kinds, "secret": SECRETS.get(vendor, ""), **more}
        answer = await self.sandbox.post("/reports", json=asked)
        assert answer.status_code == 200, answer.text
        found: dict[str, int] = answer.json()["answers"]
        return found


@pytest.fixture
async def meeting(kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path) -> AsyncIterator[Meeting]:
    """Run both; each vendor of the sandbox has one message."""
    folder = tmp_path / "sandbox"
    folder.mkdir()
    with start(folder) as box:
        accounts = {name: {"vendor": name, **fields} for name, fields in ACCOUNTS.items()}
        accounts["sendgrid"]["webhook_key"] = (folder / keys.SENDGRID_PUBLIC_FILE).read_text()
        accounts["ses"]["topic_certificate"] = (folder / keys.SNS_CERT_FILE).read_text()
        accounts["ses"] |= {"access_key_id": keys.AWS_KEY_ID, "secret_access_key": keys.AWS_SECRET}
        settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
        async with reported_to(settings, accounts, tmp_path) as gateway, served(gateway.application) as url:
            await _send_with_all(accounts, box.url, url)
            async with httpx2.AsyncClient(base_url=box.url, timeout=30) as sandbox:
                yield Meeting(sandbox, gateway, url)


async def _send_with_all(accounts: dict[str, Any], sandbox: str, gateway: str) -> None:
    """Send a message with each vendor's real adapter."""
    document = {name: dict(accounts[name]) for name in (*MAIL, *TEXTS)}
    for name, account in document.items():
        account["base_url"] = f"{sandbox}/{name}{'/api/1.0' if name == 'mandrill' else ''}"
    for name in TEXTS:
        document[name] |= {
            "status_callback": f"{gateway}/v1/callbacks/{name}/{name}",
            "sender": "+15005550006",
        }
    del document["vonage"]["signature_secret"]  # the sandbox knows another one for requests
    parsed = parse_accounts({"accounts": document}, {}, Path("providers.yaml"))
    marks = Marks(SECRET.encode())
    for name, provider in build(parsed, clock=lambda: wall_ms() / 1_000).items():
        channel = vendors()[name].channel
        await provider.send(Outgoing(message(channel, tenant="acme"), CONTENTS[channel], marks.of))
        await provider.close()


async def test_every_vendor_of_the_sandbox_reports_to_the_gateway(meeting: Meeting) -> None:
    for vendor in MAIL:
        assert await meeting.order(vendor, ["delivered", "opened"]) == {"200": 2}, vendor
    for vendor in TEXTS:
        assert await meeting.order(vendor, ["delivered", "stop"]) == {"200": 2}, vendor
    found = await receipts(meeting.gateway)
    mails = {(vendor, kind, "u-1") for vendor in MAIL for kind in ("delivered", "opened")}
    texts = {(vendor, *what) for vendor in TEXTS for what in (("delivered", "u-1"), ("opted_out", ""))}
    told = Counter((each.provider, each.kind, each.user) for each in found)
    assert told == dict.fromkeys(mails | texts, 1)

    for vendor in ("sendgrid", "mandrill"):
        assert await meeting.order(vendor, ["delivered"], fault="forged") == {"403": 1}
    doubled = await meeting.order("sendgrid", ["delivered", "clicked"], fault="duplicate")
    assert doubled == {"200": 4}
    assert await meeting.order("sendgrid", ["delivered", "bounced"], fault="out_of_order") == {"200": 2}
    before = Counter((each.kind, each.receipt_id) for each in found)
    more = Counter((each.kind, each.receipt_id) for each in await receipts(meeting.gateway)) - before
    assert sorted(kind for kind, _ in more) == ["bounced", "clicked", "delivered"], (
        "a repeated event counts once: its id is the same"
    )
