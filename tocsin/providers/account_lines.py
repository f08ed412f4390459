"""The lines of the accounts file, so that a mistake in it names the line."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

Place = tuple[str, ...]
"""Keys and indexes that lead to a value."""


class Lines:
    r"""Names the places of a file as `file:line`; a place without a line of its own has that around it.

    >>> lines = Lines(Path("providers.yaml"), "accounts:\n  a:\n    vendor: sms\n")
    >>> lines.at(("accounts", "a", "vendor")), lines.at(("accounts", "a", "weight"))
    ('providers.yaml:3', 'providers.yaml:2')
    """

    def __init__(self, path: Path, text: str = "") -> None:
        self._path = path
        self._lines: Mapping[Place, int] = dict(_walk(yaml.compose(text, Loader=yaml.SafeLoader), ()))

    def at(self, place: Place) -> str:
        """Return the file and the line of a place; the file alone if its text is not known."""
        while place and place not in self._lines:
            place = place[:-1]
        return f"{self._path}:{self._lines[place]}" if place else str(self._path)


def _walk(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inside = (*place, str(key.value))
            yield inside, key.start_mark.line + 1
            yield from _walk(value, inside)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            inside = (*place, str(number))
            yield inside, value.start_mark.line + 1
            yield from _walk(value, inside)
