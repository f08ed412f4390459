"""Digests in templates: the variable `digest`, and the samples that `tocsin check` renders."""

import json
from typing import Any

import pytest

from tests.render.render_world import message, renderer
from tests.render.test_check import NOTICE, Check, check
from tocsin.model.content import SmsContent

__all__ = ["check"]

TEXT = (
    "{% if digest is defined %}{{ digest.count }} news"
    "{% for one in digest.items %}, {{ one.name }}{% endfor %}"
    "{% if digest.more %} and {{ digest.more }} more{% endif %}{% else %}Hello {{ data.name }}{% endif %}"
)
DIGEST = {"items": [{"name": "Ada"}, {"name": "Bob"}], "count": 5, "more": 3, "key": "k"}
SAMPLE = "templates/hello/digest.json"


def sms(data: Any, *, digest: bool) -> str:
    templates = {"hello/en/sms": TEXT}
    content = renderer(templates).render(message("sms", data, digest=digest))
    assert isinstance(content, SmsContent)
    return content.text


def test_a_template_knows_a_digest_by_its_variable() -> None:
    assert sms(DIGEST, digest=True) == "5 news, Ada, Bob and 3 more"
    assert sms({"name": "Ada"}, digest=False) == "Hello Ada"


def changes(digest: str, sample: Any) -> dict[str, Any]:
    """A notification that is sent alone or as a digest, from one template."""
    return {
        "notifications/hello.yaml": NOTICE.replace("[push, sms]", f"[sms]\n  digest: {digest}"),
        "templates/hello/en/sms.j2": TEXT,
        "templates/hello/de/sms.j2": TEXT,
        SAMPLE: None if sample is None else json.dumps(sample),
    }


def test_both_kinds_of_samples_are_rendered(check: Check) -> None:
    assert check(changes("{every: 1h, single: plain}", DIGEST)) == []
    broken = changes("{every: 1h, single: plain}", DIGEST) | {
        "templates/hello/de/sms.j2": "{{ digest.items }}"
    }
    problems = check(broken)
    assert any(
        problem.startswith("templates/hello/sample.json:1: sample 0, sms, de: ") for problem in problems
    )


def test_what_is_sent_in_digests_only_needs_no_other_sample(check: Check) -> None:
    only = changes("{every: 1h}", DIGEST) | {"templates/hello/sample.json": None}
    unused = ("de-AT/title", "de/title", "de/body", "en/title", "en/body")
    only |= {f"templates/hello/{part}.j2": None for part in unused}
    only["templates/hello/en/sms.j2"] = only["templates/hello/de/sms.j2"] = "{{ digest.count }}"
    assert check(only) == []


def test_what_a_limit_lets_overflow_into_a_digest_is_written_as_one(check: Check) -> None:
    """Else its template would meet the data of a digest for the first time when one is sent."""
    limit = "limits: [{max: 1, per: 1d, overflow: digest}]"
    over = changes("{every: 1h}", DIGEST)
    over["notifications/hello.yaml"] = NOTICE.replace("[push, sms]", f"[sms]\n  {limit}")
    assert check(over) == []
    assert check(over | {SAMPLE: None}) == [
        f"{SAMPLE}:1: missing, write a sample digest with `items`, `count`, `more` and `key` there"
    ]


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        (None, "missing, write a sample digest with `items`, `count`, `more` and `key` there"),
        ({"items": [], "count": 0}, "sample 0 lacks more, key, add them"),
        ([DIGEST, 3], "sample 1 lacks items, count, more, key, add them"),
    ],
)
def test_a_digest_needs_samples(check: Check, sample: Any, problem: str) -> None:
    assert check(changes("{every: 1h, single: plain}", sample)) == [f"{SAMPLE}:1: {problem}"]
