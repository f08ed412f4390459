"""Attachments: mistakes of the catalog with file and line, and references that are rendered with the data."""

from pathlib import Path
from typing import Any

import pytest

from tests.render.render_world import SECRET, message, tenant
from tocsin.catalog import loader
from tocsin.catalog.attachments import MAX_ATTACHMENT_BYTES, AttachmentSpec, attachments_of
from tocsin.errors import RenderError
from tocsin.model.content import AttachmentRef, EmailContent
from tocsin.render.check import check_templates
from tocsin.render.renderer import Renderer

PARTS = {"subject": "Bill", "text": "Your bill", "html": '<p><img src="cid:logo"> Your bill</p>'}
TEMPLATES = {f"hello/en/{part}": text for part, text in PARTS.items()}
SPECS = [
    {"file": "legal/terms of use.pdf"},
    {"url": "https://files.example/{{ data.bill | urlencode }}.pdf", "name": "Bill {{ data.bill }}.pdf"},
    {"file": "logo.png", "cid": "logo"},
    {"url": "{{ data.url }}", "name": "x", "type": "text/calendar"},
]


def brought(data: Any, *specs: dict[str, Any], **changed: Any) -> tuple[AttachmentRef, ...]:
    notices = {"hello": [AttachmentSpec.model_validate(spec) for spec in specs]}
    renderer = Renderer(TEMPLATES, {"default": tenant()}, SECRET, attachments={"default": notices})
    content = renderer.render(message("email", data, **changed))
    assert isinstance(content, EmailContent)
    return content.attachments


def test_references_are_written_with_the_data_of_the_event() -> None:
    found = brought({"bill": "7/a", "url": " https://cal.example/1 "}, *SPECS)
    assert [(each.source, each.is_file, each.name, each.type, each.cid) for each in found] == [
        ("legal/terms of use.pdf", True, "terms of use.pdf", "application/pdf", ""),
        ("https://files.example/7/a.pdf", False, "Bill 7-a.pdf", "application/pdf", ""),
        ("logo.png", True, "logo.png", "image/png", "logo"),
        ("https://cal.example/1", False, "x", "text/calendar", ""),
    ]


def test_other_notifications_and_channels_bring_nothing() -> None:
    assert brought({}, SPECS[0], notification="other") == ()
    assert brought({}, SPECS[0], tenant="default") != ()


@pytest.mark.parametrize(
    ("name", "shown"), [("../../a", "-..-a"), ('a"\r\nb', "a- b"), ("", "attachment"), (".x", "x")]
)
def test_a_name_from_the_data_is_one_line_and_no_path(name: str, shown: str) -> None:
    (found,) = brought({"name": name}, {"file": "logo.png", "name": "{{ data.name }}"})
    assert found.name == shown


def test_what_the_data_lack_is_an_error_that_names_the_attachment() -> None:
    with pytest.raises(RenderError, match="attachment 2: variable bill is missing or null"):
        brought({}, SPECS[0], SPECS[1])
    with pytest.raises(RenderError, match="attachment 1: No filter named 'gone'"):
        brought({}, {"file": "logo.png", "name": "{{ data.x | gone }}"})


