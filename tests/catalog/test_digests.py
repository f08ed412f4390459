"""Digests in the catalog: what is read, and what `tocsin check` says about each mistake."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import NOTICE, folder, problems
from tocsin.catalog import loader
from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.expressions import ExpressionError, Scope
from tocsin.catalog.matching import choose, fixed


def compiled(path: Path, digest: str, more: str = "") -> CompiledNotification:
    text = f"{NOTICE}  digest: {digest}\n{more}"
    found = loader.load(folder(path, notifications__all=text)).notification("default", "hello")
    assert found is not None
    return found


def test_every_word(tmp_path: Path) -> None:
    words = "{at: '08:00', on: [monday, friday], count: 20, max_items: 10, single: plain, key: data.a}"
    digest = compiled(tmp_path, words).digest
    assert digest is not None
    assert (digest.at_min, digest.weekdays, digest.count, digest.max_items) == (480, (0, 4), 20, 10)
    assert (digest.every_ms, digest.slide_ms, digest.at_most_ms) == (0, 0, 0)
    assert digest.plain_single
    assert not digest.overflow_only


def test_one_weekday_needs_no_list(tmp_path: Path) -> None:
    digest = compiled(tmp_path, "{at: '08:00', on: sunday}").digest
    assert digest is not None
    assert digest.weekdays == (6,)


def test_a_digest_takes_the_template_of_the_notification_unless_it_names_one(tmp_path: Path) -> None:
    assert compiled(tmp_path / "a", "{every: 1h}").digest_template == "hello"
    (tmp_path / "b/templates/many/en").mkdir(parents=True)
    assert compiled(tmp_path / "b", "{every: 1h, template: many}").digest_template == "many"


def test_key_and_items_are_evaluated_with_the_event(tmp_path: Path) -> None:
    hello = compiled(tmp_path, "{every: 1h, key: data.a, items: \"{'b': data.b, 'c': data.c}\"}")
    match = choose(hello, Scope({"data": {"a": 7, "b": ["x"]}}))
    assert match is not None
    assert (match.digest_key, match.digest_item) == ("7", b'{"b":["x"],"c":null}')
    assert fixed(hello) is None
    with pytest.raises(ExpressionError):
        choose(hello, Scope({"data": {"b": 1}}))


def test_an_item_is_the_data_of_the_event_unless_the_catalog_says_otherwise(tmp_path: Path) -> None:
    match = choose(compiled(tmp_path, "{every: 1h}"), Scope({"data": {"a": 7}}))
    assert match is not None
    assert match.digest_item == b'{"a":7}'


@pytest.mark.parametrize("items", ["data.gone", "data.a | map('upper')"])
def test_an_item_that_is_no_json_fails_with_its_event(tmp_path: Path, items: str) -> None:
    hello = compiled(tmp_path, f'{{every: 1h, items: "{items}"}}')
    with pytest.raises(ExpressionError):
        choose(hello, Scope({"data": {"a": ["x"]}}))


@pytest.mark.parametrize(
    ("digest", "text"),
    [
        ("{}", "nothing says when it is due, write every, slide with at_most, at, or count"),
        ("{every: 1h, at: '08:00'}", "more than one window, keep one of every, slide and at"),
        ("{slide: 10m}", "slide and at_most go together, write both or none"),
        ("{slide: 10m, at_most: 5m}", "at_most is shorter than slide, the end could never move, use every"),
        ("{on: monday, every: 1h}", "on has no time of day, write at, too"),
        ("{at: '8:00'}", "`at` is wrong: not a time of day, write HH:MM"),
        ("{at: '08:00', on: someday}", "`on: someday` is not allowed, write one of 'monday', 'tuesday'"),
        ("{every: 32d}", "its window is too long, write at most 31d"),
        ("{count: 1}", "`count` is wrong"),
        ("{every: 1h, max_items: 101}", "`max_items` is wrong"),
        ("{every: 1h, key: 'data.'}", "`key` is wrong: not an expression"),
        ("{every: 1h, items: 'dta.x'}", "`items` is wrong: unknown variable `dta`"),
        ("{every: 1h, template: gone}", "no template `gone`, add templates/gone/<locale>/"),
        ("{every: 1h, tempo: 1}", "unknown field `tempo`"),
    ],
)
def test_a_mistake_of_a_digest(tmp_path: Path, digest: str, text: str) -> None:
    found = problems(tmp_path, notifications__all=f"{NOTICE}  digest: {digest}\n")
    assert len(found) == 1
    assert found[0].startswith("notifications/all.yaml:5: ")
    assert text in found[0]


def test_a_critical_notification_does_not_wait(tmp_path: Path) -> None:
    text = f"{NOTICE}  priority: critical\n  digest: {{every: 1h}}\n"
    assert problems(tmp_path, notifications__all=text) == [
        "notifications/all.yaml:6: a critical notification does not wait for a digest, "
        "remove `digest` or lower the priority"
    ]


def test_what_expires_before_its_delay_is_over_is_a_mistake_but_in_a_digest(
    tmp_path: Path,
) -> None:
    times = f"{NOTICE}  delay: 2h\n  expires: 1h\n"
    assert problems(tmp_path, notifications__all=times) == [
        "notifications/all.yaml:5: it has expired 1h after the event, so it is never sent: "
        "shorten `delay` or raise `expires`"
    ]
    assert problems(tmp_path, notifications__all=f"{times}  digest: {{every: 1h}}\n") == []
    assert problems(tmp_path, notifications__all=f"{NOTICE}  delay: 1h\n  expires: 1h\n") == []


def test_what_only_overflows_needs_no_window(tmp_path: Path) -> None:
    limit = "  limits: [{max: 1, per: 1d, overflow: digest}]\n"
    digest = compiled(tmp_path, "{only: overflow}", limit).digest
    assert digest is not None
    assert digest.overflow_only
