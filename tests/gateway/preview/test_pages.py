"""The preview page's requests: what is shown, what is refused, and that an edited file shows at once."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.render.preview_catalog import write_catalog
from tocsin.gateway.preview.pages import MOST_BYTES, PreviewPages
from tocsin.gateway.preview.workbench import Workbench

TOKEN = "a-token-of-32-characters-or-more"


class Site:
    """The page over a catalog folder, with a clock that is set by hand."""

    def __init__(self, folder: Path, token: str = "") -> None:
        self.folder = folder
        self.now_ms = 0
        self.workbench = Workbench(folder, lambda: self.now_ms)
        transport = httpx2.ASGITransport(app=PreviewPages(self.workbench, token).application())
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8810")

    async def post(self, path: str, **body: Any) -> httpx2.Response:
        return await self.client.post(path, json={"notification": "hello", **body})

    async def settled(self) -> dict[str, Any]:
        """Look until the folder has rested."""
        for _ in range(3):
            self.now_ms += 1_000
            state = (await self.client.get("/api/state")).json()
        return dict(state)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(write_catalog(tmp_path))


def save(folder: Path, name: str, text: str, at: int) -> None:
    """Save a file at a time of its own: two edits within a tick of the clock must differ, too."""
    (folder / name).write_text(text)
    os.utime(folder / name, ns=(at, at))


async def test_the_catalog_lists_tenants_notifications_channels_and_languages(site: Site) -> None:
    found = (await site.client.get("/api/catalog")).json()
    assert found["problem"] == ""
    assert [one["name"] for one in found["tenants"]] == ["acme", "default"]
    (hello,) = found["tenants"][1]["notifications"]
    assert (hello["name"], hello["channels"]) == ("hello", ["email", "sms", "push", "inapp"])
    assert hello["uses"] == [{"template": "hello", "digest": False, "locales": ["de", "en"]}]


async def test_a_preview_has_content_figures_and_missing_fields(site: Site) -> None:
    found = (await site.post("/api/preview", channel="sms", locale="en", data={"name": "Ada"})).json()
    assert (found["kind"], found["problem"][:34]) == ("", "templates/hello/en/sms.j2:1: templ")
    assert [one["field"] for one in found["missing"]] == ["seat"]
    found = (await site.post("/api/preview", channel="sms", locale="de", data={"name": "Ada"})).json()
    assert (found["content"]["text"], found["measures"][0]["unit"]) == ("Hallo Ada", "GSM-7")


async def test_all_rows_come_without_contents(site: Site) -> None:
    found = (await site.post("/api/previews")).json()
    assert [(row["channel"], row["locale"]) for row in found["rows"]][:3] == [
        ("email", "de"),
        ("email", "en"),
        ("sms", "de"),
    ]
    assert all("content" not in row for row in found["rows"])
    assert found["unused"] == ["seat.letter", "spare"]


async def test_a_mail_is_answered_alone_under_a_policy_of_its_own(site: Site) -> None:
    asked = '{"notification": "hello", "channel": "email", "locale": "en", "data": {"name": "<script>Ada"}}'
    answer = await site.client.post("/mail", data={"request": asked})
    assert "&lt;script&gt;Ada" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'")
    assert "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = await site.client.get("/preview")
    assert "script-src 'self'; style-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"notification": "hullo"}, "notification"),
        ({"channel": "fax"}, "channel"),
        ({"tenant": "nobody"}, "tenant"),
        ({"locale": "!"}, "locale"),
        ({"template": "other"}, "template"),
        ({"digest": True}, "template"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"colour": "red"}, "request"),
        ({"data": "x" * MOST_BYTES}, "data"),
    ],
)
async def test_a_wrong_request_gets_a_problem_that_names_the_field(
    site: Site, body: Mapping[str, Any], field: str
) -> None:
    answer = await site.post("/api/preview", **body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["field"] == field


async def test_samples_of_what_no_notification_uses_are_not_read(site: Site) -> None:
    """Else a name like `../../etc` would read other files."""
    for template in ("../..", "..", "nothing", ""):
        answer = await site.client.get("/api/samples", params={"template": template})
        assert (answer.status_code, answer.json()["field"]) == (422, "template")
    answer = await site.client.get("/api/samples", params={"template": "hello"})
    assert len(answer.json()["samples"]) == 2


async def test_an_edited_file_shows_and_a_mistake_keeps_what_was_before(site: Site) -> None:
    before = await site.settled()
    save(site.folder, "templates/hello/de/sms.j2", "Servus {{ data.name }}", 1_000_000_000)
    after = await site.settled()
    assert after["revision"] > before["revision"]
    found = (await site.post("/api/preview", channel="sms", locale="de")).json()
    assert found["content"]["text"] == "Servus Ada"
    save(site.folder, "notifications/hello.yaml", "hello: {on: 1}", 2_000_000_000)
    broken = await site.settled()
    assert "notifications/hello.yaml:1" in broken["problem"]
    assert (await site.post("/api/preview", channel="sms", locale="de")).status_code == 200


async def test_a_catalog_that_is_broken_at_first_shows_once_it_is_corrected(tmp_path: Path) -> None:
    site = Site(write_catalog(tmp_path, {"notifications/hello.yaml": "hello: {on: 1}"}))
    answer = await site.post("/api/preview")
    assert (answer.status_code, answer.json()["field"]) == (422, "catalog")
    write_catalog(tmp_path)
    assert (await site.settled())["problem"] == ""
    assert (await site.post("/api/preview")).status_code == 200


async def test_only_this_machine_or_the_token_may_look(tmp_path: Path) -> None:
    site = Site(write_catalog(tmp_path), TOKEN)
    assert (await site.client.get("/api/catalog")).status_code == 401
    assert (await site.client.get("/preview")).headers["location"] == "/login?next=%2Fpreview"
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert (await site.client.get("/api/catalog", headers=bearer)).status_code == 200
    entered = await site.client.post("/login?next=/preview", data={"token": TOKEN})
    assert (entered.status_code, entered.headers["location"]) == (303, "/preview")
    open_site = Site(tmp_path)
    foreign = await open_site.client.get("/api/catalog", headers={"host": "evil.example"})
    assert foreign.status_code == 403


async def test_many_at_once_share_one_previewer(site: Site) -> None:
    asked = [site.post("/api/preview", channel=channel) for channel in ("email", "sms", "push", "inapp") * 4]
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
