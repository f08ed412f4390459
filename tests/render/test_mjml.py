"""MJML is compiled once, with Jinja kept where it was; each mistake has its file and line."""

from pathlib import Path

import pytest

from tests.render.render_world import message, renderer
from tests.render.test_check import Check, check
from tocsin.errors import CatalogError
from tocsin.model.content import EmailContent
from tocsin.render.mjml import compile_mjml
from tocsin.render.templates import load_templates, written

__all__ = ["check"]

MAIL = """\
{% set total = data.lines | length %}
<mjml>
  <mj-head>
    <mj-title>{{ data.title }}</mj-title>
    <mj-attributes><mj-all font-family="{{ brand.font | default("Arial") }}" /></mj-attributes>
  </mj-head>
  <mj-body background-color="{{ brand.color }}">
    {# a comment
       of two lines #}
    {% if total > 0 and total < 10 %}
    <mj-section>
      <mj-column>
        {% for line in data.lines %}
        <mj-text css-class="x">{{ loop.index }}. {{ line }}<br>&nbsp;<b>{{ "<i>" }}</b></mj-text>
        {% endfor %}
        <mj-button href="{{ data.url }}">Track</mj-button>
      </mj-column>
    </mj-section>
    {% endif %}
  </mj-body>
</mjml>
"""
DATA = {"title": "Order", "lines": ["shoes & <socks>", "hat"], "url": "https://skylark.example/a?b=1&c=2"}


def rendered(source: str, data: object = None) -> str:
    templates = {
        "hello/en/subject": "s",
        "hello/en/text": "t",
        "hello/en/html": compile_mjml(source, "html.mjml.j2"),
    }
    content = renderer(templates).render(message("email", DATA if data is None else data))
    assert isinstance(content, EmailContent)
    return content.html


def test_a_mail_is_rendered_from_the_compiled_template() -> None:
    html = rendered(MAIL)
    assert "1. shoes &amp; &lt;socks&gt;<br" in html
    assert "2. hat<br" in html
    assert html.count("&lt;i&gt;") == 2
    assert 'href="https://skylark.example/a?b=1&amp;c=2"' in html
    assert "#1f4fd8" in html
    assert "mj-column-per-100" in html
    assert "<mj-" not in html
    assert "qzjinja" not in html
    assert "comment" not in html


def test_statements_of_jinja_decide_about_elements() -> None:
    assert "Track" not in rendered(MAIL, DATA | {"lines": []})
    assert "Track" not in rendered(MAIL, DATA | {"lines": ["x"] * 10})


def test_values_are_no_elements() -> None:
    html = rendered(MAIL, DATA | {"lines": ["<mj-text>x</mj-text>", "{{ 7 * 7 }}", "qzjinja0jinjazq"]})
    assert "&lt;mj-text&gt;x&lt;/mj-text&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert "49" not in html.partition("<body")[2].replace("#1f4fd8", "")


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("<mj-button", "<mj-buton", 16, "no element of MJML is called mj-buton"),
        ("        <mj-button", '        <mj-include path="x" /><mj-button', 16, "use {% include %} of HTML"),
        ("</mj-section>", "", 11, "<mj-section> is not closed before </mj-body>"),
        ("</mj-text>", "", 14, "<mj-text> is not closed before </mj-column>"),
        ("</mjml>", "", 1, "no <mjml> … </mjml>"),
        ("<mj-column>", '<mj-column width="{{ data.w }}">', 12, "{{ data.w }}: MJML keeps no text there"),
        ("<mj-head>", "<mj-head>{% if x %}", 3, "cannot be compiled"),
    ],
)
def test_a_mistake_has_its_line(old: str, new: str, line: int, text: str) -> None:
    wrong = MAIL.replace(old, new, 1)
    with pytest.raises(CatalogError) as caught:
        compile_mjml(wrong, "html.mjml.j2")
    assert str(caught.value).startswith(f"html.mjml.j2:{line}: ")
    assert text in str(caught.value)


NOTICE = "hello:\n  on: {type: hello}\n  category: news\n  channels: [email]\n"
FILES = {
    "notifications/hello.yaml": NOTICE,
    "templates/hello/sample.json": '{"lines": ["a"], "title": "t", "url": "https://x.example/"}',
    **{
        f"templates/hello/{name}.j2": None
        for name in ("en/title", "en/body", "en/sms", "de-AT/title", "de/title", "de/body", "de/sms")
    },
    "templates/hello/en/subject.j2": "s",
    "templates/hello/en/text.j2": "t",
    "templates/hello/en/preheader.j2": "p",
    "templates/hello/en/html.mjml.j2": MAIL,
}


def test_a_catalog_with_mjml_has_no_problems(check: Check) -> None:
    assert check(FILES) == []


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("{{ line }}", "{{ lime }}", "templates/hello/en/html.mjml.j2:14: unknown variable `lime`"),
        ("{{ data.url }}", "{{ data.uri }}", "templates/hello/en/html.mjml.j2:16: no sample has `data.uri`"),
        ("{% endfor %}", "{% endfr %}", "templates/hello/en/html.mjml.j2:15: "),
        ("<mj-button", "<mj-buton", "templates/hello/en/html.mjml.j2:16: no element of MJML is called"),
    ],
)
def test_the_check_names_the_file_that_somebody_wrote(check: Check, old: str, new: str, wanted: str) -> None:
    (problem,) = check(FILES | {"templates/hello/en/html.mjml.j2": MAIL.replace(old, new, 1)})
    assert wanted in problem


def test_a_part_is_written_once(check: Check) -> None:
    (problem,) = check(FILES | {"templates/hello/en/html.j2": "<p>x</p>"})
    assert "is the same part in HTML; remove one of them" in problem


def test_a_tenants_own_html_replaces_shared_mjml(tmp_path: Path, check: Check) -> None:
    own = {"tenants/default/templates/hello/en/html.j2": "<p>{{ lime }}</p>"}
    problems = check(FILES | own)
    assert [problem.partition(": ")[0] for problem in problems] == [
        "tenants/default/templates/hello/en/html.j2:1"
    ]


def test_what_was_compiled_is_not_written_by_hand(tmp_path: Path) -> None:
    (tmp_path / "hello/en").mkdir(parents=True)
    (tmp_path / "hello/en/html.mjml.j2").write_text(MAIL)
    templates = load_templates(tmp_path)
    assert set(templates) == {"hello/en/html.mjml", "hello/en/html"}
    assert written(templates) == ["hello/en/html.mjml"]
