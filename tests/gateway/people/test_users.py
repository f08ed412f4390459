"""Users, devices, preferences and topics over the API: what is answered is in Kafka, and in the view."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.decision.gate_world import HOUR, MINUTE, NOON, World, said
from tests.gateway.running import Running
from tocsin.formats.profiles import decode_profile
from tocsin.model.raw import RawRecord

ADA = {"email": "ada@mail.example", "phone": "+12125550142", "locale": "en", "attributes": {"plan": "gold"}}
TOKEN = "d7Qk:APA91bF0example-of-a-token"
BROWSER = {
    "endpoint": "https://fcm.googleapis.com/fcm/send/abc",
    "keys": {
        "p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
        "auth": "tBHItJI5svbpez7KI4CCXg",
    },
}


class Api:
    """Calls the API as one tenant."""

    def __init__(self, running: Running, tenant: str = "default") -> None:
        self._client = running.client
        self._headers = running.bearing(tenant)

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()} | self._headers
        return await self._client.request(method, f"/v1/{path}", json=body, headers=given)


@pytest.fixture
def api(people: Running) -> Api:
    return Api(people)


async def newest(running: Running, user: str = "ada") -> dict[str, Any] | None:
    """Return the last profile of a user in Kafka."""
    found = [
        each.value for each in await running.records("profiles") if each.key == f"default/{user}".encode()
    ]
    return json.loads(found[-1]) if found and found[-1] else None


async def test_a_user_is_made_changed_and_erased(people: Running, api: Api) -> None:
    assert (await api("GET", "users/ada")).status_code == 404
    made = await api("PUT", "users/ada", ADA)
    assert (made.status_code, "version" in made.json()) == (201, False)
    assert (await newest(people)) == {**ADA, "version": 0}
    read = await api("GET", "users/ada")
    assert (read.json(), read.headers["etag"]) == (made.json(), made.headers["etag"])
    changed = await api(
        "PATCH", "users/ada", {"phone": None, "locale": "de-AT"}, if_match=read.headers["etag"]
    )
    assert (changed.status_code, changed.json()["locale"], "phone" in changed.json()) == (200, "de-AT", False)
    stale = await api("PATCH", "users/ada", {"locale": "fr"}, if_match=read.headers["etag"])
    assert stale.status_code == 412
    again = await api("PATCH", "users/ada", {"locale": "de-AT"}, if_match=read.headers["etag"])
    assert again.status_code == 200, "it was done already (RFC 9110, 13.1.1)"
    assert (await api("PUT", "users/ada/subscriptions/flight/UA1")).status_code == 200
    assert (await api("DELETE", "users/ada")).status_code == 204
    assert await newest(people) is None
    assert (await api("GET", "users/ada")).status_code == 404
    assert [each.value for each in await people.records("subscriptions")] == [b"{}", None]
    actions = [json.loads(each.value or b"") for each in await people.records("audit")]
    assert [(each["action"], each["subject"]) for each in actions] == [
        ("user_changed", "put"),
        ("user_changed", "patch"),
        ("user_changed", "topic subscribed"),
        ("erasure_asked", "user"),
    ]
    assert all("mail.example" not in json.dumps(each) for each in actions)


async def test_someone_without_a_profile_is_erased_as_well(people: Running, api: Api) -> None:
    """Inline recipients have state at the gate, and an inbox: the tombstone erases them."""
    assert (await api("DELETE", "users/guest")).status_code == 204
    found = [(each.key, each.value) for each in await people.records("profiles")]
    assert found == [(b"default/guest", None)]
    actions = [json.loads(each.value or b"")["action"] for each in await people.records("audit")]
    assert actions == ["erasure_asked"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"email": "Ada <ada@mail.example>"}, "email"),
    ({"phone": "0212 555"}, "phone"),
    ({"timezone": "UTC+3"}, "timezone"),
    ({"emial": "ada@mail.example"}, "emial"),
    ({"attributes": {"a": "x" * 5_000}}, "attributes"),
    ({"contacts": {"email": "a@b.example"}}, "contacts.email"),
    ({"devices": [{"platform": "windows"}]}, "devices[0].platform"),
]


async def test_a_wrong_field_is_named_and_nothing_is_written(people: Running, api: Api) -> None:
    for body, field in WRONG:
        answer = await api("PUT", "users/ada", body)
        wrong = answer.json()["errors"][0]
        assert (answer.status_code, wrong["field"], bool(wrong["cure"])) == (422, field, True)
    assert await people.records("profiles") == []


async def test_a_profile_that_is_made_later_does_not_undo_an_opt_out(people: Running, api: Api) -> None:
    """Somebody without a profile unsubscribes by link; then the company makes the profile."""
    world = World()
    world.receipt("unsubscribed", category="updates")
    await api("PUT", "users/guest", {"email": "guest@mail.example"})
    (made,) = await people.records("profiles")
    raw = RawRecord("profiles", 0, 0, NOON + MINUTE, b"quiet/ann", made.value, made.headers)
    change = decode_profile(raw)
    world.apply("ann", world.gate.on_profile_change(world.record(), change, NOON + MINUTE, raw))
    assert said(world.event("flight.landed", at=HOUR)) == [("suppressed", "category_off", "*")]


async def test_put_leaves_what_people_choose(people: Running, api: Api) -> None:
    await api("PUT", "users/ada", ADA)
    await api("PUT", "users/ada/preferences", {"categories": {"offers": False}})
    await api("POST", "users/ada/devices", {"platform": "android", "token": TOKEN})
    found = (await api("PUT", "users/ada", {"email": "new@mail.example"})).json()
    assert (found["preferences"], len(found["devices"])) == ({"categories": {"offers": False}}, 1)
    assert (found["email"], "phone" in found, "version" in found) == ("new@mail.example", False, False)
    said = (await api("PATCH", "users/ada", {"preferences": None})).json()
    assert (said["version"], said.get("preferences", {})) == (1, {}), "a word of the owner is a new version"
    await api("PUT", "users/ada", {"version": 3})
    low = await api("PUT", "users/ada", {"version": 2})
    assert (low.status_code, low.json()["errors"][0]["field"]) == (409, "version")


async def test_a_device_belongs_to_the_user_who_registered_it_last(people: Running, api: Api) -> None:
    for user in ("ada", "bob"):
        await api("PUT", f"users/{user}", {})
    first = await api("POST", "users/ada/devices", {"platform": "android", "token": TOKEN})
    assert first.status_code == 201
    assert (
        await api("POST", "users/ada/devices", {"platform": "android", "token": TOKEN})
    ).status_code == 200
    await api("POST", "users/ada/devices", {"platform": "web", "subscription": BROWSER})
    moved = await api("POST", "users/bob/devices", {"platform": "android", "token": TOKEN})
    assert (moved.status_code, moved.json()["id"]) == (201, first.json()["id"])
    left = (await api("GET", "users/ada/devices")).json()["devices"]
    assert [each["platform"] for each in left] == ["web"]
    assert TOKEN not in json.dumps(await newest(people))
    device = left[0]["id"]
    assert (await api("DELETE", f"users/ada/devices/{device}")).status_code == 204
    assert (await api("DELETE", f"users/ada/devices/{device}")).status_code == 404
    assert "devices" not in (await newest(people) or {})


UNREACHABLE: list[tuple[dict[str, Any], str]] = [
    ({"platform": "ios"}, "token"),
    ({"platform": "ios", "token": "short"}, "token"),
    ({"platform": "ios", "token": "a token with blanks in it"}, "token"),
    ({"platform": "web", "token": TOKEN}, "subscription"),
    ({"platform": "symbian", "token": TOKEN}, "platform"),
    ({"platform": "web", "subscription": BROWSER | {"keys": {"auth": "xx"}}}, "subscription.keys.p256dh"),
    ({"platform": "web", "subscription": BROWSER | {"auth": "xx"}}, "subscription.keys.auth"),
]


async def test_a_device_that_cannot_be_reached_is_refused(api: Api) -> None:
    await api("PUT", "users/ada", {})
    for body, field in UNREACHABLE:
        answer = await api("POST", "users/ada/devices", body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_preferences_name_what_there_is(people: Running, api: Api) -> None:
    await api("PUT", "users/ada", ADA)
    read = await api("GET", "users/ada/preferences")
    wanted = {
        "channels": {"sms": False},
        "categories": {"offers": False, "flight_updates": {"email": False}},
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "snoozed_until": "2030-01-01T00:00:00Z",
    }
    set_ = await api("PUT", "users/ada/preferences", wanted, if_match=read.headers["etag"])
    assert (set_.status_code, set_.json()) == (200, {"enabled": True, "notifications": {}, **wanted})
    assert (await api("PUT", "users/ada/preferences", {}, if_match=read.headers["etag"])).status_code == 412
    kept = (await newest(people) or {})["preferences"]
    assert kept["categories"] == wanted["categories"]
    choices = (await api("GET", "preference-choices?user=ada")).json()
    assert [each["name"] for each in choices["categories"]] == ["service", "flight_updates", "offers"]
    assert choices["in_force"]["flight_updates"]["email"] is False
    for body, field, named in (
        ({"categories": {"ofers": False}}, "categories.ofers", "service, flight_updates, offers"),
        ({"channels": {"fax": True}}, "channels.fax", "email, sms"),
        ({"notifications": {"offer": {"fax": True}}}, "notifications.offer.fax", "email, sms"),
        ({"notifications": {"nothing": False}}, "notifications.nothing", "flight_cancelled"),
        ({"categories": {"service": False}}, "categories.service", "required"),
        ({"quiet_hours": {"start": "25:00", "end": "x"}}, "quiet_hours", "HH:MM"),
    ):
        answer = await api("PUT", "users/ada/preferences", body)
        wrong = answer.json()["errors"][0]
        assert (answer.status_code, wrong["field"]) == (422, field)
        assert named in wrong["cure"]


async def test_what_is_switched_on_again_is_told_to_the_gate(people: Running, api: Api) -> None:
    await api("PUT", "users/ada", ADA)
    await api("PUT", "users/ada/preferences", {"categories": {"offers": False}})
    assert await people.records("receipts") == []
    await api("PUT", "users/ada/preferences", {})
    (written,) = await people.records("receipts")
    receipt = json.loads(written.value or b"")
    assert (receipt["kind"], receipt["category"], receipt["user"]) == ("resubscribed", "offers", "ada")


async def test_two_changes_with_one_request_id_are_told_apart(people: Running, api: Api) -> None:
    await api("PUT", "users/ada", ADA)
    for _ in range(2):
        for categories in ({"offers": False}, {}):
            body = {"categories": categories}
            await api("PUT", "users/ada/preferences", body, x_request_id="one-job-of-mine")
            await asyncio.sleep(0.002)
    ids = [json.loads(each.value or b"")["receipt_id"] for each in await people.records("receipts")]
    assert (len(ids), len(set(ids))) == (2, 2)


async def test_no_key_of_another_tenant_reaches_a_user(people: Running, api: Api) -> None:
    await api("PUT", "users/ada", ADA)
    await api("POST", "users/ada/devices", {"platform": "android", "token": TOKEN})
    device = (await api("GET", "users/ada/devices")).json()["devices"][0]["id"]
    before = await people.records("profiles")
    other = Api(people, "other")
    for method, path, body in (
        ("GET", "users/ada", None),
        ("PATCH", "users/ada", {"locale": "de"}),
        ("GET", "users/ada/devices", None),
        ("POST", "users/ada/devices", {"platform": "android", "token": TOKEN}),
        ("DELETE", f"users/ada/devices/{device}", None),
        ("GET", "users/ada/preferences", None),
        ("POST", "users/ada/preference-link", None),
        ("GET", "preference-choices?user=ada", None),
        ("PUT", "users/ada/preferences", {}),
        ("GET", "users/default%2Fada", None),
        ("GET", "users/..%2Fdefault%2Fada", None),
    ):
        answer = await other(method, path, body)
        assert answer.status_code in (404, 409, 422), (method, path)
        assert "ada@mail.example" not in answer.text
    assert (await other("GET", "users/ada/subscriptions")).json() == {"subscriptions": []}
    assert (await other("DELETE", "users/ada")).status_code == 204, "of its own user of that id"
    await other("PUT", "users/bob", {})
    await other("POST", "users/bob/devices", {"platform": "android", "token": TOKEN})
    assert len((await api("GET", "users/ada/devices")).json()["devices"]) == 1, "tokens are each tenant's own"
    assert [each for each in await people.records("profiles") if each.key == b"default/ada"] == before


async def test_without_a_key_or_its_scope_nothing_is_read(people: Running) -> None:
    assert (await people.client.get("/v1/users/ada")).status_code == 401
    reader = people.bearing("default", "users:read")
    assert (await people.client.put("/v1/users/ada", json={}, headers=reader)).status_code == 403


async def test_topics_of_a_user(people: Running, api: Api) -> None:
    assert (await api("PUT", "users/ada/subscriptions/flight/UA1")).json() == {"topic": "flight/UA1"}
    since = {"since": "2026-11-28T00:00:00Z"}
    assert (await api("PUT", "users/ada/subscriptions/gate", since)).status_code == 200
    wrong = await api("PUT", "users/ada/subscriptions/gate", {"since": "tomorrow"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "since")
    assert (await api("DELETE", "users/ada/subscriptions/flight/UA1")).status_code == 204
    found = (await api("GET", "users/ada/subscriptions")).json()["subscriptions"]
    assert [each["topic"] for each in found] == ["gate"]
    keys = [each.key for each in await people.records("subscriptions")]
    assert keys.count(b"default/flight%2FUA1/ada") == 2
