"""The shipped catalog: every template, language and channel says what it should, and fits where it goes."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tocsin.catalog.loader import Catalog, check, load
from tocsin.model.content import Content, EmailContent, InAppContent, PushContent, SmsContent
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.render.check import check_templates
from tocsin.render.renderer import Renderer
from tocsin.render.templates import load_templates

CATALOG = Path(__file__).parents[2] / "examples" / "flights"
LOCALES = ("en-US", "en-GB", "de-DE", "de-AT", "es-ES", "es-MX", "es-US")
CHANNELS = {
    "airport_report": ("push", "inapp"),
    "flight_cancelled": ("push", "email", "sms"),
    "flight_delayed": ("push", "webpush", "inapp", "email"),
    "flight_departed": ("inapp",),
    "flight_landed": ("inapp",),
    "offer": ("email", "push"),
    "small_delays": ("push", "inapp"),
}
DIGESTS = {"small_delays"}


@lru_cache(1)
def catalog() -> Catalog:
    return load(CATALOG)


@lru_cache(1)
def renderer() -> Renderer:
    tenants = {name: tenant.spec for name, tenant in catalog().tenants.items()}
    return Renderer(
        load_templates(CATALOG / "templates"), tenants, b"only for these tests", gateway_url=GATEWAY
    )


GATEWAY = "https://notify.skylark.example"


def samples(name: str) -> list[dict[str, object]]:
    file = "digest.json" if name in DIGESTS else "sample.json"
    loaded: list[dict[str, object]] = json.loads((CATALOG / "templates" / name / file).read_text())
    return loaded


def render(name: str, channel: str, locale: str, sample: dict[str, object]) -> Content:
    plan = catalog().notification("default", name)
    assert plan is not None
    message = Message(
        message_id="0" * 32,
        notification_id="1" * 32,
        tenant="default",
        user="passenger-000001",
        channel=channel,
        target=Target(address="ada@example.com"),
        notification=name,
        category=plan.category,
        template=plan.message.template,
        data=msgspec.Raw(msgspec.json.encode(sample)),
        locale=locale,
        timezone="Europe/Berlin",
        priority=plan.priority,
        event_id="1",
        event_source="/x",
        event_type="x",
        event_time_ms=0,
        received_ms=0,
        decided_ms=0,
        profile_version=1,
        origin=Origin("events", 0, 0),
        digest=name in DIGESTS,
    )
    return renderer().render(message)


def cases(channel: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    for name, channels in CHANNELS.items():
        for locale in LOCALES if channel in channels else ():
            for sample in samples(name):
                yield name, locale, sample


def test_the_catalog_has_no_mistakes() -> None:
    assert check(CATALOG) == []
    assert check_templates(CATALOG) == []


def test_notifications_are_as_documented() -> None:
    plans = catalog().tenants["default"].notifications
    channels = {name: tuple(channel.name for channel in plan.all_channels) for name, plan in plans.items()}
    assert channels == CHANNELS
    cancelled, delayed, offer = plans["flight_cancelled"], plans["flight_delayed"], plans["offer"]
    assert (cancelled.critical, cancelled.required) == (True, True)
    assert (delayed.required, offer.required) == (False, False)
    assert catalog().tenants["default"].spec.categories["offers"].marketing
    assert {name for name, plan in plans.items() if plan.required} == {"flight_cancelled"}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("locale", ["en", "de", "es"])
def test_every_notification_speaks_every_language(name: str, locale: str) -> None:
    parts = {path.stem for path in (CATALOG / "templates" / name / locale).glob("*.j2")}
    english = {path.stem for path in (CATALOG / "templates" / name / "en").glob("*.j2")}
    assert parts == english


def test_every_mail_has_subject_text_and_page() -> None:
    for name, locale, sample in cases("email"):
        content = render(name, "email", locale, sample)
        assert isinstance(content, EmailContent)
        assert 10 < len(content.subject) <= 78, (name, locale, content.subject)
        assert str(sample["first_name"]) in content.text
        assert str(sample["first_name"]) in content.html
        assert str(sample["url"]) in content.text
        assert str(sample["url"]) in content.html
        assert "Skylark Air Alerts, 1 Lark Lane" in content.html
        assert content.sender == "flights@skylark.example"


class _Balance(HTMLParser):
    """Follows which elements are open."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_pages_are_well_formed_and_made_for_mail_clients() -> None:
    for name, locale, sample in cases("email"):
        content = render(name, "email", locale, sample)
        assert isinstance(content, EmailContent)
        page = _Balance()
        page.feed(content.html)
        assert page.open == [], (name, locale)
        assert all(link.startswith("https://") for link in page.links)
        assert f'<html lang="{locale}"' in content.html
        assert "prefers-color-scheme: dark" in content.html
        assert "<script" not in content.html
        assert len(content.html.encode()) < 100_000, "Gmail clips longer ones"
        assert max(map(len, content.html.encode().split(b"\n"))) < 998


