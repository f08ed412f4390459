"""The preference page and unsubscribe links, as a browser and a mail client call them."""

import json
import re
from html import unescape
from typing import Any

import httpx2
import pytest

from tests.decision.gate_world import NOON, World
from tests.gateway.people.test_users import ADA, Api, newest
from tests.gateway.running import Running
from tocsin.app.examples import example_catalog
from tocsin.catalog.loader import load_apart
from tocsin.decision.user_state import UserRecord
from tocsin.formats.codec import decode_receipt
from tocsin.gateway.people.page_texts import LANGUAGES, TEXTS
from tocsin.model.raw import RawRecord
from tocsin.model.switches import category_key
from tocsin.render.preference_link import PreferenceLink, PreferenceTokens
from tocsin.render.unsubscribe import Subscription, UnsubscribeTokens

BASE = "https://notify.test"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def ada(people: Running) -> Running:
    """Make a user."""
    await Api(people)("PUT", "users/ada", ADA)
    return people


async def page_of(running: Running) -> str:
    answer = await Api(running)("POST", "users/ada/preference-link")
    assert answer.status_code == 201
    url: str = answer.json()["url"]
    assert url.startswith(f"{BASE}/preferences/")
    return url.removeprefix(BASE)


def stop_link(running: Running, user: str = "ada", category: str = "offers", tenant: str = "default") -> str:
    return "/unsubscribe/" + UnsubscribeTokens(running.gateway.secret).make(
        Subscription(tenant, user, category)
    )


def form_of(page: str) -> list[tuple[str, str]]:
    """Read the form as a browser would post it."""
    found = []
    for field in re.findall(r"<input [^>]+>", page):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', field))
        ticked = attributes["type"] != "checkbox" or (" checked" in field and " disabled" not in field)
        if ticked:
            found.append((attributes["name"], unescape(attributes["value"])))
    return [*found, ("pause", re.findall(r'<option value="(\w+)" selected>', page)[0])]


async def post(client: httpx2.AsyncClient, path: str, form: list[tuple[str, str]]) -> httpx2.Response:
    body = "&".join(f"{httpx2.QueryParams({name: value})}" for name, value in form)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return await client.post(path, content=body.encode(), headers=headers)


async def test_a_person_switches_a_channel_off_and_everything(ada: Running) -> None:
    path = await page_of(ada)
    first = await ada.client.get(path)
    assert first.status_code == 200
    assert "script" not in first.headers["content-security-policy"]
    assert "unsafe" not in first.headers["content-security-policy"]
    assert (first.headers["referrer-policy"], first.headers["cache-control"]) == ("no-referrer", "no-store")
    assert not re.search(r"<script|<style| style=| on\w+=", first.text)
    form = form_of(first.text)
    assert ("on", "email:flight_updates") in form
    assert not any(value.endswith(":service") for _, value in form), "a required category is no choice"
    unchanged = await post(ada.client, path, form)
    assert (unchanged.status_code, unchanged.headers["location"]) == (303, "?saved=1")
    assert "preferences" not in (await newest(ada) or {}), "defaults stay defaults"
    form.remove(("on", "email:flight_updates"))
    form.remove(("enabled", "1"))
    assert (await post(ada.client, path, form)).status_code == 303
    kept = (await newest(ada) or {})["preferences"]
    assert (kept["enabled"], kept["categories"]["flight_updates"]["email"]) == (False, False)
    saved = await ada.client.get(f"{path}?saved=1")
    assert 'role="status"' in saved.text
    assert form_of(saved.text) == [
        (name, form_tag(saved.text) if name == "tag" else value) for name, value in form
    ]


def form_tag(page: str) -> str:
    return dict(form_of(page))["tag"]


async def test_a_page_that_is_out_of_date_changes_nothing(ada: Running) -> None:
    path = await page_of(ada)
    form = form_of((await ada.client.get(path)).text)
    await Api(ada)("POST", "users/ada/devices", {"platform": "ios", "token": "a-token-of-an-iphone"})
    assert (await post(ada.client, path, [*form, ("x", "y")])).status_code == 303, (
        "a device is none of its business"
    )
    await Api(ada)("PUT", "users/ada/preferences", {"categories": {"offers": False}})
    late = await post(ada.client, path, [pair for pair in form if pair != ("on", "email:flight_updates")])
    assert late.status_code == 409
    assert 'role="alert"' in late.text
    assert (await newest(ada) or {})["preferences"] == {"categories": {"offers": False}}


