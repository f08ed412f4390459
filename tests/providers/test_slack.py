"""Slack: what is posted, that nothing in it is a command, and each of its errors."""

import json
from typing import Any

import pytest

from tests.providers.samples import leaks, outgoing
from tests.providers.scripted_http import Answer, ScriptedHttp, Step, json_answer
from tests.providers.sending import built, sent_once
from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    SettingsError,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import ChatContent
from tocsin.model.message import Target
from tocsin.providers.base import Provider, Receipt, Verifiable
from tocsin.providers.slack import ERRORS, MAX_BLOCK_CHARS, body_of

TOKEN = "xoxb-s3cret"  # of no workspace
PERSON = Target("U024BE7LH")
CONTENT = ChatContent(
    "Gate <B12> & more\n<!channel> <@U1>", "Gate moved", "https://skylark.example/t?a=1&b=2"
)
GOOD = json_answer(200, {"ok": True, "channel": "C1", "ts": "1.2"})


def account(url: str, **fields: Any) -> Provider:
    """Build an adapter from an account."""
    return built({"vendor": "slack", "base_url": url, "token": TOKEN, **fields})


async def posted(
    step: Step, target: Target = PERSON, content: ChatContent = CONTENT, **fields: Any
) -> tuple[ScriptedHttp, object]:
    """Post one message to a Slack that answers by `step`; `{url}` in a field is its address."""
    async with ScriptedHttp(step) as server:
        filled = {name: value.replace("{url}", server.url) for name, value in fields.items()}
        provider = account(server.url, **filled)
        return server, await sent_once(provider, outgoing("slack", content, target=target))


@pytest.mark.loopback
async def test_a_person_gets_blocks_without_commands() -> None:
    server, receipt = await posted(GOOD)
    assert receipt == Receipt("C1/1.2", "200")
    [request] = server.requests
    assert request.path == "/chat.postMessage"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    body = request.json()
    assert body["channel"] == "U024BE7LH"
    assert [block["type"] for block in json.loads(request.body)["blocks"]] == ["header", "section", "section"]
    texts = [block["text"]["text"] for block in json.loads(request.body)["blocks"]]
    assert texts[1] == "Gate &lt;B12&gt; &amp; more\n&lt;!channel&gt; &lt;@U1&gt;"
    assert texts[2] == "<https://skylark.example/t?a=1&amp;b=2>"
    assert "<!" not in str(body["text"])


def test_a_long_text_is_cut_between_characters() -> None:
    made = json.loads(body_of(ChatContent("<" * 2_000)))
    parts = [block["text"]["text"] for block in made["blocks"]]
    assert "".join(parts) == "&lt;" * 2_000
    assert all(len(part) <= MAX_BLOCK_CHARS and len(part) % 4 == 0 for part in parts)


@pytest.mark.loopback
async def test_a_teams_room_is_reached_by_webhook_or_by_id() -> None:
    own = Target("account", platform="account")
    server, receipt = await posted(Answer(200, b"ok"), own, webhook_url="{url}/services/T/B/x", token="")
    assert receipt == Receipt("", "200")
    assert [(one.path, "authorization" in one.headers) for one in server.requests] == [
        ("/services/T/B/x", False)
    ]
    server, _ = await posted(GOOD, own, conversation="C9")
    assert [one.json()["channel"] for one in server.requests] == ["C9"]
    _, error = await posted(GOOD, own)
    assert type(error) is Misconfigured
    _, error = await posted(GOOD, webhook_url="{url}/x", token="")
    assert type(error) is Declined


@pytest.mark.loopback
async def test_each_error_inside_a_200_has_its_class() -> None:
    codes = iter(ERRORS)
    async with ScriptedHttp(lambda _: json_answer(200, {"ok": False, "error": next(codes)})) as server:
        provider = account(server.url)
        found: dict[str, type[DeliveryError]] = {}
        for code in ERRORS:
            with pytest.raises(DeliveryError) as caught:
                await provider.send(outgoing("slack", CONTENT, target=Target("U1")))
            assert caught.value.code == code
            found[code] = type(caught.value)
        await provider.close()
    assert found == ERRORS
    assert (found["channel_not_found"], found["invalid_auth"]) == (RecipientGone, Misconfigured)
    assert (found["ratelimited"], found["fatal_error"]) == (Throttled, Unknown)


ROWS: list[tuple[Step, type[DeliveryError], str, float | None]] = [
    (
        json_answer(429, {"ok": False, "error": "ratelimited"}, ("Retry-After", "30")),
        Throttled,
        "ratelimited",
        30,
    ),
    (json_answer(200, {"ok": False, "error": "ratelimited"}), Throttled, "ratelimited", 1),
    (Answer(429), Throttled, "429", 1),
    (Answer(503), Transient, "503", None),
    (Answer(500), Unknown, "500", None),
    (Answer(302), Misconfigured, "302", None),
    (Answer(404, b"channel_not_found"), Misconfigured, "404", None),
    (json_answer(200, {"ok": False, "error": "brand_new_error"}), Declined, "200", None),
    (Answer(200, b"<html>"), Unknown, "200", None),
]


@pytest.mark.loopback
@pytest.mark.parametrize(("step", "kind", "code", "wait_s"), ROWS)
async def test_other_answers_have_theirs(
    step: Step, kind: type[DeliveryError], code: str, wait_s: float | None
) -> None:
    _, error = await posted(step)
    assert isinstance(error, DeliveryError)
    assert (type(error), error.code, error.retry_after_s) == (kind, code, wait_s)
    assert leaks(str(error)) == []


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "invalid_payload", Rejected),
        (403, "action_prohibited", Misconfigured),
        (404, "channel_not_found", Misconfigured),
        (404, "no_service", Misconfigured),
        (410, "channel_is_archived", Misconfigured),
        (429, "rate_limited", Throttled),
        (500, "rollup_error", Unknown),
    ],
)
async def test_texts_of_an_incoming_webhook(status: int, text: str, kind: type[DeliveryError]) -> None:
    own = Target("account", platform="account")
    _, error = await posted(Answer(status, text.encode()), own, webhook_url="{url}/x", token="")
    assert isinstance(error, DeliveryError)
    assert (type(error), error.code) == (kind, text)


@pytest.mark.loopback
async def test_an_app_that_is_not_in_a_room_still_serves_others() -> None:
    _, error = await posted(json_answer(200, {"ok": False, "error": "not_in_channel"}))
    assert isinstance(error, Misconfigured)
    assert error.about is About.MESSAGE


@pytest.mark.loopback
async def test_the_token_is_proven_without_a_message() -> None:
    async with ScriptedHttp(json_answer(200, {"ok": True, "team": "Skylark", "user": "bot"})) as server:
        provider = account(server.url)
        assert isinstance(provider, Verifiable)
        assert await provider.verify() == "Slack takes the token, for the workspace Skylark"
        await provider.close()
    assert [one.path for one in server.requests] == ["/auth.test"]
    async with ScriptedHttp(json_answer(200, {"ok": False, "error": "invalid_auth"})) as server:
        provider = account(server.url)
        assert isinstance(provider, Verifiable)
        with pytest.raises(Misconfigured, match="invalid_auth"):
            await provider.verify()
        await provider.close()


def test_an_account_needs_a_way_to_post() -> None:
    with pytest.raises(SettingsError, match="needs a token or a webhook_url"):
        account("https://slack.com/api", token="")
    with pytest.raises(SettingsError, match="webhook_url must be an https URL"):
        account("https://slack.com/api", webhook_url="hooks.slack.com/x")
