"""Mistakes that people make who know other tools: each is told with file, line, field and cure."""

import json
from pathlib import Path

import pytest

from tests.catalog.test_loader import NOTICE, TENANT, folder, problems
from tocsin.catalog import loader as catalog
from tocsin.catalog.expressions import Expression, ExpressionError

SCHEDULE = 'x:\n  cron: "0 9 * * *"\n  type: a.b\n  for: everyone\n'


def expression(text: str) -> str:
    with pytest.raises(ExpressionError) as refused:
        Expression(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "a.b",
            "a.*.b",
            ":2: `type` is wrong: `a.*.b` is no type of an event, write one without blanks, with a",
        ),
        ("a.b", '""', ":2: `type` is wrong: it is empty, write a text"),
        ("[email]", "[]", ":4: `channels` is wrong: it is empty, write one or more"),
        ("[email]", "[Email]", ":4: `channel` is wrong: `Email` is no channel, did you mean `email`?"),
        ("[email]", "[{push: x}]", ":4: unknown field `push`, use channel or when"),
        ("category", "\tcategory", ":3: not YAML (a tab), indent with spaces"),
        ("news", "a: b", ":3: not YAML (a second `:` in a line), quote a text that has `: ` in it"),
        ("news", "*", ":3: not YAML (a name of an anchor is expected), quote a text that begins with `*`"),
        ("[email]", "[email]\n---\n{}", ":5: not YAML (a second document), use one file for each, or remove"),
        ("[email]", "[email]\n  <<: {}", ":5: `<<` is no part of YAML 1.2, write the fields out"),
        ("[email]", "[email]\n  tenants: []", ":5: it is empty, so no tenant has this: name one, or leave"),
        (
            "[email]",
            "[email]\n  digest: {at: '08:00', on: []}",
            ":5: `on` is wrong: it is empty, write one or more",
        ),
        (
            "[email]",
            "[email]\n  attachments: [{file: a.pdf, type: pdf}]",
            ":5: `type` is wrong: `pdf` is no media type, write one such as application/pdf",
        ),
        ("category", "Category", ":3: unknown field `Category`, did you mean `category`?"),
        ("news", "neus", ":3: tenant `default` has no category `neus`, did you mean `news`?"),
        ("[email]", "[email]\n  at: {}", ":5: `at` is wrong: it has no time, write `time` or `expression`"),
        ("[email]", "[email]\n  at: '25:00'", ":5: `at` is wrong: not a time, write HH:MM, a date and time"),
        (
            "[email]",
            "[email]\n  at: {expression: x, offset: -99999d}",
            ":5: `offset` is wrong: too long, write",
        ),
        ("[email]", "[email]\n  digest: {count: true}", ":5: `count` is wrong: not a number, write a whole"),
        ("[email]", "[email]\n  digest: {every: 1h, kei: x}", ":5: unknown field `kei`, did you mean `key`?"),
        ("[email]", "[email]\n  digest: {only: all}", ":5: `only: all` is not allowed, write 'overflow'"),
        (
            "[email]",
            "[email]\n  digest: {every: 1h, items: {who: data.by}}",
            """:5: `items` is wrong: write an expression in quotes, such as "{'name': data.name}\"""",
        ),
        (
            "[email]",
            "[email]\n  limits: [{limit: 5}]",
            ":5: unknown field `limit`, use calendar, channel, max",
        ),
        (
            "[email]",
            "[email]\n  escalate: [{after: 1m, unless: read, channel: [sms]}]",
            ":5: unknown field `channel`, did you mean `channels`?",
        ),
        ("[email]", "[email]\n  collapse_key: {{ data.x }}", ":5: `{{` begins two mappings in YAML, write"),
        (
            "[email]",
            "[email]\n  collapse_key: {{ data.x }} x",
            ":5: not YAML (expected <block end>, but found",
        ),
        ("[email]", "[email]\n  template: 'x", ":6: not YAML (a quote without its end), close it"),
        (
            "[email]",
            "[email",
            ":5: not YAML (a bracket without its end, or a text with one of `, : [ ] { }` in it)",
        ),
        (
            "[email]",
            "[email]\n  variants: [{name: ä, weight: 1}, {name: b, weight: 1}]",
            ":5: `name` is wrong: `ä` is no name, use letters, digits, dot, dash and underscore, at most 64",
        ),
    ],
)
def test_of_a_notification(old: str, new: str, told: str, tmp_path: Path) -> None:
    found = problems(tmp_path, notifications__all=NOTICE.replace(old, new))
    assert any(one.startswith(f"notifications/all.yaml{told}") for one in found), found


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (
            "windows: {start: '08:00', end: '20:00'}",
            "`windows` is wrong: these are the hours of no channel, name it",
        ),
        (
            "senders: {unsubscribe_url: shop.example}",
            "`unsubscribe_url` is wrong: `shop.example` is no link, write",
        ),
        (
            "senders: {unsubscribe_email: stop}",
            "`unsubscribe_email` is wrong: `stop` is no address, write one such",
        ),
        (
            "preferences: {categories: {news: maybe}}",
            "`news` is wrong: write true, false, or channels such as {email: false}",
        ),
        ("preferences: {categories: {news: {email: maybe}}}", "`email` is wrong: write true or false"),
        ("preferences: {categories: {newz: false}}", "no category `newz`, did you mean `news`?"),
        ("segment: {}", "unknown field `segment`, did you mean `segments`?"),
        ("segments: {a: true}", '`a` is wrong: write an expression in quotes, such as "user'),
        ("broadcast_rate: true", "`broadcast_rate` is wrong: not a number, write a whole number"),
        ("windows: {any: {start: '08:00', end: '20:00'}}", "`any` is wrong: `any` has a meaning of its own"),
        ("snooze: true", "`snooze: true` is not allowed, write one of 'hold' or 'drop'"),
        ("snooze: [hold]", "`snooze` is not allowed, write one of 'hold' or 'drop'"),
        ("timezone: Berlin", "`timezone` is wrong: not an IANA time zone, did you mean Europe/Berlin?"),
        ("timezone: utc", "`timezone` is wrong: not an IANA time zone, did you mean UTC?"),
        ("timezone: Mars", "`timezone` is wrong: not an IANA time zone, write a name such as Europe/Berlin"),
        (
            "preferences: {enabled: false}",
            "unknown field `enabled`, use categories, channels or notifications",
        ),
    ],
)
def test_of_a_tenant(added: str, told: str, tmp_path: Path) -> None:
    found = problems(tmp_path, tenants__default=f"{TENANT}{added}\n")
    assert [one for one in found if f"tenants/default.yaml:4: {told}" in one], found


