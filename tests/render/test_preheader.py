"""The preheader: hidden, first in the body, and text, never HTML."""

import pytest

from tests.render.render_world import message, renderer
from tocsin.model.content import EmailContent
from tocsin.render.preheader import MAX_BYTES, with_preheader

MAIL = {
    "hello/en/subject": "Your order",
    "hello/en/text": "It is on its way.",
    "hello/en/html": "<html><head><style>p{color:red}</style></head><body class='a>b'><p>It is.</p></body>",
}


def html_of(**parts: str) -> str:
    more = {f"hello/en/{name}": text for name, text in parts.items()}
    content = renderer(MAIL | more).render(message("email", {"name": "<Ada> & co"}))
    assert isinstance(content, EmailContent)
    return content.html


def test_it_is_the_first_in_the_body_and_hidden() -> None:
    html = html_of(preheader="For {{ data.name }}:\n  tomorrow")
    before, _, after = html.partition("For ")
    assert before.endswith('opacity:0">')
    assert before.startswith("<html>")
    assert "<body class=" in before
    assert "<p" not in before
    assert after.startswith("&lt;Ada&gt; &amp; co:   tomorrow&#847;&zwnj;&nbsp;"), "one line, escaped once"
    assert "display:none" in before.rpartition("<div")[2]


@pytest.mark.parametrize("text", ["", " \n ", "{{ '' }}"])
def test_a_blank_one_changes_nothing(text: str) -> None:
    assert html_of(preheader=text) == html_of()


@pytest.mark.parametrize(
    ("html", "before"),
    [
        ("<p>x</p>", ""),
        ("<!DOCTYPE html>\n<html lang='en'><p>x</p>", "<!DOCTYPE html>\n<html lang='en'>"),
        ('<body data-x="a>b"><p>x</p>', '<body data-x="a>b">'),
        ("<BODY><p>x</p>", "<BODY>"),
    ],
)
def test_where_it_goes(html: str, before: str) -> None:
    assert with_preheader(html, "soon").startswith(f"{before}<div style=")
    assert with_preheader(html, "soon").endswith("</div><p>x</p>")


def test_a_long_one_is_cut() -> None:
    html = with_preheader("<p>x</p>", "word " * 200)
    assert len(html.partition("&#847;")[0]) < MAX_BYTES + 150
