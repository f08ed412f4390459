"""A small catalog on disk, for tests of previews."""

from pathlib import Path
from typing import Any

FILES: dict[str, str] = {
    "tenants/default.yaml": """
categories: {news: {}}
channels: {}
senders: {email: hello@skylark.example, email_name: Skylark, sms: "+15005550006",
          unsubscribe_url: "https://skylark.example/u"}
""",
    "tenants/acme.yaml": "categories: {news: {}}\nlocale: de\n",
    "tenants/acme/templates/hello/de/sms.j2": "Acme grüßt {{ data.name }}",
    "notifications/hello.yaml": """
hello:
  on: {type: hello}
  category: news
  channels: [email, sms, push, inapp]
""",
    "templates/hello/sample.json": (
        '[{"name": "Ada", "seat": {"row": 7, "letter": "A"}, "spare": 1}, {"name": "Bo"}]'
    ),
    "templates/hello/en/subject.j2": "Hello {{ data.name }}",
    "templates/hello/en/text.j2": "Hello {{ data.name }}",
    "templates/hello/en/html.j2": (
        '{% extends "_layout/html" %}{% block body %}<b>{{ data.name }}</b>{% endblock %}'
    ),
    "templates/hello/en/sms.j2": "Hello {{ data.name }}, seat {{ data.seat.row | default('free') }}",
    "templates/hello/en/title.j2": "Hello {{ data.name }}",
    "templates/hello/en/body.j2": "It is {{ data.name }}",
    "templates/hello/de/sms.j2": "Hallo {{ data.name }}",
    "templates/hello/de/title.j2": "Hallo {{ data.name }}",
    "templates/hello/de/body.j2": "Zug: {{ data.name }}",
    "templates/_layout/html.j2": "<html><body>\n{% block body %}{% endblock %}\n</body></html>",
}


def write_catalog(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Write the catalog with some files changed; None leaves one out."""
    for name, text in (FILES | (changes or {})).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(text, encoding="utf-8")
    return folder
