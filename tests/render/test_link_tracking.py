"""Links that lead through the gateway: which ones, where to, and what stays as the template wrote it."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.render_world import SECRET, message, tenant
from tocsin.catalog.loader import check
from tocsin.formats.link_tokens import LinkTokens, TrackedLink
from tocsin.model.content import EmailContent, SmsContent
from tocsin.render.renderer import Renderer

GATEWAY = "https://notify.example"
ALL = {"opens": True, "clicks": True, "sms": True}
TOKENS = LinkTokens(SECRET)
SENT = {"message_id": "ab" * 16}
_TOKEN = re.compile(re.escape(GATEWAY) + r"/[co]/([A-Za-z0-9_-]+)(?:\.gif)?")


def templates(html: str = "", sms: str = "", text: str = "See https://a.example/x") -> dict[str, str]:
    parts = {"subject": "Hello", "html": html, "text": text, "sms": sms}
    return {f"hello/en/{part}": body for part, body in parts.items() if body}


def mail(
    html: str, tracking: dict[str, Any] | None = None, url: str = GATEWAY, **changed: Any
) -> EmailContent:
    settings = {"tracking": ALL if tracking is None else tracking}
    made = Renderer(templates(html), {"default": tenant(**settings)}, SECRET, gateway_url=url)
    content = made.render(message("email", **SENT, **changed))
    assert isinstance(content, EmailContent)
    return content


def sms(text: str, tracking: dict[str, Any] = ALL, **changed: Any) -> SmsContent:
    own = tenant(tracking=tracking, **changed)
    made = Renderer(templates(sms=text), {"default": own}, SECRET, gateway_url=GATEWAY)
    content = made.render(message("sms", **SENT))
    assert isinstance(content, SmsContent)
    return content


def found(text: str) -> list[TrackedLink]:
    """Open every token of a text."""
    links = [TOKENS.read(token) for token in _TOKEN.findall(text)]
    assert None not in links
    return [link for link in links if link]


def test_links_of_a_mail_lead_through_the_gateway_and_back() -> None:
    html = '<body><p><a class="x" href="https://a.example/x?a=1&amp;b=2#c">A</a> <A HREF=\'http://b.example\'>B</A></p></body>'
    content = mail(html)
    first, second, image = found(content.html)
    assert (first.url, first.number) == ("https://a.example/x?a=1&b=2#c", 1)
    assert (second.url, second.number) == ("http://b.example", 2)
    assert (image.url, image.number) == ("", 0)
    assert first.owner is not None
    assert (first.owner.user, first.owner.message_id, first.owner.channel) == (
        "ada",
        SENT["message_id"],
        "email",
    )
    assert first.expires_ms == 1_000_000 + 90 * 86_400_000
    assert content.html.index("<img") < content.html.index("</body")
    assert content.text == "See https://a.example/x\n"


@pytest.mark.parametrize(
    "kept",
    [
        '<a href="mailto:ada@a.example">x</a>',
        '<a href="tel:+1555">x</a>',
        '<a href="#top">x</a>',
        '<a href="/relative">x</a>',
        '<a name="x">x</a>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href="https://notify.example/preferences/t">x</a>',
        '<a href="https://skylark.example/unsubscribe/t">x</a>',
        '<a href="https://a.example/a b">x</a>',
        '<a href="https://a.example\\@evil.example">x</a>',
        '<link href="https://a.example/style.css">',
        '<!-- <a href="https://a.example">x</a> -->',
        '<!--[if mso]><v:rect href="https://a.example"></v:rect><![endif]-->',
        "https://a.example in a text",
        '<img src="https://a.example/logo.png">',
    ],
)
def test_other_links_stay(kept: str) -> None:
    assert kept in mail(f"<body>{kept}</body>", {"clicks": True}).html


def test_a_link_may_opt_out() -> None:
    content = mail('<a data-track="off" href="https://a.example">A</a>', {"clicks": True})
    assert content.html == '<a href="https://a.example">A</a>\n'


@pytest.mark.parametrize(
    ("tracking", "url"),
    [
        ({}, GATEWAY),
        ({"opens": False}, GATEWAY),
        (ALL, ""),
        ({**ALL, "except_categories": ["news"]}, GATEWAY),
    ],
)
def test_nothing_is_tracked_unless_the_tenant_wants_it(tracking: dict[str, Any], url: str) -> None:
    html = '<body><a href="https://a.example">A</a></body>'
    assert mail(html, tracking, url).html == f"{html}\n"


def test_openings_and_clicks_are_wanted_apart() -> None:
    html = '<body><a href="https://a.example">A</a></body>'
    assert [link.number for link in found(mail(html, {"opens": True}).html)] == [0]
    assert [link.number for link in found(mail(html, {"clicks": True}).html)] == [1]


def test_a_tenant_may_have_an_address_of_its_own() -> None:
    content = mail(
        '<a href="https://a.example">A</a>', {"clicks": True, "url": "https://go.skylark.example/"}, ""
    )
    assert 'href="https://go.skylark.example/c/' in content.html


def test_each_attempt_has_the_same_links() -> None:
    html = '<a href="https://a.example">A</a>'
    assert mail(html) == mail(html)


def test_styles_are_inlined_all_the_same() -> None:
    styled = '<html><head><style>a {color: red}</style></head><body><a href="https://a.example">A</a></body></html>'
    content = mail(styled)
    assert 'style="color: red' in content.html
    assert [link.url for link in found(content.html)] == ["https://a.example", ""]


class Hrefs(HTMLParser):
    """An independent reader: which links would a mail program show?"""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs).get("href"))


URLS = st.from_regex(r"https?://[a-z]{1,8}\.example/[A-Za-z0-9/?=&;%~'()#.-]{0,30}", fullmatch=True)


@settings(max_examples=80, deadline=None)
@given(urls=st.lists(URLS, min_size=1, max_size=4), quote=st.sampled_from(["'", '"']))
def test_another_reader_finds_the_same_links(urls: list[str], quote: str) -> None:
    def spelled(url: str) -> str:
        return url.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&quot;")

    html = "".join(f"<a title='>' href={quote}{spelled(url)}{quote}>x</a>" for url in urls)
    before, after = Hrefs(), Hrefs()
    before.feed(html)
    after.feed(mail(html, {"clicks": True}).html)
    led = [link.url for href in after.found for link in found(href or "")]
    assert led == before.found == urls


def test_links_of_text_messages_are_changed_only_on_request() -> None:
    text = "Your flight leaves from gate B12 (https://a.example/f?x=1). Bye"
    assert sms(text, {"opens": True, "clicks": True}).text == text
    changed = sms(text)
    (link,) = found(changed.text)
    assert (link.url, link.number, link.owner) == ("https://a.example/f?x=1", 1, None)
    assert link.message_id == SENT["message_id"]
    assert changed.text.endswith("). Bye")
    assert changed.segments == 2


def test_a_text_that_would_be_too_long_keeps_its_links() -> None:
    text = "Your flight leaves from gate B12, so long. https://a.example/f"
    for too_long in ("truncate", "refuse"):
        limited = sms(text, sms={"max_segments": 1, "too_long": too_long})
        assert (limited.text, limited.segments) == (text, 1)


def test_mistakes_in_the_settings_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    lines = ["categories: {news: {}}", "tracking:", "  except_categories: [nwes]"]
    (tmp_path / "tenants/default.yaml").write_text("\n".join(lines))
    told = [str(problem) for problem in check(tmp_path)]
    assert any("default.yaml:3" in each and "did you mean `news`?" in each for each in told), told
    assert any("default.yaml:2" in each and "nothing is tracked" in each for each in told), told
