"""Rendering of messages: languages, channels, what may not slip into a header, and errors without values."""

from functools import lru_cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.render_world import SECRET, message, renderer, tenant
from tocsin.errors import RenderError, SettingsError
from tocsin.model.content import Content, EmailContent, InAppContent, PushContent, SmsContent
from tocsin.render.renderer import Renderer
from tocsin.render.unsubscribe import Subscription, UnsubscribeTokens

HELLO = {
    "hello/en/title": "Hello {{ data.name }}",
    "hello/en/body": "It is {{ data.at | time }}",
    "hello/en/sms": "Hello {{ data.name }}, it is {{ data.at | time }}",
    "hello/en/subject": "Hello {{ data.name }}",
    "hello/en/text": "Hello {{ data.name }}\n{{ unsubscribe_url }}",
    "hello/en/html": "<p>Hello {{ data.name }}</p><a href='{{ unsubscribe_url }}'>stop</a>",
    "hello/de/title": "Hallo {{ data.name }}",
    "hello/de/body": "Es ist {{ data.at | time }} Uhr",
    "hello/de-AT/title": "Servus {{ data.name }}",
    "hello/url": "https://skylark.example/{{ data.name }}",
}
DATA = {"name": "Ada", "at": "2013-02-09T17:35:00Z"}


@lru_cache(1)
def hello() -> Renderer:
    """Compile the greeting once for all tests that change nothing in it."""
    return renderer(HELLO)


def push(templates: dict[str, str] = HELLO, data: Any = DATA, **changed: Any) -> PushContent:
    content = (hello() if templates is HELLO else renderer(templates)).render(
        message("push", data, **changed)
    )
    assert isinstance(content, PushContent)
    return content


def email(templates: dict[str, str] = HELLO, data: Any = DATA, **changed: Any) -> EmailContent:
    content = (hello() if templates is HELLO else renderer(templates)).render(
        message("email", data, **changed)
    )
    assert isinstance(content, EmailContent)
    return content


def sms(text: str, data: Any = DATA, **changed: Any) -> SmsContent:
    content = renderer({"hello/en/sms": text}).render(message("sms", data, **changed))
    assert isinstance(content, SmsContent)
    return content


def failure(templates: dict[str, str], data: Any = DATA, channel: str = "push", **changed: Any) -> str:
    with pytest.raises(RenderError) as caught:
        renderer(templates).render(message(channel, data, **changed))
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_push_has_title_body_link_and_the_ids_of_the_message() -> None:
    content = push()
    assert (content.title, content.body) == ("Hello Ada", "It is 6:35\u202fPM")
    assert content.url == "https://skylark.example/Ada"
    assert content.data["message_id"] == "m" * 32
    assert content.data["notification"] == "hello"
    assert not content.urgent


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        ("de-AT", "Servus Ada", "Es ist 18:35 Uhr"),
        ("de_at", "Servus Ada", "Es ist 18:35 Uhr"),
        ("de-CH", "Hallo Ada", "Es ist 18:35 Uhr"),
        ("de", "Hallo Ada", "Es ist 18:35 Uhr"),
        ("en-GB", "Hello Ada", "It is 18:35"),
        ("fr-FR", "Hello Ada", "It is 6:35\u202fPM"),
        ("", "Hello Ada", "It is 6:35\u202fPM"),
        ("../../etc", "Hello Ada", "It is 6:35\u202fPM"),
    ],
)
def test_the_language_is_the_recipients_or_a_fallback(locale: str, title: str, body: str) -> None:
    content = push(locale=locale)
    assert (content.title, content.body) == (title, body)


def test_the_tenants_language_comes_before_english() -> None:
    content = renderer(HELLO, locale="de").render(message("inapp", DATA, locale="fr"))
    assert content == InAppContent("Hallo Ada", "Es ist 18:35 Uhr", "https://skylark.example/Ada")


def test_a_message_never_mixes_languages() -> None:
    half = HELLO | {"hello/es/title": "Hola {{ data.name }}"}
    assert push(half, locale="es").title == "Hello Ada"


def test_a_locale_that_cldr_does_not_know_is_written_as_its_language() -> None:
    assert push(locale="de-XQ").body == "Es ist 18:35 Uhr"


def test_times_are_the_tenants_where_the_user_has_no_zone() -> None:
    assert push(timezone="").body == "It is 12:35\u202fPM"
    assert push(timezone="Mars/Base").body == "It is 12:35\u202fPM"
    assert push(timezone="asia/tokyo") == push(timezone="Asia/Tokyo") != push(timezone="")