def test_only_what_may_be_stopped_can_be_unsubscribed() -> None:
    for name, locale, sample in cases("email"):
        content = render(name, "email", locale, sample)
        assert isinstance(content, EmailContent)
        stoppable = name != "flight_cancelled"
        assert ("List-Unsubscribe" in content.headers) is stoppable
        assert (f"{GATEWAY}/unsubscribe/" in content.html) is stoppable
        assert (f"{GATEWAY}/unsubscribe/" in content.text) is stoppable
        assert f"{GATEWAY}/preferences/" in content.html
        assert f"{GATEWAY}/preferences/" in content.text


def test_text_messages_are_gsm_7_and_short() -> None:
    for name, locale, sample in cases("sms"):
        content = render(name, "sms", locale, sample)
        assert isinstance(content, SmsContent)
        assert content.encoding == "GSM-7", (locale, content.text)
        assert content.segments == 1, (locale, len(content.text))
        assert content.text.startswith("Skylark: ")
        assert content.text.endswith(f"{sample['url']}/rebook")


def test_text_messages_to_far_away_cities_take_two_segments_at_most() -> None:
    sample = json.loads(json.dumps(samples("flight_cancelled")[0]))
    sample["flight"]["destination"]["city"] = "Charleston (West Virginia)"
    for locale in LOCALES:
        content = render("flight_cancelled", "sms", locale, sample)
        assert isinstance(content, SmsContent)
        assert (content.encoding, content.segments <= 2) == ("GSM-7", True)


def test_push_and_inbox_are_short_enough_to_read() -> None:
    for channel in ("push", "inapp"):
        for name, locale, sample in cases(channel):
            content = render(name, channel, locale, sample)
            assert isinstance(content, PushContent | InAppContent)
            assert 5 < len(content.title) <= 50, (name, locale, content.title)
            assert 20 < len(content.body) <= 178, (name, locale, len(content.body))
            assert content.url.startswith("https://skylark.example/")


def test_no_text_has_traces_of_templates_or_doubled_marks() -> None:
    for channel in ("push", "inapp", "sms", "email"):
        for name, locale, sample in cases(channel):
            content = msgspec.structs.asdict(render(name, channel, locale, sample))
            text = "\n".join(str(content.get(part, "")) for part in ("subject", "text", "title", "body"))
            found = re.search(r"\{\{|\}\}|\{%|None|Undefined|\.\.|,,| ,|  \.|\bnan\b", text)
            assert found is None, (name, locale, text)


def test_languages_differ() -> None:
    for name, channels in CHANNELS.items():
        for channel in channels:
            contents = [render(name, channel, locale, samples(name)[0]) for locale in ("en", "de", "es")]
            assert len(set(map(str, contents))) == 3


def test_times_are_those_of_the_airports() -> None:
    sample = samples("flight_delayed")[0]
    content = render("flight_delayed", "push", "de", sample)
    assert isinstance(content, PushContent)
    assert sample["new_departure"] == "2013-02-09T20:42:00Z"
    assert content.title.endswith("startet jetzt um 15:42 Uhr")
    assert "Ankunft gegen 18:50 Uhr Ortszeit" in content.body
