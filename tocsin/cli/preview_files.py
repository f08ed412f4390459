"""Writes previews into files: a mail as HTML and text, everything as JSON."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tocsin.cli.output import fail
from tocsin.model.content import EmailContent
from tocsin.render.preview import Preview
from tocsin.render.shown import shown


def write_files(folder: Path, previews: Sequence[Preview]) -> None:
    """Write each preview as `<notification>.<channel>.<locale>.json`; a mail as `.html` and `.txt`, too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in previews:
            for suffix, text in _files(each):
                (folder / f"{_stem(each)}.{suffix}").write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"--out {folder}: {error.strerror}", code=2)


def _stem(preview: Preview) -> str:
    parts = (preview.notification, preview.channel, preview.locale)
    return ".".join(re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in parts)


def _files(preview: Preview) -> Iterator[tuple[str, str]]:
    yield "json", msgspec.json.format(msgspec.json.encode(shown(preview))).decode() + "\n"
    if isinstance(preview.content, EmailContent):
        yield "html", preview.content.html
        yield "txt", preview.content.text