@pytest.mark.parametrize("switch", ["false", "{email: false, sms: true}"])
def test_a_default_that_no_required_category_follows(switch: str, tmp_path: Path) -> None:
    tenant = "categories: {news: {required: true}}\npreferences: {categories: {news: %s}}\n"
    told = "tenants/default.yaml:2: category `news` is required, so nothing switches it off, remove this"
    assert problems(tmp_path, tenants__default=tenant % switch) == [told]
    assert problems(tmp_path, tenants__default=tenant % "true") == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "everyone",
            "gold",
            "4: `for` is wrong: `gold` is no audience, write everyone, {segment: gold} or {topic: gold}",
        ),
        (
            "0 9 *",
            "*/70 * *",
            "2: `cron` is wrong: a step that is longer than the minutes there are, write at most 59",
        ),
        (
            "0 9 *",
            "0 */25 *",
            "2: `cron` is wrong: a step that is longer than the hours there are, write at most 23",
        ),
        ("everyone", "everyone\n  rate: 0", "5: `rate` is wrong: write a number of at least 1"),
        ("everyone", "everyone\n  tenants: [defalt]", "5: no tenant `defalt`, did you mean `default`?"),
        ("a.b", "a.a", "3: no notification of tenant `default` asks for `a.a`, did you mean `a.b`?"),
        ("a.b", "a.*", "3: `type` is wrong: `a.*` is no type of an event, write one without blanks and `*`"),
        ("everyone", "everyone\n  tenants: []", "5: it is empty, so no tenant has this: name one, or leave"),
    ],
)
def test_of_a_schedule(old: str, new: str, told: str, tmp_path: Path) -> None:
    found = problems(tmp_path, schedules__all=SCHEDULE.replace(old, new))
    assert len(found) == 1
    assert found[0].startswith(f"schedules/all.yaml:{told}"), found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data.x = 1", "use `==`"),
        ("data.x && data.y", "use `and`"),
        ("data.x || data.y", "use `or`"),
        ("!data.x", "use `not`"),
        ("data.x AND data.y", "use `and`"),
        ("data.x | lenght > 2", "not an expression (No filter named 'lenght'): did you mean `length`?"),
        ("data.x is defned", "not an expression (No test named 'defned'): did you mean `defined`?"),
        ("data.x and", "not an expression (it ends too early): complete it"),
        ("(data.x", "not an expression (it ends too early): write ')'"),
        ("user.channels.sms", "`user.channels` is a list: write `'sms' in user.channels`"),
        ("user.platforms == 'ios'", "`user.platforms` is a list: write `'ios' in user.platforms`"),
        ("'ios' != user.apps", "`user.apps` is a list: write `'ios' in user.apps`"),
        ("now() > 1", "`now` is no function: use its fields, or a filter"),
        ("now.weekday == 'Saturday'", "`now.weekday` is never `Saturday`: did you mean `saturday`?"),
        ("now.weekday in ['saturday', 'sun']", "`now.weekday` is never `sun`: did you mean `sunday`?"),
        ("'08:00' <= now.time < '9:30'", "`now.time` is never `9:30`: write it like 08:30"),
        ("now.time > '24:00'", "`now.time` is never `24:00`: write it like 08:30"),
        ("now.date == '2026-5-1'", "`now.date` is never `2026-5-1`: write it like 2026-05-01"),
        ("'iOS' in user.platforms", "`user.platforms` is never `iOS`: did you mean `ios`?"),
        (
            "data.x and 7 == now.weekday",
            "`now.weekday` is never `7`: use monday, tuesday, wednesday, thursday,",
        ),
    ],
)
def test_of_an_expression(text: str, told: str) -> None:
    assert told in expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "now.weekday in data.days",
        "'ios' in user.platforms",
        "now.weekday not in ('saturday', 'sunday')",
        "'a' in data.b",
        "'22:00' <= now.time or now.time < '06:30'",
        "now.date in ['2026-12-24', data.day]",
    ],
)
def test_comparisons_that_may_be_true_pass(text: str) -> None:
    assert Expression(text).source == text


