"""The sandbox's Slack and a customer's server: they take what the adapters send, and refuse anything less."""

import json
import time
from typing import Any

import pytest

from tests.providers.samples import outgoing
from tests.providers.sending import built, sent_once
from tests.sandbox.box import Box
from tocsin.devkit.sandbox.keys import HOOK_SECRET
from tocsin.errors import (
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
)
from tocsin.model.content import ChatContent, Content, WebhookContent
from tocsin.model.message import Target

CHAT = ChatContent("Go to <B12> & hurry\n<!channel>", "Gate moved", "https://skylark.example/t?a=1&b=2")
HOOK = WebhookContent("Gate moved", "Go to B12")


async def send(channel: str, content: Content, target: Target, account: dict[str, Any]) -> object:
    """Send one message; what it ends with."""
    provider = built({"vendor": channel, **account}, time.time)
    return await sent_once(provider, outgoing(channel, content, target=target))


async def to_slack(box: Box, target: str = "U024BE7LH", **account: Any) -> object:
    """Send to a person of the sandbox's workspace."""
    return await send(
        "slack", CHAT, Target(target), {"token": "xoxb-1", "base_url": f"{box.url}/slack"} | account
    )


async def to_hook(box: Box, secret: str = HOOK_SECRET) -> object:
    """Post to a customer's server."""
    account = {"secrets": [secret], "allow_private": True}
    return await send("webhook", HOOK, Target(f"{box.url}/webhook/customer-7"), account)


@pytest.mark.loopback
async def test_slack_shows_what_was_meant(box: Box) -> None:
    await to_slack(box)
    [shown] = box.sent()
    assert (shown["channel"], shown["recipient"], shown["title"]) == ("slack", "U024BE7LH", "Gate moved")
    assert shown["content"]["body"] == CHAT.text
    own = {"webhook_url": f"{box.url}/slack/services/T1/B1/x"}
    await send("slack", CHAT, Target("account", platform="account"), own)
    assert len(box.send_log()) == 2


@pytest.mark.loopback
async def test_slacks_refusals_are_classed(box: Box) -> None:
    assert type(await to_slack(box, token="xoxb-bad")) is Misconfigured
    assert type(await to_slack(box, "#general")) is RecipientGone
    faults: list[tuple[dict[str, Any], type[DeliveryError]]] = [
        ({"kind": "dead_token", "code": "is_archived"}, RecipientGone),
        ({"kind": "status", "status": 429, "retry_after_s": 7}, Throttled),
        ({"kind": "status", "status": 503}, Transient),
    ]
    for fault, kind in faults:
        box.order(fault)
        assert type(await to_slack(box)) is kind
        box.http.delete("/faults")


@pytest.mark.parametrize(
    ("post", "code"),
    [
        ({"channel": "C12"}, "no_text"),
        ({"channel": "C12", "text": "<!channel>"}, "invalid_blocks"),
        ({"channel": "C12", "text": "a & b"}, "invalid_blocks"),
        ({"channel": "C12", "text": "x", "blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"channel": "", "text": "x"}, "channel_not_found"),
    ],
)
def test_slack_takes_no_commands_and_no_empty_posts(box: Box, post: dict[str, Any], code: str) -> None:
    headers = {"authorization": "Bearer xoxb-1", "content-type": "application/json"}
    answer = box.http.post("/slack/chat.postMessage", content=json.dumps(post), headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"ok": False, "error": code})


@pytest.mark.loopback
async def test_a_signed_webhook_is_verified_and_shown(box: Box) -> None:
    await to_hook(box)
    [shown] = box.sent()
    assert (shown["channel"], shown["user"], shown["title"]) == ("webhook", "acme/u-1", "Gate moved")
    assert shown["message_id"] == shown["provider_id"]
    assert type(await to_hook(box, "whsec_" + "A" * 40)) is Rejected
    box.order({"kind": "dead_token"})
    assert type(await to_hook(box)) is RecipientGone


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_an_unsigned_webhook_is_refused(box: Box, header: str) -> None:
    headers = {"webhook-id": "m", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
    del headers[header]
    assert box.http.post("/webhook/x", content="{}", headers=headers).status_code in (400, 401)
    assert box.send_log() == []
