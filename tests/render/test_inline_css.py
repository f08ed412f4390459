"""Mails with `<style>`: rules become attributes, and what no attribute can say stays as it was written."""

from html.parser import HTMLParser
from pathlib import Path

import css_inline
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.render_world import message, renderer
from tocsin.model.content import EmailContent
from tocsin.render.inline_css import inline_css

MEDIA = "@media (max-width: 620px) { .pad { padding-left: 20px !important; } }"
DARK = "@media (prefers-color-scheme: dark) {\n  .card { background: #1b2127 !important; }\n}"
FONT = "@font-face { font-family: X; src: url(https://e.example/x.woff2); }"
CELL = "<table><tr><td><p>x</p></td></tr></table>"
HOVER = "a:hover { color: red !important; }"
RULES = ".card { background: #fff; } td > p { margin: 0 !important; } h1, h2 { color: #123; }"


def mail(css: str, body: str, head: str = "") -> str:
    style = f"<style>{css}</style>" if css else ""
    head = f"<head>\n{head}{style}\n</head>"
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n<body>\n{body}\n</body>\n</html>\n'


class Parsed(HTMLParser):
    """A mail as a client reads it: tags, attributes and texts; blanks of the source count nowhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: list[object] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.said.append((tag, sorted(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.said.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.said.append(data)

    def kinds(self, kind: str) -> list[object]:
        return [one[1] for one in self.said if isinstance(one, tuple) and one[0] == kind]

    def tags(self) -> list[str]:
        return [one[0] for one in self.said if isinstance(one, tuple) and isinstance(one[1], list)]

    def styles(self) -> list[str]:
        found = [one[1] for one in self.said if isinstance(one, tuple) and isinstance(one[1], list)]
        return [value or "" for attributes in found for name, value in attributes if name == "style"]

    def handle_comment(self, data: str) -> None:
        self.said.append(("comment", data))


def parsed(html: str) -> list[object]:
    return Parsed(html).said


def whole(html: str) -> str:
    """Inline without taking texts and links out."""
    inliner = css_inline.CSSInliner(
        keep_style_tags=True,
        keep_link_tags=True,
        remove_inlined_selectors=True,
        load_remote_stylesheets=False,
    )
    return inliner.inline(html)


def test_rules_become_attributes_and_the_rest_of_the_style_stays() -> None:
    css = "\n".join([RULES, MEDIA, DARK, FONT, HOVER])
    found = inline_css(mail(css, '<div class="card" style="color: red"><h1>Hi</h1></div>' + CELL))
    assert (
        '<div class="card" style="background: #fff;color: red"><h1 style="color: #123;">Hi</h1></div>'
        in found
    )
    kept = found[found.index("<style>") : found.index("</style>")]
    assert "td > p" not in kept
    for rule in (MEDIA, DARK, FONT, HOVER):
        assert rule in kept, "as it was written, with its !important"


def test_an_own_style_of_a_tag_wins_unless_the_rule_is_important() -> None:
    found = inline_css(
        mail("p { color: red; margin: 0 !important; }", '<p style="color: blue; margin: 9px">x</p>')
    )
    assert "color: blue" in found
    assert "margin: 0 !important" in found
    assert "9px" not in found


@pytest.mark.parametrize(
    "css", ["", MEDIA, DARK + FONT, ":root { color-scheme: light dark; }" + MEDIA, HOVER]
)
def test_a_mail_that_has_nothing_to_inline_comes_back_byte_for_byte(css: str) -> None:
    html = mail(css, "<p>Grüße &amp; more&nbsp;<br></p>")
    assert inline_css(html) is html


def test_a_marked_block_stays_whole() -> None:
    html = mail("p { color: red; }", "<p>x</p>", '<style data-css-inline="ignore">p { margin: 0; }</style>')
    found = inline_css(html)
    assert '<p style="color: red;">x</p>' in found
    assert "p { margin: 0; }" in found


@pytest.mark.parametrize("media", ["print", "screen and (min-width:480px)", "(prefers-color-scheme: dark)"])
def test_a_block_for_some_screens_stays_whole(media: str) -> None:
    block = f'<style type="text/css" media="{media}">p {{ color: red; }}</style>'
    assert inline_css(mail("", "<p>x</p>", block)) == mail("", "<p>x</p>", block)
    found = inline_css(mail("p { margin: 0; }", "<p>x</p>", block))
    assert '<p style="margin: 0;">x</p>' in found
    assert "p { color: red; }" in found


@pytest.mark.parametrize("media", ['media="all"', "media=screen", "MEDIA='Screen'", 'id="media"', ""])
def test_a_block_for_every_screen_is_inlined(media: str) -> None:
    found = inline_css(mail("", "<p>x</p>", f"<style {media}>p {{ color: red; }}</style>"))
    assert '<p style="color: red;">x</p>' in found


def test_conditional_comments_and_entities_stay() -> None:
    mso, end = "<!--[if mso]><table><tr><td><![endif]-->", "<!--[if mso]></td></tr></table><![endif]-->"
    body = f"{mso}<p>5&nbsp;&lt;&#8203;6 &zwnj;€</p>{end}"
    found = inline_css(mail("p { color: red; }", body))
    assert body.replace("<p>", '<p style="color: red;">') in found


def test_nothing_is_loaded_from_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    sheet = tmp_path_factory.mktemp("css") / "a.css"
    sheet.write_text("p { color: red; }")
    for place in (sheet, f"file://{sheet}", "http://127.0.0.1:9/a.css"):
        link = f'<link rel="stylesheet" href="{place}">'
        found = inline_css(mail("p { margin: 0; }", "<p>x</p>", link))
        assert '<p style="margin: 0;">x</p>' in found
        assert link in found, "a web font still loads in the reader's client"


def test_texts_and_links_of_one_structure_are_not_mixed_up() -> None:
    css = ".a { color: red; }"
    body = '<p class="a">{0}</p><a href="https://e.example/{1}">{0} and {1}</a>'
    for first, second in [("one", "two"), ("three", "four"), ("one", "two")]:
        found = inline_css(mail(css, body.format(first, second)))
        assert f'<p class="a" style="color: red;">{first}</p>' in found
        assert f'<a href="https://e.example/{second}">{first} and {second}</a>' in found


TEXT = st.text(st.sampled_from(" \nab0Ж€😀\ue000\ue001.:#{}[]\\$")) | st.sampled_from(
    ["&amp;", "&nbsp;x", ">", "a > b"]
)
TAGS = st.sampled_from(
    ['<p class="a">{}</p>', "<td>{}</td>", '<b id="x">{}</b>', '<a href="https://e.example/{}">x</a>']
)
BODIES = st.lists(st.tuples(TAGS, TEXT), max_size=8).map(
    lambda parts: "<table><tr>" + "".join(tag.format(text) for tag, text in parts) + "</tr></table>"
)
SHEETS = st.lists(
    st.sampled_from([
        ".a { color: red; }", "td p { margin: 0 !important; }", "#x, b { top: 1px; }",
        'a[href^="https"] { left: 0; }',
        "a[href$='a'] { right: 0; }", "p:first-child { color: blue; }", MEDIA, HOVER,
        "/* p { x: y } */", "@import 'x.css';",
    ]),
    min_size=1,
).map("\n".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(SHEETS, BODIES)
def test_a_mail_reads_as_if_it_had_been_inlined_whole(css: str, body: str) -> None:
    html = mail(css, body)
    found = inline_css(html)
    assert found == html or parsed(found) == parsed(whole(html))


@settings(deadline=None, max_examples=100)
@given(SHEETS, BODIES)
def test_what_comes_back_untouched_had_nothing_to_inline(css: str, body: str) -> None:
    html = mail(css, body)
    if inline_css(html) == html:
        assert " style=" not in whole(html)


STYLED = {
    "hello/en/subject": "Hi",
    "hello/en/text": "Hi",
    "hello/en/html": mail(
        RULES + MEDIA, '<h1>Hi {{ data.name }}</h1><div class="card pad">{{ data.name }}</div>'
    ),
}


def test_the_html_part_of_a_mail_is_inlined_and_data_stays_data() -> None:
    content = renderer(STYLED).render(message("email", {"name": "</h1><style>*{}</style> Ada \ue000"}))
    assert isinstance(content, EmailContent)
    name = "&lt;/h1&gt;&lt;style&gt;*{}&lt;/style&gt; Ada \ue000"
    assert f'<h1 style="color: #123;">Hi {name}</h1>' in content.html
    assert f'<div class="card pad" style="background: #fff;">{name}</div>' in content.html
    assert MEDIA in content.html


MJML = (Path(__file__).parent / "mails/mjml-5.4.1.html").read_text()
"""What MJML 5.4.1 makes of the `.mjml` file beside it, with expressions of Jinja in it."""


def test_a_mail_made_by_mjml_gets_its_own_rules_and_loses_nothing() -> None:
    data = {"name": "Ada", "order": "A-1", "url": "https://shop.example/t/1?a=1&b=2"}
    templates = STYLED | {"hello/en/html": MJML}
    content = renderer(templates).render(message("email", data))
    assert isinstance(content, EmailContent)
    before, after = Parsed(MJML), Parsed(content.html)
    assert before.kinds("comment") == after.kinds("comment"), "what Outlook reads"
    assert [tag for tag in before.tags() if tag != "tbody"] == [tag for tag in after.tags() if tag != "tbody"]
    assert (
        '<a href="https://shop.example/help" style="color: #1f4fd8 !important;">Help</a> &amp; more'
        in content.html
    )
    assert 'href="https://shop.example/t/1?a=1&amp;b=2"' in content.html
    for kept in ("@media only screen and (min-width:480px)", ".moz-text-html .mj-column-per-60", "a:hover"):
        assert kept in content.html
    assert "width: 60%" not in "".join(after.styles()), "only wide screens have two columns"