def catalog(path: Path, attachments: str, channels: str = "[email]", html: str = "<p>Hi</p>") -> Path:
    files = {
        "tenants/default.yaml": "categories: {news: {}}\nsenders: {email: a@example.com}\n",
        "notifications/all.yaml": (
            "hello:\n  on: {type: a.b}\n  category: news\n"
            f"  channels: {channels}\n  attachments:\n{attachments}"
        ),
        "templates/hello/sample.json": '{"bill": "7"}',
        "templates/hello/en/subject.j2": "Hi",
        "templates/hello/en/text.j2": "Hi",
        "templates/hello/en/html.j2": html,
        "templates/hello/en/sms.j2": "Hi",
        "attachments/terms.pdf": "%PDF",
        "attachments/logo.png": "x",
        "attachments/data.unheard": "x",
    }
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def test_a_right_catalog_is_loaded_and_its_samples_render(tmp_path: Path) -> None:
    specs = ("file: terms.pdf", "file: logo.png, cid: logo", "url: 'https://e.com/{{ data.bill }}.pdf'")
    lines = [f"    - {{{spec}}}\n" for spec in specs]
    found = loader.load(catalog(tmp_path, "".join(lines), html="<img src='cid:logo'>"))
    assert list(attachments_of(found.tenants)) == ["default"]
    assert [spec.media_type for spec in attachments_of(found.tenants)["default"]["hello"]] == [
        "application/pdf",
        "image/png",
        "application/pdf",
    ]
    assert check_templates(tmp_path) == []


@pytest.mark.parametrize(
    ("attachments", "problem"),
    [
        ("    - {}\n", "it needs a `file` or a `url`, write one of the two"),
        ("    - {file: a.pdf, url: 'https://e.com'}\n", "it needs a `file` or a `url`"),
        ("    - {file: gone.pdf}\n", "no attachments/gone.pdf in the catalog, put the file there"),
        ("    - {file: ../tenants/default.yaml}\n", "`file` is wrong"),
        ("    - {file: .env}\n", "`file` is wrong"),
        ("    - {url: 'ftp://e.com/a.pdf'}\n", "`url` must begin with https://"),
        ("    - {url: 'https://e.com/{{ data.x', type: a/b}\n", "`url` is no template"),
        ("    - {url: 'https://e.com/x'}\n", "does not tell its media type, add `type`"),
        ("    - {file: terms.pdf, type: pdf}\n", "`type` is wrong"),
        ("    - {file: data.unheard}\n", "does not tell its media type"),
        ("    - {file: logo.png, cid: 'a b'}\n", "`cid` is wrong"),
        ("    - {file: terms.pdf, name: ''}\n", "`name` is wrong"),
        ("    - {file: terms.pdf, inline: true}\n", "unknown field `inline`"),
    ],
)
def test_each_mistake_is_named_with_file_and_line(tmp_path: Path, attachments: str, problem: str) -> None:
    (found,) = map(str, loader.check(catalog(tmp_path, attachments)))
    assert found.startswith("notifications/all.yaml:6: ")
    assert problem in found


def test_images_without_attachment_twice_and_without_e_mail(tmp_path: Path) -> None:
    logo = "    - {file: logo.png, cid: logo}\n"
    (missing,) = map(str, loader.check(catalog(tmp_path, logo, html="<img src='cid:other'>")))
    assert missing == (
        "notifications/all.yaml:1: the template shows `cid:other`, and no attachment has it,"
        " add one with `cid: other`"
    )
    (twice,) = map(str, loader.check(catalog(tmp_path, logo * 2)))
    assert twice == "notifications/all.yaml:7: `logo` appears twice, rename one"
    (other,) = map(str, loader.check(catalog(tmp_path, logo, channels="[sms]")))
    assert "`email` is none of its channels" in other


def test_a_file_that_no_mail_server_takes_is_a_mistake(tmp_path: Path) -> None:
    path = catalog(tmp_path, "    - {file: terms.pdf}\n")
    (path / "attachments/terms.pdf").write_bytes(b"x" * (MAX_ATTACHMENT_BYTES + 1))
    (found,) = map(str, loader.check(path))
    assert "has 7,000,001 bytes, at most 7,000,000 go with a mail" in found


def test_a_template_that_does_not_fit_the_sample_is_found_at_check_time(tmp_path: Path) -> None:
    path = catalog(tmp_path, "    - {url: 'https://e.com/{{ data.gone }}.pdf'}\n")
    assert check_templates(path) == [
        "templates/hello/sample.json:1: sample 0, email, en: template attachment 1:"
        " variable gone is missing or null; send it, or use `default`"
    ]
