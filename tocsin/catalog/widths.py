"""Bounds how wide a template or expression may make a text: an event must not decide its size.

Python pads to any width that it is told: `"x".ljust(data.n)` with ten thousand million ends the process.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from jinja2.sandbox import SandboxedFormatter

MAX_WIDTH: Final = 1_000
"""Characters of a padded text, and parts of a list: a message is short."""
_PADDING: Final = frozenset({"center", "expandtabs", "ljust", "rjust", "to_bytes", "zfill"})
_FORMAT: Final = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\*|\d*)(?:\.(\*|\d*))?")
_NUMBER: Final = re.compile(r"\d+")
FILTERS: Final[Mapping[str, str]] = {"batch": "linecount", "slice": "slices", "tojson": "indent"}
"""The filters that make as much as an argument says: their second, of this name."""


def check_call(method: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Refuse a method of a text or number that pads to a great width."""
    if getattr(method, "__name__", "") in _PADDING:
        for value in (*arguments, *named.values()):
            _check(value)


def check_percent(text: str) -> None:
    """Refuse `text % values` with a great width, or one that a value gives."""
    for found in _FORMAT.finditer(text):
        for width in found.groups(""):
            _check_text(width)


def check_format(environment: Any, text: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Refuse `text.format(…)` with a great width, also where a value gives it."""
    _Widths(environment).vformat(text, arguments, named)


class _Widths(SandboxedFormatter):
    """Looks at each width before it formats: a width may itself be made by a format."""

    def format_field(self, value: Any, format_spec: str) -> str:
        for width in _NUMBER.findall(format_spec):
            _check_text(width)
        return str(super().format_field(value, format_spec))


def bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    """Bound the argument of one of `FILTERS` that says how much it makes."""
    place = 2 if hasattr(filter_, "jinja_pass_arg") else 1

    @functools.wraps(filter_)
    def narrow(*arguments: Any, **named: Any) -> Any:
        _check(arguments[place] if len(arguments) > place else named.get(FILTERS[name]))
        return filter_(*arguments, **named)

    return narrow


def _check(value: Any) -> None:
    if isinstance(value, int) and value > MAX_WIDTH:
        _refuse()


def _check_text(width: str) -> None:
    if width == "*" or len(width) > len(str(MAX_WIDTH)) or int(width or 0) > MAX_WIDTH:
        _refuse()


def _refuse() -> NoReturn:
    msg = f"a width above {MAX_WIDTH}"
    raise OverflowError(msg)