def test_inapp_has_no_link_without_a_url_part() -> None:
    templates = {"hello/en/title": "Hi", "hello/en/body": "a\r\n\r\n\r\n\r\nb\x07"}
    assert renderer(templates).render(message("inapp")) == InAppContent("Hi", "a\n\nb", "")


def test_mail_escapes_values_in_html_only() -> None:
    content = email(data=DATA | {"name": "<b>Ada & Co</b>"})
    assert "Hello &lt;b&gt;Ada &amp; Co&lt;/b&gt;" in content.html
    assert "Hello <b>Ada & Co</b>" in content.text
    assert content.subject == "Hello <b>Ada & Co</b>"


def test_mail_comes_from_the_tenants_sender() -> None:
    content = email()
    assert (content.sender, content.sender_name) == ("hello@skylark.example", "Skylark")
    assert content.reply_to == "help@skylark.example"
    assert content.headers["Auto-Submitted"] == "auto-generated"


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["\r", "\n", "\r\n", "\x00", "\x85", "\u2028", "\x0b"]))
def test_nothing_in_the_data_starts_a_header(text: str, end: str) -> None:
    name = f"Ada{end}Bcc: all@example.com{end}{text}"
    content = email(data=DATA | {"name": name})
    for value in (content.subject, *content.headers.values()):
        assert len(value.splitlines()) == 1


def test_senders_with_line_breaks_are_put_on_one_line() -> None:
    senders = {"email": "a@b.example", "email_name": "Sky\r\nBcc: x@y.example", "reply_to": "c@d.example\n"}
    content = renderer(HELLO, senders=senders).render(message("email", DATA))
    assert isinstance(content, EmailContent)
    assert (content.sender_name, content.reply_to) == ("Sky Bcc: x@y.example", "c@d.example")


def test_a_long_subject_is_cut_at_a_word() -> None:
    content = email(data=DATA | {"name": "very " * 200 + "long"})
    assert len(content.subject.encode()) <= 250
    assert content.subject.endswith("very…")


def test_unsubscribe_is_one_click_and_names_who_stops_what() -> None:
    content = email()
    post, mailto = content.headers["List-Unsubscribe"].split(", ")
    assert content.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = post.strip("<>")
    token = url.removeprefix("https://skylark.example/unsubscribe/")
    assert mailto == f"<mailto:stop@skylark.example?subject={token}>"
    assert UnsubscribeTokens(SECRET).read(token) == Subscription("default", "ada", "news")
    assert url in content.html
    assert url in content.text


def test_no_unsubscribe_for_a_required_category() -> None:
    content = email(category="service")
    assert not [name for name in content.headers if name.startswith("List-")]
    assert "unsubscribe" not in content.html


def test_no_unsubscribe_without_an_address_for_it() -> None:
    content = renderer(HELLO, senders={"email": "a@b.example"}).render(message("email", DATA))
    assert isinstance(content, EmailContent)
    assert list(content.headers) == ["Auto-Submitted"]


def test_no_mailto_without_an_address_for_it() -> None:
    senders = {"unsubscribe_url": "https://skylark.example/u"}
    content = renderer(HELLO, senders=senders).render(message("email", DATA))
    assert isinstance(content, EmailContent)
    assert "mailto" not in content.headers["List-Unsubscribe"]


def test_templates_know_whether_a_category_is_required() -> None:
    templates = {"hello/en/title": "{{ required }}", "hello/en/body": "{{ brand.name }} {{ user.id }}"}
    assert push(templates, category="service").title == "True"
    assert push(templates).title == "False"
    assert push(templates, category="gone").title == "False"
    assert push(templates).body == "Skylark ada"


def test_sms_is_counted_as_it_is_billed() -> None:
    assert sms("Hello {{ data.name }}, it is {{ data.at | time }}") == SmsContent(
        "Hello Ada, it is 6:35 PM", 1, "GSM-7", "+15005550006"
    )
    assert sms("Привет {{ data.name }}").encoding == "UCS-2"
    assert sms("a" * 161).segments == 2


def test_sms_is_plain_where_that_saves_money_and_left_alone_where_not() -> None:
    assert sms("“Late” – sorry…").text == '"Late" - sorry...'
    assert sms("“Поздно” – ой").text == "“Поздно” – ой"


def test_an_sms_no_provider_takes_is_an_error() -> None:
    assert sms("a" * 1_600).segments == 11
    assert "part sms: longer than 1600" in failure({"hello/en/sms": "a" * 1_601}, channel="sms")


