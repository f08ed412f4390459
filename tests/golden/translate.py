"""Where today's form differs on purpose from the recorded one: one rule a difference, each with its reason.

The recordings are never edited by hand. Whoever changes a form, derives outcomes that were written before, or
corrects a fault, adds a function here: to `RECORDED`, which turns what was recorded into what is expected
today, or to `TODAYS`, which turns what today's code publishes into the recorded form. Its docstring says why
only the form differs, or which fault was corrected; CHANGELOG.md has the same line.
"""

from collections.abc import Callable, Sequence

from tests.golden.wire import Published

Translation = Callable[[Sequence[Published]], Sequence[Published]]

RECORDED: tuple[Translation, ...] = ()
TODAYS: tuple[Translation, ...] = ()


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
