"""Where today's form differs on purpose from the recorded one: one rule a difference, each with its reason.

The recordings are never edited by hand. Whoever changes a form, derives outcomes that were written before, or
corrects a fault, adds a function here: to `RECORDED`, which turns what was recorded into what is expected
today, or to `TODAYS`, which turns what today's code publishes into the recorded form. Its docstring says why
only the form differs, or which fault was corrected; CHANGELOG.md has the same line.
"""

from collections.abc import Callable, Sequence

import msgspec

from tests.golden.wire import Published

Translation = Callable[[Sequence[Published]], Sequence[Published]]
_ERROR_HEADER = "tocsin-error"


def sentences(records: Sequence[Published]) -> Sequence[Published]:
    """Compare whether an error has a sentence, not its words.

    The sentences are prose for people and get better; no decision or id rests on them. Their own tests read
    them.
    """
    return [_without_sentence(record) for record in records]


def _without_sentence(record: Published) -> Published:
    if record.topic == "dead":
        headers = [(name, b"*" if name == _ERROR_HEADER and data else data) for name, data in record.headers]
        return record._replace(headers=tuple(headers))
    if record.topic == "outcomes" and b'"detail":{"error":' in (record.value or b""):
        outcome = msgspec.json.decode(record.value or b"")
        outcome["detail"]["error"] = "*" if outcome["detail"]["error"] else ""
        return record._replace(value=msgspec.json.encode(outcome))
    return record


RECORDED: tuple[Translation, ...] = (sentences,)
TODAYS: tuple[Translation, ...] = (sentences,)


def expected(recorded: Sequence[Published]) -> Sequence[Published]:
    """Turn what was recorded into what is expected of today's code."""
    for translation in RECORDED:
        recorded = translation(recorded)
    return recorded


def comparable(published: Sequence[Published]) -> Sequence[Published]:
    """Turn what today's code published into the recorded form."""
    for translation in TODAYS:
        published = translation(published)
    return published