def payload(content: PushContent) -> int:
    """Size of the largest payload an adapter builds of it, generously."""
    own = {"title": content.title, "body": content.body, "url": content.url, "k": content.collapse_key}
    alert = {"title": content.title, "body": content.body}
    apns = {"aps": {"alert": alert, "sound": "default", "badge": 1, "thread-id": content.collapse_key}}
    return max(
        len(msgspec.json.encode({"notification": own, "data": content.data | {"url": content.url}})),
        len(msgspec.json.encode({**apns, **content.data, "url": content.url})),
    )


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3_000),
    st.integers(0, 4),
    st.text(alphabet='"\\\n\x01é👍', max_size=400),
)
def test_a_push_payload_fits_every_platform(text: str, times: int, title: str) -> None:
    body = "{% for _ in range(data.times) %}{{ data.text }}{% endfor %}"
    templates = {"hello/en/title": "{{ data.title }}", "hello/en/body": body}
    content = push(templates, {"title": title, "text": text, "times": times}, collapse_key="x" * 64)
    assert payload(content) <= 4096


def test_a_long_push_body_is_cut_at_a_word_with_an_ellipsis() -> None:
    content = push({"hello/en/title": "T", "hello/en/body": "word " * 2_000})
    assert content.body.endswith("word…")
    assert 3_000 < payload(content) <= 4096


def test_a_link_that_leaves_no_room_is_an_error() -> None:
    text = failure(HELLO | {"hello/url": "https://skylark.example/" + "a" * 2_000})
    assert text == "template hello, part url: too long for a push notification; shorten the link"


@pytest.mark.parametrize(
    ("priority", "urgent"), [("critical", True), ("high", True), ("normal", False), ("low", False)]
)
def test_urgency_follows_the_priority(priority: str, urgent: bool) -> None:
    assert push(priority=priority).urgent is urgent


@pytest.mark.parametrize(
    ("expires_ms", "ttl_s"), [(0, 86_400), (1_060_000, 60), (999_000, 0), (10**13, 28 * 86_400)]
)
def test_time_to_live_ends_with_the_message(expires_ms: int, ttl_s: int) -> None:
    assert push(expires_ms=expires_ms).ttl_s == ttl_s


def test_a_long_collapse_key_is_replaced_by_its_hash() -> None:
    assert push(collapse_key="B6 1003").collapse_key == "B6 1003"
    long = push(collapse_key="x" * 65).collapse_key
    assert len(long) == 32
    assert long == push(collapse_key="x" * 65).collapse_key
    assert long != push(collapse_key="y" * 65).collapse_key


@pytest.mark.parametrize(
    "name", ["javascript:alert(1)", "JavaScript://%0aalert(1)", "/relative", "file:///x"]
)
def test_a_link_that_must_not_be_followed_is_an_error(name: str) -> None:
    text = failure(HELLO | {"hello/url": "{{ data.url }}"}, DATA | {"url": name})
    assert (
        text
        == "template hello, part url: not a link that may be followed; use https:// or the scheme of an app"
    )


def test_a_missing_variable_is_named_without_any_value() -> None:
    secret = {"name": "Ada Lovelace"}
    assert (
        failure(HELLO, secret)
        == "template hello/en/body: variable at is missing or null; send it, or use `default`"
    )
    deep = failure(HELLO | {"hello/en/body": "{{ data.a.b.c }}"}, {"name": "x", "a": {"b": {"z": "tell"}}})
    assert deep == "template hello/en/body: variable c is missing or null; send it, or use `default`"


@pytest.mark.parametrize(
    "body",
    [
        "{{ data.at | time }}",
        "{{ data.at | date }}",
        "{{ data.at | number }}",
        "{{ 1 // data.zero }}",
        "{{ data.at.x.y }}",
        "{{ data.at | currency(data.at) }}",
        "{{ data[data.at] }}",
        "{{ data.at | link }}",
        "{{ data.at + 1 }}",
    ],
)
def test_no_error_tells_a_value(body: str) -> None:
    text = failure({"hello/en/title": "T", "hello/en/body": body}, {"at": "ada@example.com", "zero": 0})
    assert text.startswith("template hello/en/body: ")
    assert "ada" not in text
    assert "example" not in text


def test_a_template_without_the_parts_is_an_error() -> None:
    assert failure(HELLO, template="other").startswith("template other: push lacks a part")


def test_broken_syntax_is_an_error_with_its_line() -> None:
    text = failure(HELLO | {"hello/en/body": "fine\n{% if %}"})
    assert text.startswith("template hello/en/body, line 2: ")


def test_a_missing_layout_is_an_error() -> None:
    text = failure(HELLO | {"hello/en/body": "{% extends '_layout/none' %}"})
    assert text == "template hello/en/body: TemplateNotFound"


