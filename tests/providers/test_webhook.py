"""Signed webhooks: the reference library verifies them, and each answer has its class."""

import json
import time
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from tests.providers.samples import leaks, outgoing
from tests.providers.scripted_http import Answer, ScriptedHttp, Step
from tests.providers.sending import built, sent_once
from tocsin.errors import (
    About,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    SettingsError,
    Throttled,
    Transient,
)
from tocsin.model.content import Outgoing, WebhookContent
from tocsin.model.message import Target
from tocsin.providers.base import Provider

OLD, NEW = (f"whsec_{b64encode(letter * 32).decode()}" for letter in (b"o", b"n"))
CONTENT = WebhookContent("Gate B12 moved", "wherefore art thou")


def account(**fields: Any) -> Provider:
    """Build an adapter from an account; its clock is the wall clock, as that of the verifier is."""
    return built({"vendor": "webhook", "secrets": [OLD], **fields}, time.time)


def to(url: str, **fields: Any) -> Outgoing:
    """Build a message to a recipient's server."""
    return outgoing("webhook", CONTENT, target=Target(url, **fields), data=msgspec.Raw(b'{"gate": "B12"}'))


async def posted(step: Step, **fields: Any) -> tuple[ScriptedHttp, object]:
    """Post once to a server that answers by `step`."""
    async with ScriptedHttp(step) as server:
        provider = account(allow_private=True, **fields)
        return server, await sent_once(provider, to(f"{server.url}/hook?id=7"))


@pytest.mark.loopback
async def test_the_reference_library_verifies_each_secret_of_a_rotation() -> None:
    server, _ = await posted(Answer(204), secrets=[NEW, OLD])
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/hook?id=7")
    for secret in (NEW, OLD):
        read = Verifier(secret).verify(request.body, dict(request.headers))
        assert read == json.loads(request.body)
    with pytest.raises(WebhookVerificationError):
        Verifier(NEW.replace("bm5u", "bm5v")).verify(request.body, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Verifier(OLD).verify(request.body + b" ", dict(request.headers))


@pytest.mark.loopback
async def test_the_id_is_that_of_the_message_and_the_body_tells_all() -> None:
    server, receipt = await posted(Answer(200))
    [request] = server.requests
    body = json.loads(request.body)
    sent = to("x").message
    assert request.headers["webhook-id"] == sent.message_id == getattr(receipt, "provider_message_id", "")
    assert body["type"] == "notification.gate_moved"
    assert body["timestamp"] == "2023-11-14T22:13:20.000Z"
    data = body["data"]
    assert (data["title"], data["user"], data["tenant"]) == ("Gate B12 moved", "u-1", "acme")
    assert data["event"]["data"] == {"gate": "B12"}
    assert data["event"]["time"] == "2023-11-14T22:13:20.000Z"


ROWS: list[tuple[Step, type[DeliveryError], float | None]] = [
    (Answer(410), RecipientGone, None),
    (Answer(429, headers=(("Retry-After", "5"),)), Throttled, 5),
    (Answer(500), Transient, None),
    (Answer(502), Transient, None),
    (Answer(503, headers=(("Retry-After", "9"),)), Transient, 9),
    (Answer(504), Transient, None),
    (Answer(408), Transient, None),
    (Answer(425), Transient, None),
    (Answer(400, body=b"no wherefore art thou"), Rejected, None),
    (Answer(401), Rejected, None),
    (Answer(404), Rejected, None),
    (Answer(301, headers=(("Location", "http://127.0.0.1:1/"),)), Rejected, None),
    (Answer(307, headers=(("Location", "http://127.0.0.1:1/"),)), Rejected, None),
]


@pytest.mark.loopback
@pytest.mark.parametrize(("step", "kind", "wait_s"), ROWS)
async def test_each_answer_has_its_class(step: Step, kind: type[DeliveryError], wait_s: float | None) -> None:
    server, error = await posted(step)
    assert isinstance(error, DeliveryError)
    assert (type(error), error.retry_after_s, error.about) == (kind, wait_s, About.RECIPIENT)
    assert leaks(str(error)) == []
    assert len(server.requests) == 1


@pytest.mark.loopback
async def test_a_server_that_is_away_is_its_owners_matter() -> None:
    provider = account(allow_private=True)
    with pytest.raises(Transient) as caught:
        await provider.send(to("http://127.0.0.1:1/"))
    assert caught.value.about is About.RECIPIENT
    await provider.close()


@pytest.mark.loopback
async def test_an_address_of_the_accounts_own_that_is_gone_blocks_no_user() -> None:
    async with ScriptedHttp(Answer(410)) as server:
        provider = account(allow_private=True, url=f"{server.url}/own")
        with pytest.raises(Misconfigured, match="correct the url"):
            await provider.send(to("account", platform="account"))
        await provider.close()


@pytest.mark.loopback
async def test_the_accounts_own_address_counts_against_the_account() -> None:
    async with ScriptedHttp(Answer(503)) as server:
        provider = account(allow_private=True, url=f"{server.url}/own")
        with pytest.raises(Transient) as caught:
            await provider.send(to("account", platform="account"))
        await provider.close()
    assert caught.value.about is About.MOMENT
    assert [request.path for request in server.requests] == ["/own"]


async def test_an_account_without_an_address_says_so() -> None:
    with pytest.raises(Misconfigured, match=r"contact: account.*no `url`"):
        await account().send(to("account", platform="account"))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://hooks.example/x", "bad_url"),
        ("hooks.example", "bad_url"),
        ("https://[::1", "bad_url"),
        ("ftp://hooks.example/", "bad_url"),
        ("https://127.0.0.1/x", "private_address"),
        ("https://[::ffff:10.0.0.1]/x", "private_address"),
        ("https://169.254.169.254/latest/meta-data", "private_address"),
    ],
)
async def test_what_must_not_be_called_is_not(url: str, code: str) -> None:
    provider = account()
    with pytest.raises(Rejected) as caught:
        await provider.send(to(url))
    assert (caught.value.code, caught.value.about) == (code, About.RECIPIENT)
    await provider.close()


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64 at all, but long enough"])
def test_a_weak_secret_is_refused_without_its_text(secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        account(secrets=[secret])
    assert "whsec_ and the base64 of 24 to 64 random bytes" in str(caught.value)
    assert secret[6:] == "" or secret[6:] not in str(caught.value)


def test_a_secret_in_base64url_is_refused_because_no_receiver_could_verify_with_it() -> None:
    """`secrets.token_urlsafe` makes such texts; the same key in base64 is fine."""
    key = bytes(range(240, 256)) * 2
    secret = f"whsec_{urlsafe_b64encode(key).decode()}"
    with pytest.raises(ValueError, match="Invalid base64"):
        Verifier(secret)
    with pytest.raises(SettingsError) as caught:
        account(secrets=[secret])
    assert "is base64url, which receivers cannot read: write + for each -, and / for each _" in str(
        caught.value
    )
    assert secret[6:] not in str(caught.value)
    account(secrets=[f"whsec_{b64encode(key).decode()}"])