def test_a_name_that_nobody_reads(tmp_path: Path) -> None:
    folder(tmp_path, schedule__all=SCHEDULE, notifications="{}", notes__all="{}", providers="{}")
    (tmp_path / "README.md").write_text("notes")
    assert [str(one) for one in catalog.check(tmp_path)] == [
        "notifications.yaml:1: nobody reads this file, move it into the folder notifications/",
        "schedule/:1: nobody reads this folder, call it schedules",
    ]


def test_aliases_that_stand_for_billions_of_values_are_refused_at_once(tmp_path: Path) -> None:
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    found = problems(tmp_path, notifications__all="\n".join(["a0: &a0 [x]", *rows]))
    assert found == [
        "notifications/all.yaml:1: the file stands for more than 100,000 values, use fewer aliases"
    ]


QUIET = f"{TENANT}quiet_hours: {{start: '22:00', end: '07:00'}}\n"
TEXTS = f"{TENANT}windows: {{email: {{start: '08:00', end: '21:00', critical: CRITICAL}}}}\n"


@pytest.mark.parametrize(
    ("tenant", "window", "priority", "told"),
    [
        (QUIET, "23:00 06:00", "normal", "the quiet hours"),
        (QUIET, "21:59 06:00", "normal", ""),
        (QUIET, "23:00 06:00", "critical", ""),
        (TEXTS, "21:00 22:00", "normal", "the `windows` for email"),
        (TEXTS.replace("CRITICAL", "passes"), "21:00 22:00", "critical", ""),
        (TEXTS.replace("CRITICAL", "hold"), "21:00 22:00", "critical", "the `windows` for email"),
        (TEXTS, "20:59 22:00", "normal", ""),
    ],
)
def test_a_window_of_which_other_hours_leave_nothing(
    tenant: str, window: str, priority: str, told: str, tmp_path: Path
) -> None:
    start, end = window.split()
    hours = f"  priority: {priority}\n  send_window: {{start: '{start}', end: '{end}'}}\n"
    found = problems(
        tmp_path, tenants__default=tenant.replace("CRITICAL", "hold"), notifications__all=NOTICE + hours
    )
    text = "of tenant `default` leave no time of it, so it never leaves there: change one of them"
    assert found == ([f"notifications/all.yaml:6: {told} {text}"] if told else [])


def test_a_window_of_a_channel_within_the_quiet_hours(tmp_path: Path) -> None:
    tenant = f"{QUIET}windows: {{sms: {{start: '23:00', end: '06:00'}}}}\n"
    text = "the quiet hours leave no time of it, so only critical messages go out by sms: change one of them"
    assert problems(tmp_path, tenants__default=tenant) == [f"tenants/default.yaml:5: {text}"]


BAD_CATEGORIES = ["", "*", "a:b", " a", "a ", "a\tb", "a\nb", "x" * 300]


@pytest.mark.parametrize("name", BAD_CATEGORIES)
def test_a_category_whose_name_means_something_else_is_refused(name: str, tmp_path: Path) -> None:
    """`a:email` was both a category and the channel of one: turning off one turned off the other."""
    tenant = f"categories: {{news: {{}}, {json.dumps(name)}: {{}}}}\n"
    (found,) = problems(tmp_path, tenants__default=tenant)
    assert found.startswith("tenants/default.yaml:1: `")
    assert found.endswith("1 to 100 characters without `:` and `*`, and no blank around")


@pytest.mark.parametrize("name", ["News & Offers", "Angebote für dich", "a/b", "2024", "a"])
def test_a_category_may_be_named_as_people_call_it(name: str, tmp_path: Path) -> None:
    tenant = f"categories: {{news: {{}}, {json.dumps(name, ensure_ascii=False)}: {{}}}}\n"
    assert problems(tmp_path, tenants__default=tenant) == []


def test_a_template_that_no_file_system_can_name_is_a_mistake_and_no_crash(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, notifications__all=NOTICE + f"  template: {'x' * 300}\n")
    assert ": no template `xxx" in found
