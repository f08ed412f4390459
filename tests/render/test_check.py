"""`check_templates`: each mistake is found, with its file and line, and nothing else is said."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.render.check import check_templates

TENANT = """
categories: {news: {}}
senders: {unsubscribe_url: "https://skylark.example/u"}
"""
NOTICE = """
hello:
  on: {type: hello}
  category: news
  channels: [push, sms]
"""
FILES = {
    "tenants/default.yaml": TENANT,
    "notifications/hello.yaml": NOTICE,
    "templates/hello/sample.json": '{"name": "Ada", "at": "2013-02-08T21:35:00Z", "deep": {"a": 1}}',
    "templates/hello/en/title.j2": "Hello {{ data.name }}",
    "templates/hello/en/body.j2": "It is {{ data.at | time }}",
    "templates/hello/en/sms.j2": "Hello {{ data['name'] }}",
    "templates/hello/de-AT/title.j2": "Servus {{ data.name }}",
    "templates/hello/de/title.j2": "Hallo {{ data.name }}",
    "templates/hello/de/body.j2": "Es ist {{ data.at | time }}",
    "templates/hello/de/sms.j2": "Hallo {{ data.name }}",
}
Check = Callable[..., list[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check the good catalog with some files changed; None removes one."""

    def checked(changes: dict[str, Any] | None = None) -> list[str]:
        shutil.rmtree(tmp_path, ignore_errors=True)
        for name, text in (FILES | (changes or {})).items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return check_templates(tmp_path)

    return checked


def test_a_good_catalog_has_no_problems(check: Check) -> None:
    assert check() == []


def test_wrong_syntax(check: Check) -> None:
    assert check({"templates/hello/en/body.j2": "one\n{% if x %}"}) == [
        "templates/hello/en/body.j2:2: Unexpected end of template. Jinja was looking for the following tags: "
        "'elif' or 'else' or 'endif'. The innermost block that needs to be closed is 'if'."
    ]


def test_an_unknown_filter(check: Check) -> None:
    (problem,) = check({"templates/hello/en/body.j2": "\n\n{{ data.at | clock }}"})
    assert problem.startswith("templates/hello/en/body.j2:3: No filter named 'clock'")


def test_an_unknown_variable(check: Check) -> None:
    assert check({"templates/hello/en/body.j2": "x\n{{ date.at }}"}) == [
        "templates/hello/en/body.j2:2: unknown variable `date`"
    ]


@pytest.mark.parametrize("field", ["data.nmae", "data['nmae']"])
def test_a_field_that_no_sample_has(check: Check, field: str) -> None:
    source = "{% if false %}\n{{ " + field + " }}{% endif %}"
    assert check({"templates/hello/de/sms.j2": source}) == [
        "templates/hello/de/sms.j2:2: no sample has `data.nmae`"
    ]


def test_a_deep_field_that_no_sample_has(check: Check) -> None:
    assert check({"templates/hello/de/sms.j2": "{{ data.deep.b }}"}) == [
        "templates/hello/de/sms.j2:1: no sample has `data.deep.b`"
    ]


def test_several_samples_show_the_fields_together(check: Check) -> None:
    samples = json.dumps([{"name": "Ada", "at": 0}, {"name": "Bob", "at": 0, "gate": "B1"}])
    body = "{% if data.gate is defined %}{{ data.gate }}{% endif %}"
    changes = {"templates/hello/sample.json": samples, "templates/hello/en/body.j2": body}
    assert check(changes) == []
    (problem,) = check(changes | {"templates/hello/en/body.j2": "{{ data.gate }}"})
    assert problem == (
        "templates/hello/sample.json:1: sample 0, push, en: template hello/en/body: "
        "variable gate is missing or null; send it, or use `default`"
    )


def test_methods_and_loops_are_not_taken_for_fields(check: Check) -> None:
    body = "{% for word in data.name.split() %}{{ word.upper() }}{{ loop.index }}{% endfor %}"
    assert check({"templates/hello/en/body.j2": body}) == []


