"""Who may read the pages: this machine by its own names, or whoever has the token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from dashboards.web.access import COOKIE, Access, is_loopback, local_path

TOKEN = "a-token-of-32-characters-or-more"


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("dashboard.example", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_all_else(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


@pytest.mark.parametrize("host", ["127.0.0.1:8800", "localhost:8800", "[::1]:8800", "localhost"])
def test_without_a_token_names_of_this_machine_may_read(host: str) -> None:
    assert Access().admits(Headers({"host": host}))


@pytest.mark.parametrize("host", ["evil.example:8800", "", "[::1", "localhost:8800@evil.example"])
def test_a_foreign_name_that_leads_here_may_not(host: str) -> None:
    """DNS rebinding: another site's page, whose name was pointed at 127.0.0.1."""
    assert not Access().admits(Headers({"host": host}))


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({"authorization": f"Bearer {TOKEN}"}, True),
        ({"authorization": f"bearer  {TOKEN}"}, True),
        ({"authorization": f"Basic {TOKEN}"}, False),
        ({"authorization": "Bearer "}, False),
        ({"authorization": "Bearer tökèn"}, False),
        ({"cookie": f"{COOKIE}={Access(TOKEN).cookie()}"}, True),
        ({"cookie": f"{COOKIE}={TOKEN}"}, False),
        ({"cookie": f"{COOKIE}={Access('another-token-of-some-length').cookie()}"}, False),
        ({"cookie": "a=b; c"}, False),
        ({}, False),
    ],
)
def test_with_a_token_only_the_token_or_its_cookie_may_read(headers: dict[str, str], may: bool) -> None:
    assert Access(TOKEN).admits(Headers({"host": "127.0.0.1", **headers})) is may


def test_the_cookie_does_not_show_the_token() -> None:
    assert TOKEN not in Access(TOKEN).cookie()


@given(st.text(max_size=40))
def test_only_the_token_is_known(guess: str) -> None:
    assert Access(TOKEN).knows(guess) is (guess == TOKEN)


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "evil",
        "/\n/evil.example",
        "javascript:alert(1)",
        "///evil.example",
        "",
    ],
)
def test_after_the_form_one_stays_here(elsewhere: str) -> None:
    assert local_path(elsewhere) == "/"


def test_after_the_form_one_comes_where_one_wanted() -> None:
    assert local_path("/rows/rows?status=dead&from=2026-01-01T00:00:00Z") == (
        "/rows/rows?status=dead&from=2026-01-01T00:00:00Z"
    )