async def test_a_pause_holds_and_ends(ada: Running) -> None:
    path = await page_of(ada)
    form = form_of((await ada.client.get(path)).text)
    await post(ada.client, path, [(name, "1d" if name == "pause" else value) for name, value in form])
    assert "snoozed_until" in (await newest(ada) or {})["preferences"]
    form = form_of((await ada.client.get(path)).text)
    assert dict(form)["pause"] == "keep"
    await post(ada.client, path, [(name, "none" if name == "pause" else value) for name, value in form])
    assert "snoozed_until" not in (await newest(ada) or {}).get("preferences", {})


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Until July 15, 2030, 1:00 PM"),
        ("de", "15. Juli 2030, 13:00"),
        ("es", "15 de julio de 2030, 13:00"),
    ],
)
async def test_a_pause_ends_by_the_clock_of_the_user(ada: Running, language: str, text: str) -> None:
    await Api(ada)("PUT", "users/ada", ADA | {"timezone": "Europe/Dublin"})
    await Api(ada)("PUT", "users/ada/preferences", {"snoozed_until": "2030-07-15T12:00:00Z"})
    page = (await ada.client.get(f"{await page_of(ada)}?lang={language}")).text
    (kept,) = re.findall(r'<option value="keep"[^>]*>([^<]*)<', page)
    assert kept.replace("\u202f", " ").endswith(text)


async def test_the_page_speaks_the_user_s_language(ada: Running) -> None:
    path = await page_of(ada)
    for language in LANGUAGES:
        page = (await ada.client.get(f"{path}?lang={language}")).text
        assert f'<html lang="{language}">' in page
        assert TEXTS[language]["save"] in unescape(page)
    await Api(ada)("PATCH", "users/ada", {"locale": "de-AT"})
    assert '<html lang="de">' in (await ada.client.get(path, headers={"accept-language": "fr"})).text
    await Api(ada)("PATCH", "users/ada", {"locale": None})
    assert (
        '<html lang="fr">'
        in (await ada.client.get(path, headers={"accept-language": "fr-CA, en;q=0.5"})).text
    )


def test_every_language_says_everything() -> None:
    places = [
        {name: set(re.findall(r"\{\w+\}", text)) for name, text in said.items()} for said in TEXTS.values()
    ]
    assert all(each == places[0] for each in places)


async def test_links_end_and_cannot_be_made_up(ada: Running) -> None:
    tokens = PreferenceTokens(ada.gateway.secret)
    now_ms = ada.gateway.clock_ms()
    later = tokens.make(PreferenceLink("default", "ada", now_ms + 60_000))
    ended = tokens.make(PreferenceLink("default", "ada", now_ms - 1))
    forged = PreferenceTokens(b"another secret of 16").make(PreferenceLink("default", "ada", now_ms + 60_000))
    stop = stop_link(ada).rpartition("/")[2]
    nobody = tokens.make(PreferenceLink("default", "bob", now_ms + 60_000))
    elsewhere = tokens.make(PreferenceLink("other", "ada", now_ms + 60_000))
    for token, status in (
        (later, 200),
        (ended, 410),
        (forged, 404),
        (later[:-1] + ("A" if later[-1] != "A" else "B"), 404),
        (stop, 404),
        (nobody, 404),
        (elsewhere, 404),
    ):
        assert (await ada.client.get(f"/preferences/{token}")).status_code == status
        assert (await post(ada.client, f"/preferences/{token}", [("tag", "")])).status_code in (status, 409)
    assert (await ada.client.get(f"/unsubscribe/{later}")).status_code == 404, "one link is not the other"
    assert (await post(ada.client, f"/unsubscribe/{forged}", [*ONE_CLICK.items()])).status_code == 404


@pytest.mark.parametrize("user", ["ada", "guest"])
async def test_one_click_unsubscribes_without_cookie_or_redirect(ada: Running, user: str) -> None:
    path = stop_link(ada, user)
    page = await ada.client.get(path)
    assert (page.status_code, "List-Unsubscribe" in page.text) == (200, True)
    assert (await ada.client.head(path)).status_code == 200
    assert (await post(ada.client, path, [("other", "1")])).status_code == 400
    assert await ada.records("receipts") == [], "nothing but the POST of RFC 8058 does it"
    done = await post(ada.client, path, [*ONE_CLICK.items()])
    assert (done.status_code, "set-cookie" in done.headers, "location" in done.headers) == (200, False, False)
    (receipt,) = [json.loads(each.value or b"") for each in await ada.records("receipts")]
    assert {name: receipt[name] for name in ("kind", "tenant", "user", "category")} == {
        "kind": "unsubscribed",
        "tenant": "default",
        "user": user,
        "category": "offers",
    }
    profile = await newest(ada, user)
    assert (profile["preferences"] if profile else None) == (
        {"categories": {"offers": False}} if user == "ada" else None
    )