def test_data_that_is_not_json_is_an_error() -> None:
    for data in (b"{", b'{"a": "\xff"}'):
        with pytest.raises(RenderError, match="not JSON"):
            renderer(HELLO).render(message("push", data=None).__class__(**_fields(data)))


def _fields(data: bytes) -> dict[str, Any]:
    return msgspec.structs.asdict(message("push")) | {"data": msgspec.Raw(data)}


def test_a_channel_of_a_tenant_s_own_is_not_taken_for_push() -> None:
    """Its part is `chat`, which this template lacks."""
    assert failure(HELLO, channel="pager").startswith("template hello: pager lacks a part in every language")


@pytest.mark.parametrize("channel", ["email", "sms", "push", "inapp"])
def test_control_characters_of_the_data_reach_no_part_of_any_channel(channel: str) -> None:
    shown = "{{ data.name }}"
    parts = ("title", "body", "url", "subject", "text", "html", "sms")
    templates = {f"hello/en/{part}": shown for part in parts} | {"hello/en/url": "https://a.example/"}
    name = "Ada\x00\x07\x1b[31m\x85 Lovelace\tand\nothers"
    content = msgspec.to_builtins(renderer(templates).render(message(channel, {"name": name})))
    texts = [text for text in content.values() if isinstance(text, str)]
    assert any("Lovelace" in text for text in texts)
    assert not [text for text in texts if set(text) & {"\x00", "\x07", "\x1b", "\x85"}]


def test_an_unknown_tenant_is_an_error() -> None:
    assert failure(HELLO, tenant="other").startswith("the tenant of this message has no catalog;")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(SettingsError, match="16 bytes"):
        Renderer(HELLO, {"default": tenant()}, b"short")


@settings(deadline=None)
@given(st.sampled_from(["push", "email", "sms", "inapp"]), st.sampled_from(["en", "de-AT", "xx"]))
def test_rendering_is_pure(channel: str, locale: str) -> None:
    def rendered_by(one: Renderer) -> Content | str:
        try:
            return one.render(message(channel, DATA, locale=locale))
        except RenderError as error:
            return str(error)

    assert rendered_by(hello()) == rendered_by(hello()) == rendered_by(renderer(HELLO))


def test_one_renderer_keeps_nothing_of_a_message_for_the_next() -> None:
    templates = {
        "hello/en/title": "{% set seen = data.name %}{{ seen }}",
        "hello/en/body": "{{ seen is defined }}",
    }
    shared = renderer(templates)
    for name in ("Ada", "Bob"):
        content = shared.render(message("push", {"name": name}))
        assert isinstance(content, PushContent)
        assert (content.title, content.body) == (name, "False")


@pytest.mark.parametrize(
    "source", ["Dear {{ data.name }}", "Dear {{ data['name'] }}", "{{ data.name ~ '!' }}"]
)
def test_a_null_is_refused_with_the_name_of_its_field(source: str) -> None:
    said = failure(HELLO | {"hello/en/title": source}, {"name": None, "at": 0})
    assert said == "template hello/en/title: variable name is missing or null; send it, or use `default`"


def test_a_null_deep_in_the_data_is_refused_too() -> None:
    templates = HELLO | {"hello/en/title": "{% for leg in data.legs %}{{ leg.seat }}{% endfor %}"}
    said = failure(templates, DATA | {"legs": [{"seat": "1A"}, {"seat": None}]})
    assert said.startswith("template hello/en/title: variable seat is missing or null")


@pytest.mark.parametrize(
    "source",
    [
        "{{ data.tags | join(', ') }}",
        "{% for tag in data.tags %}{{ tag }}{% endfor %}",
        "{{ data.tags | first }}",
    ],
)
def test_a_null_in_a_list_is_never_printed(source: str) -> None:
    said = failure(HELLO | {"hello/en/title": source}, DATA | {"tags": [None, "a"]})
    assert said.startswith("template hello/en/title: variable list_item is missing or null")


@pytest.mark.parametrize("source", ["{{ none }}", "{{ data.gone | default(none) }}"])
def test_a_null_that_the_template_makes_is_never_printed(source: str) -> None:
    said = failure(HELLO | {"hello/en/title": source})
    assert said.startswith("template hello/en/title: variable (computed) is missing or null")


@pytest.mark.parametrize("data", [{"at": 0, "gate": None}, {"at": 0}])
def test_null_and_missing_are_the_same(data: dict[str, Any]) -> None:
    title = "{{ data.gate is defined }} {{ data.gate is none }} {{ data.gate | default('-') }}"
    assert push(HELLO | {"hello/en/title": title, "hello/url": ""}, data).title == "False True -"
