"""Adapters ask the sandbox for messages whose answer was cut off, as they would ask the vendor."""

import time
from typing import Any, cast

import pytest
from twilio.rest import Client

from tests.providers.samples import outgoing
from tests.providers.sending import built
from tests.sandbox.box import ACCOUNT, SENDER, Box
from tests.sandbox.test_twilio import LocalClient
from tests.waiting import until
from tocsin.errors import Misconfigured, Unknown
from tocsin.providers.base import AskableProvider, Provider
from tocsin.providers.http_exchange import NO_ANSWER

ACCOUNTS: dict[str, tuple[str, dict[str, Any]]] = {
    "twilio": ("sms", {"account_sid": ACCOUNT, "auth_token": "token", "sender": SENDER}),
    "sendgrid": ("email", {"api_key": "SG.test"}),
    "mailgun": ("email", {"api_key": "key-test", "domain": "mg.example.com"}),
    "mandrill": ("email", {"api_key": "md-test"}),
}
CALLBACK = {"status_callback": "https://example.org/cb"}


def adapter(box: Box, vendor: str, **fields: Any) -> Provider:
    path = {"mandrill": "mandrill/api/1.0"}.get(vendor, vendor)
    return built({"vendor": vendor, "base_url": f"{box.url}/{path}", **ACCOUNTS[vendor][1], **fields})


@pytest.mark.parametrize("vendor", list(ACCOUNTS))
async def test_what_was_taken_is_found_by_its_id_and_what_was_not_is_not(box: Box, vendor: str) -> None:
    channel, provider = ACCOUNTS[vendor][0], adapter(box, vendor, **(CALLBACK if vendor == "twilio" else {}))
    askable, since_ms = cast("AskableProvider", provider), round(time.time() * 1_000) - 2_000
    assert isinstance(provider, AskableProvider)
    box.order({"kind": "drop_before"}, count=1)
    with pytest.raises(Unknown):
        await provider.send(outgoing(channel))
    assert await askable.find(outgoing(channel), since_ms) is None
    box.order({"kind": "drop_after"}, count=1)
    with pytest.raises(Unknown):
        await provider.send(outgoing(channel))
    receipt = await askable.find(outgoing(channel), since_ms)
    (record,) = box.send_log()
    assert receipt is not None
    assert (receipt.provider_message_id, receipt.code) == (record["provider_id"], "found")
    if vendor != "twilio":
        assert await askable.find(outgoing(channel, message_id="0" * 32), since_ms) is None
    if vendor == "twilio":
        assert await askable.find(outgoing(channel), since_ms + 3_600_000) is None, "that one is older"
    await provider.close()


async def test_a_text_that_twilio_may_change_cannot_be_compared(box: Box) -> None:
    provider = adapter(box, "twilio", smart_encoded=True)
    with pytest.raises(Misconfigured):
        await cast("AskableProvider", provider).find(outgoing("sms"), 0)
    await provider.close()


async def test_with_a_sending_key_mailgun_cannot_be_asked(box: Box) -> None:
    provider = adapter(box, "mailgun", api_key="send-only")
    with pytest.raises(Misconfigured):
        await cast("AskableProvider", provider).find(outgoing("email"), 0)
    await provider.close()


@pytest.mark.parametrize(("key", "code"), [("SG.plain", "403"), ("SG.bad", "401")])
async def test_without_the_activity_feed_sendgrid_cannot_be_asked(box: Box, key: str, code: str) -> None:
    provider = adapter(box, "sendgrid", api_key=key)
    with pytest.raises(Misconfigured) as refused:
        await cast("AskableProvider", provider).find(outgoing("email"), 0)
    assert refused.value.code == code
    await provider.close()


def test_twilios_own_library_lists_what_was_sent(box: Box) -> None:
    sdk = Client(ACCOUNT, "token", http_client=LocalClient(f"{box.url}/twilio"))
    made = sdk.messages.create(to="+4915112345678", from_=SENDER, body="Gate 12")
    sdk.messages.create(to="+4915112345679", from_=SENDER, body="Gate 13")
    (found,) = sdk.messages.list(to="+4915112345678")
    assert (found.sid, found.body, found.to, found.status) == (made.sid, "Gate 12", made.to, "sent")
    assert found.date_created is not None


async def test_a_slow_vendor_is_cut_off_without_its_first_byte_and_may_have_sent_it(box: Box) -> None:
    box.order({"kind": "latency", "latency_ms": 60_000}, count=1)
    provider = adapter(box, "twilio", timeout_s=50, first_byte_timeout_s=1.5)
    with pytest.raises(Unknown) as caught:
        await provider.send(outgoing("sms"))
    assert caught.value.code == NO_ANSWER
    until(lambda: len(box.send_log()) == 1, "it was sent, so it must not count as not sent: the send")
    await provider.close()