async def test_a_mail_client_may_post_multipart(ada: Running) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert (await ada.client.post(stop_link(ada), content=body, headers=headers)).status_code == 200
    assert len(await ada.records("receipts")) == 1


async def test_an_unsubscription_can_be_taken_back(ada: Running) -> None:
    path = stop_link(ada)
    done = await post(ada.client, path, [*ONE_CLICK.items()])
    manage = re.findall(r'href="\.\.(/preferences/[^"]+)"', done.text)[0]
    page = (await ada.client.get(manage)).text
    assert ("on", "email:offers") not in form_of(page)
    assert (await post(ada.client, path, [("again", "1")])).status_code == 200
    kinds = [json.loads(each.value or b"")["kind"] for each in await ada.records("receipts")]
    assert set(kinds) == {"unsubscribed", "resubscribed"}
    assert ("on", "email:offers") in form_of((await ada.client.get(manage)).text)


@pytest.mark.parametrize(("user", "by"), [("ada", "link"), ("ada", "owner"), ("guest", "link")])
async def test_whoever_unsubscribes_again_after_an_undo_stays_unsubscribed(
    ada: Running, user: str, by: str
) -> None:
    """Each click counts once: also the one that comes after an undo of the same day."""
    path = stop_link(ada, user)
    for _ in range(2):
        assert (await post(ada.client, path, [*ONE_CLICK.items()])).status_code == 200
    if by == "link":
        assert (await post(ada.client, path, [("again", "1")])).status_code == 200
    else:
        wanted = {"categories": {"offers": True}}
        assert (await Api(ada)("PUT", "users/ada/preferences", wanted)).status_code == 200
    for _ in range(2):
        assert (await post(ada.client, path, [*ONE_CLICK.items()])).status_code == 200
    outcomes, record = decided([each.value for each in await ada.records("receipts")], user)
    logged = [status for status, _ in dict.fromkeys(outcomes)]
    assert logged == ["unsubscribed", "resubscribed", "unsubscribed"], "the log has each change once"
    assert record is not None
    assert record.opt_outs == (category_key("offers"),)


def decided(values: list[bytes | None], user: str) -> tuple[list[tuple[str, str]], UserRecord | None]:
    """Decide receipts as the gate does; return the statuses and ids of outcomes, and the user's record."""
    world = World("default", catalog=load_apart(example_catalog()))
    for value in values:
        receipt = decode_receipt(RawRecord("receipts", 0, 0, NOON, b"", value, ()))
        about = {"category": receipt.category, "receipt_id": receipt.receipt_id}
        world.receipt(receipt.kind, at=receipt.at_ms - NOON, user=user, **about)
    return [(one.status, one.outcome_id) for one in world.outcomes], world.record(user)


async def test_one_category_taken_back_does_not_bring_everything_back(ada: Running) -> None:
    for link in (stop_link(ada, category=""), stop_link(ada)):
        assert (await post(ada.client, link, [*ONE_CLICK.items()])).status_code == 200
    undone = await post(ada.client, stop_link(ada), [("again", "1")])
    assert undone.status_code == 200
    assert TEXTS["en"]["again_off_title"] in undone.text, "it says that everything is still off"
    assert TEXTS["en"]["again_title"] not in undone.text
    assert "/preferences/" in undone.text
    kept: Any = (await newest(ada) or {})["preferences"]
    assert (kept["enabled"], kept["categories"]["offers"]["email"]) == (False, True)


async def test_a_required_category_stays(ada: Running) -> None:
    for answer in (
        await ada.client.get(stop_link(ada, category="service")),
        await post(ada.client, stop_link(ada, category="service"), [*ONE_CLICK.items()]),
    ):
        assert (answer.status_code, TEXTS["en"]["fixed_title"] in answer.text) == (200, True)
    assert await ada.records("receipts") == []


async def test_everything_and_a_category_that_is_gone_can_be_stopped(ada: Running) -> None:
    for category in ("", "of_last_year"):
        assert (
            await post(ada.client, stop_link(ada, category=category), [*ONE_CLICK.items()])
        ).status_code == 200
    kept: Any = (await newest(ada) or {})["preferences"]
    assert kept == {"enabled": False, "categories": {"of_last_year": False}}