def test_a_missing_sample(check: Check) -> None:
    assert check({"templates/hello/sample.json": None}) == [
        "templates/hello/sample.json:1: missing, write the `data` of an event there"
    ]


@pytest.mark.parametrize("broken", [b"{", b'{"a": "\xff"}'])
def test_a_broken_sample(check: Check, broken: bytes) -> None:
    (problem,) = check({"templates/hello/sample.json": broken})
    assert problem.startswith("templates/hello/sample.json:1: not JSON: ")


def test_byte_order_marks_are_skipped(check: Check) -> None:
    mark = b"\xef\xbb\xbf"
    marked = {name: mark + text.encode() for name, text in FILES.items()}
    assert check(marked) == []


def test_a_field_that_is_optional_in_one_part_is_tried_as_null_in_all(check: Check) -> None:
    changes = {"templates/hello/en/title.j2": "Hello {{ data.name | default('you') }}"}
    problems = check(changes)
    assert problems
    assert {problem.partition(": ")[0] for problem in problems} == {"templates/hello/sample.json:1"}
    assert problems[0].startswith("templates/hello/sample.json:1: sample 0 with `data.name` null, ")
    assert "variable name is missing or null" in problems[0]


@pytest.mark.parametrize(
    "choice",
    [
        "{{ data.deep.a | default('') }}",
        "{% if data.deep.a is defined %}{{ data.deep.a }}{% endif %}",
        "{% if data.deep.a is not none %}{{ data.deep.a }}{% endif %}",
    ],
)
def test_a_field_that_is_optional_wherever_it_is_used_is_fine(check: Check, choice: str) -> None:
    assert check({"templates/hello/en/title.j2": choice}) == []


def test_a_field_that_is_null_in_every_sample_is_in_none(check: Check) -> None:
    samples = json.dumps({"name": "Ada", "at": 0, "deep": {}, "gate": None})
    body = "{% if data.gate is defined %}{{ data.gate }}{% endif %}"
    changes = {"templates/hello/sample.json": samples, "templates/hello/en/body.j2": body}
    assert set(check(changes)) == {"templates/hello/en/body.j2:1: no sample has `data.gate`"}


def test_a_language_that_lacks_a_part(check: Check) -> None:
    assert check({"templates/hello/de/sms.j2": None}) == [
        "templates/hello/de-AT/:1: sms needs sms.j2, add it",
        "templates/hello/de/:1: sms needs sms.j2, add it",
    ]


def test_a_template_without_its_last_fallback(check: Check) -> None:
    gone = dict.fromkeys([name for name in FILES if "/hello/en/" in name], None)
    problems = check(gone)
    assert "templates/hello/en/:1: push needs title.j2 and body.j2, add them" in problems
    assert "templates/hello/en/:1: sms needs sms.j2, add it" in problems


def test_another_language_of_the_tenant_is_fallback_enough(check: Check) -> None:
    gone: dict[str, Any] = dict.fromkeys([name for name in FILES if "/hello/en/" in name], None)
    assert check(gone | {"tenants/default.yaml": TENANT + "locale: de\n"}) == []


def test_a_folder_that_no_language_finds(check: Check) -> None:
    files = {f"templates/hello/de_CH/{part}.j2": "x" for part in ("title", "body", "sms")}
    assert "templates/hello/de_CH/:1: not how a language is written, rename it `de-CH`" in check(files)
    assert "templates/hello/german/:1: not how a language is written, name it like de or de-AT" in check(
        {"templates/hello/german/sms.j2": "x"}
    )


def test_a_part_that_nothing_uses(check: Check) -> None:
    (problem,) = check({"templates/hello/en/titel.j2": "x"})
    assert problem.startswith("templates/hello/en/titel.j2:1: no part is called `titel`, use one of body,")


def test_a_part_that_others_include(check: Check) -> None:
    changes = {"templates/hello/en/name.j2": "{{ data.name }}"}
    changes["templates/hello/en/body.j2"] = "{% include 'hello/en/name' %}"
    assert check(changes) == []


