"""Confines what the catalog's authors write in Jinja2: expressions and templates.

One set of rules for both:

- Fields before methods: `data.items` is the event's field. A dict has no methods; use the filter `items`.
- Nothing random, and no clock: the same input gives the same text (law 2).
- Nothing whose size an event decides: no products of texts, no padding, no huge powers, no long ranges.
- What is missing is an error, unless it is tested with `is defined` or has a `default`. Null is missing.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Final

import jinja2
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tocsin.catalog import widths

MAX_RANGE: Final = 1_000
"""Rounds of a loop over `range()`: a message is short."""
MAX_POWER: Final = 64

FAILURES: Final = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    # Jinja2 writes a number beyond the largest float as the bare word `inf` into the code it compiles.
    NameError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What an expression or template can do to itself with data it does not expect. All else is a bug of ours."""

_REMOVED_FILTERS = ("random", "center", "indent", "format")
_REMOVED_GLOBALS = ("lipsum", "range")


class Sandbox(ImmutableSandboxedEnvironment):
    """A Jinja2 environment with the rules above; `options` are those of `jinja2.Environment`."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"undefined": jinja2.StrictUndefined, **options})
        for name in _REMOVED_FILTERS:
            self.filters.pop(name)
        for name in _REMOVED_GLOBALS:
            self.globals.pop(name)
        for name in widths.FILTERS:
            self.filters[name] = widths.bounded(name, self.filters[name])
        self.tests["none"] = _is_none

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look up a field of a dict, and nothing else of it."""
        if type(obj) is dict:
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Multiply numbers only, raise them to small powers only, and pad texts to small widths only."""
        if operator == "%" and isinstance(left, str):
            widths.check_percent(left)
            return super().call_binop(context, operator, left, right)
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            msg = f"{operator} takes two numbers"
            raise TypeError(msg)
        if operator == "**" and abs(right) > MAX_POWER:
            msg = f"powers above {MAX_POWER} are refused"
            raise OverflowError(msg)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what is safe to call, and pads to small widths only."""
        widths.check_call(obj, args, kwargs)
        return super().call(context, obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Let `str.format` pad to small widths only."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def narrow(*args: Any, **kwargs: Any) -> str:
            takes_one = value.__name__ == "format_map" and len(args) == 1
            given: tuple[tuple[Any, ...], Any] = ((), args[0]) if takes_one else (args, kwargs)
            widths.check_format(self, value.__self__, *given)
            return wrapped(*args, **kwargs)

        return update_wrapper(narrow, wrapped)


def _is_none(value: Any) -> bool:
    return value is None or isinstance(value, jinja2.Undefined)


def without_nulls(value: Any, item: Any = None) -> Any:
    """Drop the members of objects that are null, at any depth, so that null is the same as missing.

    Args:
        value: parsed JSON.
        item: stands for a null in a list, which keeps its place.

    >>> without_nulls({"gate": None, "legs": [{"seat": None}, None]})
    {'legs': [{}, None]}
    """
    if isinstance(value, dict):
        return {name: without_nulls(member, item) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [item if member is None else without_nulls(member, item) for member in value]
    return value


def short_range(*bounds: int) -> range:
    """Do what `range` does, for at most `MAX_RANGE` rounds.

    Raises:
        OverflowError: it would be longer.
    """
    rounds = range(*bounds)
    if len(rounds) > MAX_RANGE:
        msg = f"a range of more than {MAX_RANGE} rounds"
        raise OverflowError(msg)
    return rounds
