"""The catalog: loaded as written, and every mistake named with file, line and cure."""

import importlib.metadata
import re
import shutil
from pathlib import Path

import pytest

from tests.decision.gate_world import CATALOG, SMALL
from tocsin.catalog import loader as catalog
from tocsin.catalog.compile import CompiledNotification
from tocsin.catalog.files import read
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.errors import CatalogError
from tocsin.model.zones import ZONE_DATA

TENANT = "categories:\n  news: {}\n  promo: {marketing: true}\n"
NOTICE = "hello:\n  on: {type: a.b}\n  category: news\n  channels: [email]\n"


def folder(path: Path, **files: str) -> Path:
    """Write a catalog; keys are `tenants__default` for `tenants/default.yaml`."""
    wanted = {"tenants__default": TENANT, "notifications__all": NOTICE} | files
    for name, text in wanted.items():
        file = path / (name.replace("__", "/") + ".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    part = path / "templates" / "hello" / "en" / "subject.j2"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text("Hi", "utf-8")
    return path


def problems(path: Path, **files: str) -> list[str]:
    return [str(problem) for problem in catalog.check(folder(path, **files))]


def notification(name: str, tenant: str = "quiet") -> CompiledNotification:
    found = CATALOG.notification(tenant, name)
    assert found is not None
    return found


def types(name: str, tenant: str = "quiet") -> list[str]:
    match = CATALOG.candidates(tenant, name)
    assert match is not None
    return [found.name for found in match.notifications]


def test_the_small_catalog_has_no_problem() -> None:
    assert catalog.check(SMALL) == []


def test_exact_types_and_prefixes_match() -> None:
    assert types("flight.landed") == ["landed"]
    assert types("offer.spring") == types("offer.") == ["sale"]
    assert types("offer") == types("flight.landed.late") == types("") == []


def test_a_tenant_there_is_not_matches_nothing() -> None:
    assert CATALOG.candidates("nobody", "flight.landed") is None
    assert CATALOG.tenant("nobody") is None
    assert CATALOG.notification("nobody", "landed") is None


def test_tenants_have_their_own_notifications() -> None:
    assert types("drip", "default") == []
    assert types("drip", "quiet") == ["drip"]


def test_the_cache_of_types_is_bounded() -> None:
    """A flood of invented types pushes out what was cached: it cannot pile up."""
    fresh = catalog.load(SMALL)
    first = fresh.candidates("default", "flight.landed")
    assert fresh.candidates("default", "flight.landed") is first
    for number in range(5_000):
        fresh.candidates("default", f"invented.{number}")
    match = fresh.candidates("default", "flight.landed")
    assert match is not first
    assert match == first
    assert match is not None
    assert len(match.notifications) == 1


def test_what_expressions_read_is_known_per_type() -> None:
    def needs(event_type: str) -> set[str]:
        match = CATALOG.candidates("quiet", event_type)
        assert match is not None
        return set(match.needs)

    assert needs("flight.landed") == set()
    assert needs("flight.delayed") == {"data"}
    assert needs("personal") == {"user", "event"}


def test_a_compiled_notification_is_the_notification_with_its_tenants_settings() -> None:
    sale = notification("sale", "default")
    assert (sale.category, sale.priority, sale.critical, sale.required) == ("offers", "low", False, False)
    assert [cap.counter for cap in sale.caps] == ["marketing", "user"]
    sms = sale.channels[1]
    assert (sms.name, [cap.max for cap in sms.caps]) == ("sms", [50])
    assert notification("cancelled", "default").caps == ()
    assert notification("sale", "quiet").caps == ()


def test_drops_are_checked_before_holds(tmp_path: Path) -> None:
    limits = "  limits: [{max: 1, per: 1m, overflow: hold}, {max: 2, per: 1d}]\n"
    loaded = catalog.load(folder(tmp_path, notifications__all=NOTICE + limits))
    found = loaded.notification("default", "hello")
    assert found is not None
    assert [cap.overflow for cap in found.caps] == ["drop", "drop", "hold"]


def test_a_counter_keeps_what_its_largest_cap_needs(tmp_path: Path) -> None:
    more = "other:\n  on: {type: c}\n  category: news\n  channels: [email]\n  template: hello\n"
    more += "  limits: [{max: 9, per: 2d, scope: user}]\n"
    loaded = catalog.load(folder(tmp_path, notifications__more=more))
    for name in ("hello", "other"):
        found = loaded.notification("default", name)
        assert found is not None
        assert [(one.name, one.keep, one.window_ms) for one in found.counters] == [("user", 9, 172_800_000)]


def test_an_empty_list_of_limits_means_none(tmp_path: Path) -> None:
    loaded = catalog.load(folder(tmp_path, tenants__default=TENANT + "limits: []\n"))
    found = loaded.notification("default", "hello")
    assert found is not None
    assert found.caps == ()
    assert found.counters == ()


def test_times_and_names_are_read_as_written(tmp_path: Path) -> None:
    """YAML 1.1 would read `on` as true and 22:00 as 1320."""
    text = TENANT + "quiet_hours: {start: 22:00, end: 07:00}\nlocale: no\n"
    loaded = catalog.load(folder(tmp_path, tenants__default=text))
    spec = loaded.tenant("default")
    assert spec is not None
    assert spec.quiet_hours is not None
    assert (spec.quiet_hours.start_min, spec.quiet_hours.end_min, spec.locale) == (1320, 420, "no")


def test_the_version_is_the_content(tmp_path: Path) -> None:
    first = catalog.load(folder(tmp_path / "a")).version
    assert catalog.load(folder(tmp_path / "b")).version == first
    (tmp_path / "b/templates/hello/en/subject.j2").write_text("Ho", "utf-8")
    assert catalog.load(tmp_path / "b").version != first
    (tmp_path / "a/notes.txt").write_text("not content", "utf-8")
    assert catalog.load(tmp_path / "a").version == first


def test_the_version_names_the_zone_data(tmp_path: Path) -> None:
    """A shard with another tzdata package holds to other moments: its outcomes say so."""
    hashed, _, zones = catalog.load(folder(tmp_path)).version.partition("-tz")
    assert re.fullmatch(r"[0-9a-f]{12}", hashed)
    assert zones == ZONE_DATA == importlib.metadata.version("tzdata")


def test_load_names_every_mistake_at_once(tmp_path: Path) -> None:
    notice = NOTICE.replace("news", "gone").replace("[email]", "[fax]")
    path = folder(tmp_path, tenants__default=TENANT + "timezone: Mars/Olympus\n", notifications__all=notice)
    with pytest.raises(CatalogError) as raised:
        catalog.load(path)
    lines = str(raised.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("notifications/all.yaml:4: `fax` is no channel, use email")
    assert lines[1].startswith("tenants/default.yaml:4: `timezone` is wrong: not an IANA time zone")


MISTAKES = [
    ("chanels: [sms]", 5, "unknown field `chanels`, did you mean `channels`?"),
    ("branding: {name: X}", 5, "unknown field `branding`, it belongs in another place: see the example"),
    ("qqqq: 1", 5, "unknown field `qqqq`, remove it"),
    (
        "priority: urgent",
        5,
        "`priority: urgent` is not allowed, write one of 'critical', 'high', 'normal' or",
    ),
    ("delay: 5 minutes", 5, "`delay` is wrong: not a duration, write a number above 0 and a unit"),
    ("delay: 0s", 5, "`delay` is wrong: not a duration"),
    ("expires: 10", 5, "`expires` is wrong: not a duration"),
    ('send_window: {start: "8:00", end: "20:00"}', 5, "`start` is wrong: not a time of day, write HH:MM"),
    ('send_window: {start: "08:00", end: "08:00"}', 5, "start equals end, so nothing could ever leave"),
    ("limits: [{max: 0, per: 1d}]", 5, "`max` is wrong: write a number of at least 1"),
    (
        "limits: {max: 2, per: 1d}",
        5,
        "`limits` is wrong: not a list, write `limits: [ … ]`, see the examples",
    ),
    ("escalate: sms", 5, "`escalate` is wrong: not a list, write `escalate: [ … ]`"),
    ("digest: 1h", 5, "`digest` is wrong: not a group of fields, write `digest: { … }`, see the examples"),
    ("stop_when_seen: perhaps", 5, "`stop_when_seen` is wrong: write true or false"),
    ("limits: [{max: two, per: 1d}]", 5, "`max` is wrong: write a whole number"),
    ("limits:\n    - {max: 1, per: 1d}\n    - {max: 1}", 7, "write either `per` (rolling) or `calendar`"),
    ("limits: [{max: 1, per: 1d, calendar: day}]", 5, "write either `per` (rolling) or `calendar`"),
    ("limits: [{max: 1, calendar: year}]", 5, "`calendar: year` is not allowed, write one of 'minute',"),
    (
        "limits: [{max: 2, per: 400d}]",
        5,
        "`per` is wrong: the window is too long, write at most 366d, or `calendar`",
    ),
    ("delay: 4000d", 5, "`delay` is wrong: too long, write at most 3660d"),
    ("dedup: {key: data.x, window: 4000d}", 5, "`window` is wrong: too long, write at most 3660d"),
    ('dedup: {key: "user.local", window: 1h}', 5, "`user` has no field `local`, did you mean `user.locale`?"),
    (
        "digest: {only: overflow}",
        5,
        "none of its limits has `overflow: digest`, so it collects nothing, add such a limit or a window",
    ),
    ("limits: [{max: 1001, per: 30d}]", 5, "is 1000 at most, write `calendar` instead of `per`"),
    ("limits: [{max: 1000001, calendar: month}]", 5, "`max` is wrong"),
    (
        "limits:\n    - {max: 4, per: 1d}\n    - {max: 5, per: 2h}",
        7,
        "`max: 5, per: 2h` is never reached, `max: 4, per: 1d` of the same list is: remove it",
    ),
    ("limits:\n    - {max: 4, per: 1d}\n    - {max: 4, per: 1d}", 7, "`max: 4, per: 1d` is never reached"),
    ("limits:\n    - {max: 4, calendar: hour}\n    - {max: 3, calendar: day}", 6, "calendar: hour` is never"),
    ("limits:\n    - {max: 4, per: 2d}\n    - {max: 4, calendar: day}", 7, "calendar: day` is never reached"),
    (
        "priority: critical\n  limits: [{max: 1, per: 1d}]",
        6,
        "a critical notification meets no limit,",
    ),
    (
        "expires: 10m\n  limits: [{max: 3, per: 1h, overflow: hold}]",
        6,
        "what it holds expires after 10m, but it has room only every 20m, lengthen `expires` or let it drop",
    ),
    ("limits: [{max: 1, per: 1d, overflow: wait}]", 5, "`overflow: wait` is not allowed"),
    (
        "limits: [{max: 1, per: 1d, scope: channel, channel: email, overflow: digest}]",
        5,
        "cannot put the whole notification into a digest, let it hold",
    ),
    ("limits: [{max: 1, per: 1d, scope: channel}]", 5, "go together, write both or none"),
    ("limits: [{max: 1, per: 1d, scope: channel, channel: sms}]", 5, "`sms` is none of its channels"),
    ("limits: [{max: 1, per: 1d, scope: marketing}]", 5, "`news` is not marketing, so this limit never"),
    ("template: gone", 5, "no template `gone`, add templates/gone/<locale>/ or name another"),
    ("tenants: [other]", 5, "no tenant `other`, add tenants/other.yaml or remove it here"),
    ('collapse_key: "data."', 5, "`collapse_key` is wrong: not an expression"),
    ('dedup: {key: "dta.x", window: 1h}', 5, "`key` is wrong: unknown variable `dta`, use data, event"),
    ("category: news", 5, "`category` appears twice, remove one"),
    ("template: !!python/object:os.system x", 5, "unknown tag tag:yaml.org,2002:python/object:os.system"),
    ("template: [", 6, "not YAML"),
]


@pytest.mark.parametrize(("line", "number", "text"), MISTAKES)
def test_a_mistake_of_a_notification(tmp_path: Path, line: str, number: int, text: str) -> None:
    found = problems(tmp_path, notifications__all=f"{NOTICE}  {line}\n")
    assert len(found) == 1
    assert found[0].startswith(f"notifications/all.yaml:{number}: ")
    assert text in found[0]


@pytest.mark.parametrize(
    ("old", "new", "number", "text"),
    [
        ("on: {type: a.b}", "on: {type: a.*.b}", 2, "`type` is wrong"),
        ("on: {type: a.b}", 'on: {type: a.b, when: "data.x ="}', 2, "`when` is wrong: not an expression"),
        ("on: {type: a.b}", "template: hello", 1, "`on` is missing, add it"),
        ("category: news", "category: gone", 3, "tenant `default` has no category `gone`"),
        ("[email]", "[]", 4, "`channels` is wrong"),
        ("[email]", "[email, sms, email]", 4, "`email` appears twice, remove one"),
        ("[email]", "[email, emial]", 4, "`emial` is no channel, did you mean `email`?"),
        ("[email]", "\n    - email\n    - {channel: sms, when: '1 +'}", 6, "`when` is wrong"),
        ("hello:", "hel lo:", 1, "`hel lo` is no name"),
    ],
)
def test_a_mistake_in_what_every_notification_has(
    tmp_path: Path, old: str, new: str, number: int, text: str
) -> None:
    found = problems(tmp_path, notifications__all=NOTICE.replace(old, new))
    assert any(line.startswith(f"notifications/all.yaml:{number}: ") and text in line for line in found)


@pytest.mark.parametrize(
    ("line", "number", "text"),
    [
        ("preferences: {categories: {gone: false}}", 4, "no category `gone`, add it under categories"),
        ("preferences: {notifications: {helo: false}}", 4, "the tenant has no notification `helo`, did you"),
        ("preferences: {channels: {fax: false}}", 4, "`fax` is no channel, use email, sms"),
        ("providers: {email: smtp}", 4, "`email` is wrong"),
        ("quiet_hours: {start: '22:00'}", 4, "`end` is missing, add it"),
        (
            "quiet_hours: {start: '22:00', end: '22:00'}",
            4,
            "start equals end, so nothing is ever held, set other hours or remove them",
        ),
        ("senders: {mail: x}", 4, "unknown field `mail`"),
        ("categories: {}", 4, "`categories` appears twice"),
    ],
)
def test_a_mistake_of_a_tenant(tmp_path: Path, line: str, number: int, text: str) -> None:
    found = problems(tmp_path, tenants__default=f"{TENANT}{line}\n")
    assert found[0].startswith(f"tenants/default.yaml:{number}: ")
    assert text in found[0]


def test_required_and_marketing_contradict_each_other(tmp_path: Path) -> None:
    text = TENANT.replace("{marketing: true}", "{marketing: true, required: true}")
    assert problems(tmp_path, tenants__default=text) == [
        "tenants/default.yaml:3: category `promo` is required and marketing, choose one"
    ]


def test_a_tenant_that_does_not_load_is_not_called_missing(tmp_path: Path) -> None:
    found = problems(
        tmp_path, tenants__default="categories: 1\n", notifications__all=f"{NOTICE}  tenants: [default]\n"
    )
    assert [line.split(":")[0] for line in found] == ["tenants/default.yaml"]


def test_the_same_name_in_two_files(tmp_path: Path) -> None:
    found = problems(tmp_path, notifications__more=NOTICE)
    assert found == ["notifications/more.yaml:1: `hello` is already in notifications/all.yaml:1, rename one"]


def test_names_that_would_break_keys(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, **{"tenants__a b": TENANT})
    assert found.startswith("tenants/a b.yaml:1: `a b` is no tenant name")


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n", "{}\n"])
def test_a_file_without_notifications(tmp_path: Path, text: str) -> None:
    (found,) = problems(tmp_path, notifications__all=text)
    assert found == "notifications/all.yaml:1: no notifications, write `name: {on: …}` here"


def test_an_empty_folder_says_what_to_write(tmp_path: Path) -> None:
    found = [str(problem) for problem in catalog.check(tmp_path)]
    assert found == [
        "notifications/:1: no notifications, write at least one .yaml file there",
        "tenants/:1: no tenants, write at least one .yaml file there",
    ]


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "notifications/bad.yaml").write_bytes(b"a: \xff\n")
    (path / "notifications/worse.yaml").write_bytes(b"a: \x01\n")
    assert [str(problem) for problem in catalog.check(path)] == [
        "notifications/bad.yaml:1: not UTF-8, save the file as UTF-8",
        "notifications/worse.yaml:1: not YAML, remove control characters",
    ]


def test_deep_and_circular_yaml_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text("a: &a [*a]\n", "utf-8")
    document, found = read(path, "loop.yaml")
    assert document.data is not None
    assert [str(problem) for problem in found] == ["loop.yaml:1: nested too deeply, flatten it"]


def test_the_example_in_the_documentation_loads(tmp_path: Path) -> None:
    """The docstring of tocsin.catalog.spec is what people copy."""
    import tocsin.catalog.spec as documented

    blocks = [[]] if documented.__doc__ is None else example_blocks(documented.__doc__)
    notice, tenant = ("\n".join(block) + "\n" for block in blocks)
    path = folder(tmp_path, notifications__all=notice, tenants__default=tenant)
    shutil.copytree(path / "templates/hello", path / "templates/flight_delayed")
    loaded = catalog.load(path)
    found = loaded.notification("default", "flight_delayed")
    assert found is not None
    assert [channel.name for channel in found.channels] == ["push", "inapp", "email"]


def example_blocks(text: str) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("    "):
            blocks[-1].append(line[4:])
        elif line and blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def test_specs_are_frozen() -> None:
    for model in (NotificationSpec, TenantSpec):
        assert model.model_config["frozen"]


def test_a_folder_that_is_not_there_is_named_with_its_cure(tmp_path: Path) -> None:
    problems = catalog.check(tmp_path / "nowhere")
    cure = "name the catalog's folder by TOCSIN_CATALOG or --catalog"
    assert [str(problem) for problem in problems] == [f"{tmp_path}/nowhere: there is no such folder; {cure}"]


LIMIT = "limits: [{max: 1, per: 1d, overflow: digest}]"
COLLECTS = f"{NOTICE}  digest: {{only: overflow}}\n"


def test_what_collects_only_the_overflow_may_have_the_limit_from_its_tenant(tmp_path: Path) -> None:
    assert problems(tmp_path / "a", notifications__all=f"{COLLECTS}  {LIMIT}\n") == []
    files = {"tenants__default": f"{TENANT}{LIMIT}\n", "notifications__all": COLLECTS}
    assert problems(tmp_path / "b", **files) == []
    assert problems(tmp_path / "c", **files, tenants__other=TENANT) == [], "one tenant has such a limit"


NAMES = "preferences: {notifications: {hello: false}}\n"
WEEKLY = "weekly: {cron: 0 9 * * MON, type: a.b, for: everyone}\n"


@pytest.mark.parametrize(
    ("broken", "line"),
    [("hello: [\n", "not YAML"), (NOTICE.replace("category: news", "categories: news"), "unknown field")],
)
def test_a_broken_file_of_notifications_has_no_errors_of_others_in_its_train(
    tmp_path: Path, broken: str, line: str
) -> None:
    """What others say of its notifications cannot be judged before it is read."""
    files = {"schedules__all": WEEKLY, "tenants__default": TENANT + NAMES}
    files |= {
        "notifications__more": NOTICE.replace("hello", "bye").replace("a.b", "b") + "  template: hello\n"
    }
    own = {"tenants__default__notifications__own": "hello: null\n"}
    path = folder(tmp_path, **files, **own, notifications__all=broken)
    found = [str(problem) for problem in catalog.check(path)]
    assert {one.split(":")[0] for one in found} == {"notifications/all.yaml"}
    assert any(line in one for one in found)


def test_a_broken_file_of_a_tenant_s_own_notifications_is_all_that_is_said(tmp_path: Path) -> None:
    files = {
        "schedules__all": WEEKLY.replace("a.b", "own"),
        "tenants__default": TENANT + NAMES.replace("hello", "own"),
    }
    own = {"tenants__default__notifications__own": "own: [\n"}
    found = [str(problem) for problem in catalog.check(folder(tmp_path, **files, **own))]
    assert [one.split(":")[0] for one in found] == ["tenants/default/notifications/own.yaml"]


def test_a_broken_file_of_a_tenant_does_not_make_it_unknown(tmp_path: Path) -> None:
    shared = NOTICE + "  tenants: [default]\n"
    own = {"tenants__default__notifications__own": NOTICE}
    found = problems(
        tmp_path, tenants__default="categories: [\n", tenants__other=TENANT, notifications__all=shared, **own
    )
    assert [one.split(":")[0] for one in found] == ["tenants/default.yaml"]


def test_a_broken_file_of_shared_schedules_is_not_missed_by_a_tenant(tmp_path: Path) -> None:
    own = {"tenants__default__schedules__own": "weekly: null\n"}
    found = problems(tmp_path, schedules__all="weekly: [\n", **own)
    assert [one.split(":")[0] for one in found] == ["schedules/all.yaml"]
