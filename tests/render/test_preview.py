"""Previews: what a recipient sees, its figures, and the fields that data and templates do not share."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.preview_catalog import write_catalog
from tocsin.errors import CatalogError, PreviewError
from tocsin.model.content import EmailContent, PushContent, SmsContent
from tocsin.render.measures import Measure
from tocsin.render.preview import Asked, Preview, Previewer, asked_rows
from tocsin.render.preview_fields import Reading, unused_fields
from tocsin.render.shown import headline, shown
from tocsin.render.unsubscribe import UnsubscribeTokens
from tocsin.render.uses import Use

HELLO = Use("hello")
DATA = {"name": "Ada", "seat": {"row": 7, "letter": "A"}, "spare": 1}


def opened(folder: Path, changes: dict[str, Any] | None = None) -> Previewer:
    return Previewer.open(write_catalog(folder, changes))


def preview(previewer: Previewer, channel: str, locale: str = "en", data: Any = None, **more: Any) -> Preview:
    tenant = more.pop("tenant", "default")
    return previewer.preview(
        Asked(tenant, "hello", channel, locale, HELLO, DATA if data is None else data, **more)
    )


def figures(found: Preview) -> dict[str, tuple[int, int | None]]:
    return {each.name: (each.value, each.limit) for each in found.measures}


def test_it_is_what_the_renderer_of_production_gives(tmp_path: Path) -> None:
    previewer = opened(tmp_path)
    found = preview(previewer, "email")
    assert isinstance(found.content, EmailContent)
    assert found.content.subject == "Hello Ada"
    assert "<b>Ada</b>" in found.content.html
    assert found.content.headers["List-Unsubscribe"].startswith("<https://skylark.example/u/")
    assert found.files["html"] == "templates/hello/en/html.j2"
    assert not found.is_faulty


def test_a_region_is_written_in_its_language_and_a_language_without_the_part_in_the_tenants(
    tmp_path: Path,
) -> None:
    previewer = opened(tmp_path)
    german = preview(previewer, "sms", "de-AT")
    assert (german.written_in, german.content) == (
        "de-AT",
        SmsContent("Hallo Ada", 1, "GSM-7", "+15005550006"),
    )
    assert preview(previewer, "email", "de").written_in == "en"


def test_a_tenants_own_template_comes_before_the_shared_one(tmp_path: Path) -> None:
    found = preview(opened(tmp_path), "sms", "de", tenant="acme")
    assert isinstance(found.content, SmsContent)
    assert found.content.text == "Acme grüßt Ada"
    assert found.files == {"sms": "tenants/acme/templates/hello/de/sms.j2"}


def test_a_field_that_the_data_lacks_is_named_with_file_and_line_and_what_is_there(tmp_path: Path) -> None:
    previewer = opened(tmp_path, {"templates/hello/en/sms.j2": "Hello\n{{ data.seat.rwo }}"})
    found = preview(previewer, "sms")
    (missing,) = found.missing
    assert (missing.field, missing.places) == ("seat.rwo", ["templates/hello/en/sms.j2:2"])
    assert (missing.has, missing.close, missing.optional) == (["letter", "row"], "row", False)
    assert found.is_faulty
    assert found.content is None
    assert found.problem.startswith(
        "templates/hello/en/sms.j2:2: template hello/en/sms: variable rwo is missing"
    )


def test_a_missing_parent_is_named_once_for_all_its_members(tmp_path: Path) -> None:
    text = "{{ data.trip.row }}\n{{ data.trip.letter }}"
    found = preview(opened(tmp_path, {"templates/hello/en/sms.j2": text}), "sms")
    assert [(each.field, len(each.places)) for each in found.missing] == [("trip", 2)]


def test_a_field_with_a_default_may_be_missing(tmp_path: Path) -> None:
    found = preview(opened(tmp_path), "sms", data={"name": "Ada", "seat": {}})
    assert isinstance(found.content, SmsContent)
    assert found.content.text == "Hello Ada, seat free"
    assert [(each.field, each.optional) for each in found.missing] == [("seat.row", True)]
    assert not found.is_faulty


def test_a_field_that_only_an_untaken_branch_uses_is_missing_though_it_renders(tmp_path: Path) -> None:
    text = "Hello{% if data.name == 'Bo' %} {{ data.gate }}{% endif %}"
    found = preview(opened(tmp_path, {"templates/hello/en/sms.j2": text}), "sms")
    assert found.content is not None
    assert [each.field for each in found.missing] == ["gate"]
    assert found.is_faulty


def test_fields_of_a_layout_count_and_its_line_is_named(tmp_path: Path) -> None:
    layout = "<html><body>\n{% block body %}{% endblock %}\n{{ data.footer }}</body></html>"
    found = preview(opened(tmp_path, {"templates/_layout/html.j2": layout}), "email")
    assert [each.places for each in found.missing] == [["templates/_layout/html.j2:3"]]
    assert found.problem.startswith("templates/_layout/html.j2:3: ")


def test_wrong_syntax_in_one_template_leaves_the_other_channels_alone(tmp_path: Path) -> None:
    previewer = opened(tmp_path, {"templates/hello/en/sms.j2": "one\n{% if %}"})
    assert "template hello/en/sms, line 2" in preview(previewer, "sms").problem
    assert preview(previewer, "push").problem == ""


def test_unused_fields_are_those_that_no_channel_and_language_uses(tmp_path: Path) -> None:
    previewer = opened(tmp_path)
    rows = asked_rows(previewer, Asked("default", "hello", "", "", HELLO, DATA), (), ())
    assert previewer.unused(rows) == ["seat.letter", "spare"]
    assert len(rows) == 4 * 2


def test_whoever_uses_data_as_a_whole_uses_all_of_it(tmp_path: Path) -> None:
    previewer = opened(tmp_path, {"templates/hello/en/text.j2": "{{ data | tojson }}"})
    assert previewer.unused([Asked("default", "hello", "email", "en", HELLO, DATA)]) == []


@settings(max_examples=50)
@given(
    st.recursive(
        st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1), max_leaves=6
    )
)
def test_data_whose_every_leaf_is_read_has_no_unused_field(data: Any) -> None:
    def paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        if not isinstance(value, dict):
            return [path] if path else []
        return [leaf for name, member in value.items() for leaf in paths(member, (*path, name))]

    leaves = paths(data)
    assert unused_fields([Reading({leaf: [] for leaf in leaves}, frozenset(), whole=False)], data) == []
    assert unused_fields([Reading({}, frozenset(), whole=False)], data) == [".".join(leaf) for leaf in leaves]


def test_the_figures_of_a_text_message_name_what_makes_it_dear(tmp_path: Path) -> None:
    long = "Ж" + "a" * 70
    found = preview(opened(tmp_path, {"templates/hello/en/sms.j2": long}), "sms")
    assert found.measures == [
        Measure("segments", 2, "UCS-2", None, "UCS-2 because of: Ж"),
        Measure("text", 71, "UTF-16 units", 134),
    ]
    assert figures(preview(opened(tmp_path), "sms"))["text"] == (len("Hello Ada, seat 7"), 160)


def test_what_was_cut_is_said(tmp_path: Path) -> None:
    changes = {"templates/hello/en/title.j2": "word " * 80, "templates/hello/en/body.j2": "word " * 2_000}
    found = preview(opened(tmp_path, changes), "push")
    assert isinstance(found.content, PushContent)
    assert found.notes == ["the title was cut", "the body was cut"]
    value, limit = figures(found)["payload"]
    assert limit == 4096 - 640
    assert limit - 10 <= value <= limit


def test_a_mail_that_gmail_clips_is_named(tmp_path: Path) -> None:
    layout = "<html><body>{% block body %}{% endblock %}" + "<p>word</p>" * 10_000 + "</body></html>"
    found = preview(opened(tmp_path, {"templates/_layout/html.j2": layout}), "email")
    assert found.notes == ["Gmail clips it"]


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"tenant": "nobody"}, "tenant", "there is no tenant nobody; there are: acme, default"),
        ({"notification": "hullo"}, "notification", "there is no notification hullo; there are: hello"),
        ({"channel": "fax"}, "channel", "hello has no channel fax; there are: email, sms, push, inapp"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(
    tmp_path: Path, asked: dict[str, str], field: str, said: str
) -> None:
    first = Asked("default", "hello", "sms", "en", HELLO, DATA)._replace(**asked)  # type: ignore[arg-type]  # texts
    with pytest.raises(PreviewError) as raised:
        opened(tmp_path).preview(first)
    assert (raised.value.field, str(raised.value)) == (field, said)


def test_a_word_that_is_no_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreviewError, match="is no language; write it like de or de-AT"):
        opened(tmp_path).locales("default", HELLO, ["english!"])


def test_samples_are_read_anew_each_time(tmp_path: Path) -> None:
    previewer = opened(tmp_path)
    assert len(previewer.samples("default", HELLO)) == 2
    (tmp_path / "templates/hello/sample.json").write_text('{"name": "Eve"}')
    assert previewer.samples("default", HELLO) == [{"name": "Eve"}]
    (tmp_path / "templates/hello/sample.json").write_text("{")
    with pytest.raises(PreviewError, match=r"templates/hello/sample.json: not JSON"):
        previewer.samples("default", HELLO)


def test_mistakes_of_one_tenant_leave_the_others_their_previews(tmp_path: Path) -> None:
    previewer = opened(tmp_path, {"tenants/acme.yaml": "categories: {news: {}}\nloclae: de\n"})
    assert preview(previewer, "sms").content is not None
    with pytest.raises(PreviewError, match=r"acme.yaml:2: unknown field `loclae`"):
        previewer.tenant("acme")
    with pytest.raises(CatalogError):
        opened(tmp_path, {"notifications/hello.yaml": "hello: {on: 1}"})


def test_no_link_of_a_preview_unsubscribes_anybody(tmp_path: Path) -> None:
    """It is sealed with a secret of its own."""
    found = preview(opened(tmp_path), "email", user="ada")
    assert isinstance(found.content, EmailContent)
    token = found.content.headers["List-Unsubscribe"].partition(">")[0].rsplit("/", 1)[-1]
    assert UnsubscribeTokens(b"only for previews").read(token) is not None
    assert UnsubscribeTokens(b"0123456789abcdef").read(token) is None


def test_as_json_it_has_what_is_seen_by_label(tmp_path: Path) -> None:
    found = preview(opened(tmp_path), "push")
    assert headline(found) == "Hello Ada"
    document = shown(found)
    assert (document["seen"]["title"], document["seen"]["body"]) == ("Hello Ada", "It is Ada")
    assert "ttl_s" not in document["seen"]
    assert document["kind"] == "push"
    assert document["faulty"] is False