def test_a_layout_that_is_not_there(check: Check) -> None:
    source = "\n{% include '_layout/gone' %}"
    assert check({"templates/hello/en/body.j2": source}) == [
        "templates/hello/en/body.j2:2: no template `_layout/gone`"
    ]


def test_a_sample_that_does_not_render(check: Check) -> None:
    assert check({"templates/hello/de/body.j2": "{{ data.name | time }}"}) == [
        f"templates/hello/sample.json:1: sample 0, push, {locale}: template hello/de/body: ValueError"
        for locale in ("de-AT", "de")
    ]


def test_a_link_that_may_not_be_followed(check: Check) -> None:
    problems = check({"templates/hello/url.j2": "{{ data.name }}"})
    assert len(problems) == 3
    assert problems[0].endswith(
        "template hello, part url: not a link that may be followed; use https:// or the scheme of an app"
    )


def test_a_template_that_is_not_utf_8(check: Check) -> None:
    (problem,) = check({"templates/hello/en/body.j2": b"\xff"})
    assert problem.endswith("body.j2:1: not UTF-8, save it as such")


def test_mistakes_of_the_catalog_come_first(check: Check) -> None:
    misspelt = {"notifications/hello.yaml": NOTICE.replace("news", "nwes")}
    (problem,) = check(misspelt | {"templates/hello/en/body.j2": "{{"})
    assert "nwes" in problem


def test_every_problem_is_listed(check: Check) -> None:
    problems = check(
        {
            "templates/hello/en/body.j2": "{{ oops }}",
            "templates/hello/de/body.j2": "{{ data.oops }}",
            "templates/hello/de/sms.j2": None,
        }
    )
    assert len(problems) == 4


ACME = {"tenants/acme.yaml": TENANT}


def test_a_tenants_own_template_is_checked_against_the_shared_sample(check: Check) -> None:
    own = {"tenants/acme/templates/hello/en/sms.j2": "one\nHi {{ data.nick }}"}
    assert check(ACME | own) == ["tenants/acme/templates/hello/en/sms.j2:2: no sample has `data.nick`"]


def test_a_tenants_own_sample_is_the_one_that_counts_for_it(check: Check) -> None:
    own = {
        "tenants/acme/templates/hello/en/sms.j2": "Hi {{ data.nick }}",
        "tenants/acme/templates/hello/sample.json": '{"nick": "A","name": "B", "at": "2013-02-08T21:35:00Z"}',
    }
    assert check(ACME | own) == []


def test_a_tenants_own_template_that_does_not_render_is_named(check: Check) -> None:
    own = {"tenants/acme/templates/hello/en/sms.j2": "Hi {{ data.name | time }}"}
    (found,) = check(ACME | own)
    assert found.startswith("tenants/acme/templates/hello/sample.json:1: sample 0, sms, en: ")


def test_a_file_that_replaces_a_shared_macro_is_no_unknown_part(check: Check) -> None:
    shared = {
        "templates/_layout/en/frame.j2": "[{% block body %}{% endblock %}]",
        "templates/hello/en/greeting.j2": "Hello",
        "templates/hello/en/sms.j2": "{% include 'hello/en/greeting' %} {{ data.name }}",
    }
    own = {"tenants/acme/templates/hello/en/greeting.j2": "Hi"}
    assert check(ACME | shared | own) == []


def test_a_tenants_language_that_lacks_a_part_is_the_mistake_of_its_own_files(check: Check) -> None:
    own = {"tenants/acme/templates/hello/fr/title.j2": "Bonjour"}
    assert check(ACME | own) == [
        "tenants/acme/templates/hello/fr/:1: push needs body.j2, add it",
        "tenants/acme/templates/hello/fr/:1: sms needs sms.j2, add it",
    ]


def test_a_tenants_file_that_is_not_utf8_is_named(check: Check) -> None:
    (found,) = check(ACME | {"tenants/acme/templates/hello/en/sms.j2": b"caf\xe9"})
    assert found.endswith("tenants/acme/templates/hello/en/sms.j2:1: not UTF-8, save it as such")
