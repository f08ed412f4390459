"""The page about templates says what the code does: parts, variables and filters."""

import re

import pytest
import yaml

from tests.docs.repository import pages
from tests.render.render_world import message, renderer
from tocsin.catalog.spec import Branding, TenantSpec
from tocsin.model.channels import CHANNELS
from tocsin.model.content import EmailContent
from tocsin.render.formats import FILTERS
from tocsin.render.sandbox import CONTEXT_NAMES
from tocsin.render.sms_text import MAX_SMS_CHARS

PAGE = pages()["docs/templates.md"]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.split("\n") if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_parts_are_those_of_the_channels() -> None:
    said = {
        code(channel)[0]: (code(needed), code(more)) for channel, needed, more in rows("Parts and languages")
    }
    assert said == {str(name): ([*of.parts], [*of.optional_parts]) for name, of in CHANNELS.items()}


def test_every_variable_is_named() -> None:
    assert {name for first, _ in rows("Variables") for name in code(first)} == CONTEXT_NAMES
    brand = next(code(content) for first, content in rows("Variables") if first == "`brand`")
    assert set(brand) == Branding.model_fields.keys()


def test_every_filter_is_named() -> None:
    assert {name for first, *_ in rows("Filters") for name in code(first)} == FILTERS.keys()


@pytest.mark.parametrize(("example", "shown"), [(one, shown) for _, one, shown in rows("Filters")])
def test_an_example_writes_what_the_table_shows(example: str, shown: str) -> None:
    template = code(example)[0].replace("\\|", "|")
    templates = {"hello/en/subject": template, "hello/en/text": "x", "hello/en/html": "x"}
    content = renderer(templates).render(message("email", timezone="America/New_York"))
    assert isinstance(content, EmailContent)
    assert content.subject.replace("\u202f", " ") == shown


def test_the_settings_of_text_messages_are_those_of_a_tenant() -> None:
    block = PAGE.split("## Text messages")[1].split("```yaml\n")[1].split("```")[0]
    spec = TenantSpec.model_validate({"categories": {"offers": {}}, **yaml.safe_load(block)})
    assert spec.sms.model_fields_set == spec.sms.__class__.model_fields.keys()
    assert f"more than {MAX_SMS_CHARS:,} characters".lower() in PAGE.lower()
