"""The application without ClickHouse: pages, problems, protection; what fails is said, the rest goes on."""

from typing import Any

import httpx2
import pytest

from dashboards.query_file import BOARDS
from dashboards.web.access import COOKIE
from dashboards.web.app import Dashboard
from tocsin.devkit.processes import free_ports

TOKEN = "a-token-of-32-characters-or-more"


async def ask(
    path: str, *, token: str = "", host: str = "127.0.0.1:8800", method: str = "GET", **more: Any
) -> httpx2.Response:
    """Ask an application whose ClickHouse is away."""
    away = f"http://127.0.0.1:{free_ports(1)[0]}/tocsin"
    app = Dashboard(away, token=token).application()
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.request(method, path, **more)


@pytest.mark.parametrize("board", BOARDS)
async def test_each_board_comes_at_once_whether_or_not_clickhouse_is_there(board: str) -> None:
    answer = await ask(f"/{board}?range=7d&channel=sms")
    assert answer.status_code == 200
    assert 'aria-current="page"' in answer.text
    assert "/delivery?range=7d&amp;channel=sms" in answer.text


async def test_clickhouse_away_is_a_problem_that_names_the_cure() -> None:
    answer = await ask("/api/query/funnel")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "TOCSIN_CLICKHOUSE" in answer.json()["detail"]


async def test_a_story_while_clickhouse_is_away_is_a_page_that_says_so() -> None:
    answer = await ask("/story/ann")
    assert answer.status_code == 503
    assert "TOCSIN_CLICKHOUSE" in answer.text
    assert answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/query/funnel?range=2w", 400, "range"),
        ("/api/query/funnel?user=ann", 400, "user"),
        ("/api/query/nothing", 404, None),
        ("/api/nothing", 404, None),
        ("/api/story/ann?kind=dog", 400, "kind"),
        ("/api/story/ann?color=red", 400, "color"),
        ("/api/story/" + "x" * 600, 400, "subject"),
    ],
)
async def test_a_wrong_request_is_a_problem_document(path: str, status: int, field: str | None) -> None:
    answer = await ask(path)
    document = answer.json()
    assert (answer.status_code, document["status"], document.get("field")) == (status, status, field)
    assert document["detail"]


async def test_a_wrong_page_says_what_is_wrong() -> None:
    answer = await ask("/overview?from=yesterday")
    assert answer.status_code == 400
    assert "RFC 3339" in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_can_be_changed(method: str) -> None:
    assert (await ask("/api/query/funnel", method=method)).status_code == 405


@pytest.mark.parametrize("path", ["/overview", "/api/nothing", "/static/main.js", "/healthz", "/story"])
async def test_every_answer_forbids_what_pages_do_not_need(path: str) -> None:
    headers = (await ask(path)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


async def test_markup_in_a_filter_stays_text() -> None:
    text = (await ask("/overview?channel=%3Cscript%3Ealert(1)%3C/script%3E")).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


async def test_a_foreign_name_is_refused() -> None:
    answer = await ask("/overview", host="evil.example")
    assert answer.status_code == 403
    assert "127.0.0.1" in answer.json()["detail"]


async def test_without_the_token_pages_lead_to_the_form_and_the_api_refuses() -> None:
    page = await ask("/rows/rows?status=dead", token=TOKEN)
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=%2Frows%2Frows%3Fstatus%3Ddead"
    api = await ask("/api/query/funnel", token=TOKEN)
    assert api.status_code == 401
    assert "Authorization" in api.json()["detail"]


async def test_the_token_becomes_a_cookie_and_leads_back() -> None:
    answer = await ask("/login?next=/health", token=TOKEN, method="POST", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/health")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    value = cookie.partition("=")[2].partition(";")[0]
    again = await ask("/overview", token=TOKEN, headers={"cookie": f"{COOKIE}={value}"})
    assert again.status_code == 200


@pytest.mark.parametrize("given", [{"token": "wrong"}, {}, {"token": "x" * 100_000}])
async def test_a_wrong_token_gets_no_cookie(given: dict[str, str]) -> None:
    answer = await ask("/login", token=TOKEN, method="POST", data=given)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not the token" in answer.text


async def test_files_of_pages_are_sent_once_and_figures_are_never_kept() -> None:
    first = await ask("/static/chart.umd.min.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await ask("/static/chart.umd.min.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in ("/overview", "/api/query/funnel", "/healthz"):
        assert (await ask(path)).headers["cache-control"] == "no-store"
