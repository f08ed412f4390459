"""WhatsApp messages and calls: approved templates and their values, and the language of what is read."""

from typing import Any

import pytest

from tests.render.render_world import message, renderer
from tocsin.errors import RenderError
from tocsin.model.content import VoiceContent, WhatsAppContent

SID = "HX" + "d" * 32
TEMPLATES = {"hello/whatsapp": "The gate is {{ data.gate }}", "hello/en/call": "Gate", "hello/de/call": "Tor"}
NAMED = '{"content_sid": "SID", "variables": {"1": {{ data.gate | tojson }}}}'


def whatsapp(data: dict[str, Any], template: str = NAMED) -> WhatsAppContent:
    made = renderer(TEMPLATES | {"hello/whatsapp_template": template.replace("SID", SID)})
    found = made.render(message("whatsapp", data))
    assert isinstance(found, WhatsAppContent)
    return found


@pytest.mark.parametrize(
    ("gate", "shown"), [("B12", "B12"), ('"B" & <12>', '"B" & <12>'), ("B\n12\t  east", "B 12 east")]
)
def test_values_of_a_template_are_texts_of_one_line(gate: str, shown: str) -> None:
    found = whatsapp({"gate": gate})
    assert (found.template, found.variables) == (SID, {"1": shown})


def test_without_a_template_the_text_is_sent() -> None:
    found = renderer(TEMPLATES).render(message("whatsapp", {"gate": "B12"}))
    assert found == WhatsAppContent("The gate is B12")


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ('{"content_sid": "HX1"}', "content_sid is HX and 32 hexadecimal digits"),
        ('{"content_sid": "SID", "variables": {"1": ""}}', "variable 1 is empty"),
        ('{"content_sid": "SID", "variables": {"1": 7}}', "is not such JSON"),
        ('{"content_sid": "SID", "variables": {"1": "{{ data.gate }}"}}', "is not such JSON"),
        ('{"content": "SID"}', "is not such JSON"),
        ("HX", "is not such JSON"),
    ],
)
def test_a_template_that_cannot_be_sent_says_why_and_no_value(template: str, told: str) -> None:
    with pytest.raises(RenderError, match="template hello, part whatsapp_template: ") as caught:
        whatsapp({"gate": 'secret"'}, template)
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("locale", "read"), [("de-AT", ("Tor", "de")), ("fr", ("Gate", "en"))])
def test_a_call_is_read_in_the_language_of_its_text(locale: str, read: tuple[str, str]) -> None:
    found = renderer(TEMPLATES).render(message("voice", locale=locale))
    assert isinstance(found, VoiceContent)
    assert (found.text, found.locale.partition("-")[0]) == read
