"""What each channel carries, built from parts alone: limits, headers, links."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.render.render_world import message
from tocsin.catalog.spec import Senders
from tocsin.errors import RenderError
from tocsin.render.content import (
    MAX_PUSH_BYTES,
    ContentContext,
    clean_senders,
    email_content,
    inapp_content,
    mail_headers,
    push_content,
    sms_content,
)
from tocsin.render.text import json_size

SENDERS = Senders(email="a@b.example", email_name="Sky", sms="+15005550006")
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=500)


def test_headers_without_a_link_only_stop_auto_replies() -> None:
    assert mail_headers("", "stop@b.example") == {"Auto-Submitted": "auto-generated"}


def test_headers_with_a_link_are_those_of_rfc_8058() -> None:
    assert mail_headers("https://b.example/u/TOKEN", "stop@b.example") == {
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": "<https://b.example/u/TOKEN>, <mailto:stop@b.example?subject=TOKEN>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_unsubscribing_under_a_domain_beyond_ascii_leads_there() -> None:
    """A header beyond ASCII would become encoded words, in which nobody looks for a link."""
    senders = Senders(unsubscribe_url="https://straße.example/ü", unsubscribe_email="weg@bücher.example")
    clean = clean_senders(senders)
    assert clean.unsubscribe_url == "https://xn--strae-oqa.example/%C3%BC"
    assert mail_headers(f"{clean.unsubscribe_url}/T", clean.unsubscribe_email)["List-Unsubscribe"] == (
        "<https://xn--strae-oqa.example/%C3%BC/T>, <mailto:weg@xn--bcher-kva.example?subject=T>"
    )


def test_a_mail_ends_its_parts_with_one_line_end() -> None:
    parts = {"subject": " Hi \n", "text": "\n\na\n\n\n\nb  \n\n", "html": "\n<p>x</p>\n\n"}
    content = email_content(parts, ContentContext(message("email"), SENDERS))
    assert (content.subject, content.text, content.html) == ("Hi", "a\n\nb\n", "<p>x</p>\n")


@settings(deadline=None)
@given(WORDS, WORDS, WORDS)
def test_senders_are_put_on_one_line(name: str, reply_to: str, sms: str) -> None:
    clean = clean_senders(Senders(email_name=name, reply_to=reply_to, sms=sms))
    for value in (clean.email_name, clean.reply_to, clean.sms):
        assert len(value.splitlines()) <= 1
    assert clean_senders(clean) == clean


@settings(deadline=None)
@given(WORDS, WORDS, st.text(max_size=200), st.integers(0, 20))
@example("", "x" * 500, "\U00010000" * 16, 12)  # a key of 16 characters and 64 bytes
def test_title_body_link_and_key_share_the_room_of_a_push(
    title: str, body: str, key: str, times: int
) -> None:
    parts = {"title": title, "body": body * times, "url": "https://b.example/" + "a" * 400}
    collapsed = message("push", collapse_key=key.encode("utf-8", "ignore").decode())
    content = push_content(parts, ContentContext(collapsed, SENDERS))
    data = sum(json_size(name) + json_size(value) + 6 for name, value in content.data.items())
    total = json_size(content.title) + json_size(content.body) + 2 * json_size(content.url) + data
    assert total + len(content.collapse_key.encode()) <= MAX_PUSH_BYTES + 6
    assert json_size(content.title) <= 250
    assert len(content.collapse_key.encode()) <= 64


def test_the_room_is_used_before_a_body_is_cut() -> None:
    context = ContentContext(message("push"), SENDERS)
    body = push_content({"title": "T", "body": "x" * 5_000}, context).body
    assert len(body) > 3_000
    assert push_content({"title": "T", "body": "x" * 3_000}, context).body == "x" * 3_000


@pytest.mark.parametrize("url", ["", "  ", "\n"])
def test_an_empty_link_is_none(url: str) -> None:
    assert (
        inapp_content({"title": "T", "body": "B", "url": url}, ContentContext(message("inapp"), SENDERS)).url
        == ""
    )


@pytest.mark.parametrize("build", [push_content, inapp_content])
def test_links_are_checked_on_every_channel_that_has_one(build: Any) -> None:
    parts = {"title": "T", "body": "B", "url": "javascript:alert(1)"}
    with pytest.raises(RenderError, match="template hello, part url"):
        build(parts, ContentContext(message("push"), SENDERS))


@pytest.mark.parametrize(
    ("text", "encoding", "segments"),
    [
        ("a" * 160, "GSM-7", 1),
        ("a" * 161, "GSM-7", 2),
        ("ñ€" * 40, "GSM-7", 1),
        ("á" * 70, "UCS-2", 1),
        ("á" * 71, "UCS-2", 2),
        ("3:20\u202fPM", "GSM-7", 1),
        ("", "GSM-7", 1),
    ],
)
def test_an_sms_says_what_it_costs(text: str, encoding: str, segments: int) -> None:
    content = sms_content({"sms": text}, ContentContext(message("sms"), SENDERS))
    assert (content.encoding, content.segments, content.sender) == (encoding, segments, "+15005550006")
