"""One tenant's mistakes, whichever and however many, are told as its own and keep nothing from the others."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.catalog.test_loader import NOTICE, TENANT
from tests.catalog.test_overlays import OTHER, two
from tocsin.catalog import loader as catalog

SCHEDULE: Final = 'daily: {cron: "0 9 * * *", type: a.b, for: everyone}\n'
MISTAKES: Final = [
    ("tenants/acme.yaml", TENANT + line)
    for line in (
        "timezone: Mars\n",
        "quiet_hours: {start: '25:00', end: '07:00'}\n",
        "limits: [{max: 0, per: 1d, scope: user}]\n",
        "windows: {sms: {start: '08:00', end: '08:00'}}\n",
        "segments: {all: data.x}\n",
        "preferences: {notifications: {nothing: false}}\n",
        "status: of\n",
        "providers: {fax: [x]}\n",
        "\tlocale: de\n",
    )
] + [
    ("tenants/acme.yaml", ""),
    ("tenants/acme.yaml", "categories: {promo: {}}\n"),
    ("tenants/acme/notifications/own.yaml", OTHER.replace("news", "none")),
    ("tenants/acme/notifications/own.yaml", OTHER.replace("[sms]", "[]")),
    ("tenants/acme/notifications/own.yaml", f"{OTHER}  digest: {{}}\n"),
    ("tenants/acme/notifications/own.yaml", f"{OTHER}  dedup: {{key: when, window: 1h}}\n"),
    ("tenants/acme/notifications/own.yaml", "gone: null\n"),
    ("tenants/acme/notifications/own.yaml", "&a [*a]\n"),
    ("tenants/acme/schedules/own.yaml", SCHEDULE.replace("0 9", "0 25")),
    ("tenants/acme/schedules/own.yaml", SCHEDULE.replace("everyone", "{segment: none}")),
    ("tenants/acme/schedules/own.yaml", SCHEDULE.replace("a.b", "no.such")),
    ("tenants/acme/schedule/own.yaml", SCHEDULE),
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(MISTAKES), min_size=1, max_size=4, unique_by=lambda one: one[0]))
def test_mistakes_of_one_tenant_are_its_own(mistakes: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as name:
        place = two(Path(name), schedules__all=SCHEDULE)
        for file, text in mistakes:
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_text(text)
        found = catalog.check(place)
        assert {problem.tenant for problem in found} == {"acme"}
        assert {problem.file.split("/")[1].removesuffix(".yaml") for problem in found} <= {"acme", "all"}
        assert all(problem.line > 0 and (", " in problem.text or ": " in problem.text) for problem in found)
        loaded = catalog.load_apart(place)
        assert loaded.tenants.keys() == {"default"}
        assert loaded.faults.keys() == {"acme"}
        assert loaded.tenants["default"].schedules.keys() == {"daily"}
        assert loaded.notification("default", NOTICE.partition(":")[0]) is not None
