"""Compiles expressions of the catalog once: sandboxed Jinja2, strict about missing fields.

They read `data`, `event`, `user` and `now` and nothing else. A field that is missing is an error unless the
expression asks for it with `is defined`; so a typing mistake never silences a notification. The fields of
`event`, `user` and `now` are known, and another one of them is refused when the catalog is read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jinja2
import msgspec
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.runtime import Context

from tocsin.catalog.close_names import closest, cure
from tocsin.catalog.expression_words import word_mistake
from tocsin.catalog.plain_expressions import compiled, path_of, python_of
from tocsin.catalog.sandbox import FAILURES, Sandbox
from tocsin.model.moments import Moment, moment_of

VARIABLES: Final = frozenset({"data", "event", "now", "user"})
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("id", "source", "type", "subject", "tenant", "time_ms"),
    "user": ("id", "known", "locale", "timezone", "channels", "platforms", "apps", "attributes"),
    "now": ("date", "time", "weekday", "year", "month", "day", "hour", "minute", "ms"),
}
"""The fields of each variable of which all are known; `tocsin.decision.scope` fills them."""


_SIGNS: Final = {
    "unexpected `=`": "==",
    "char '&'": "and",
    "char '!'": "not",
    "got '|'": "or",
    "unexpected `AND`": "and",
    "unexpected `OR`": "or",
    "unexpected `NOT`": "not",
    "unexpected `IN`": "in",
    "unexpected `IS`": "is",
}
"""Signs and words that other languages have, as Jinja2 refuses them, and its own."""


class ExpressionError(Exception):
    """Says that an expression cannot be compiled, or failed on an event. No value of the event is shown."""


_NO_FIELD: Final = re.compile(r"has no attribute '([^']+)'$")
_QUOTED: Final = re.compile(r"named '([^']+)'")
_WORD: Final = re.compile(r"\w+")
_ENVIRONMENT = Sandbox()
_ENVIRONMENT.globals.clear()


class Scope:
    """What the expressions of one event read.

    Attributes:
        variables: by name.
    """

    __slots__ = ("_context", "variables")

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables
        self._context: Context | None = None

    def context(self) -> Context:
        """Return what Jinja2 evaluates in. Made once an event, and only where Jinja2 evaluates."""
        if self._context is None:
            self._context = Context(_ENVIRONMENT, self.variables, None, {})
        return self._context


class Expression:
    """One compiled expression.

    Attributes:
        source: as it is written.
        needs: the variables that it reads.
        python: the same in Python, from `variables`; empty if it is more than `plain_expressions` writes.
        plain: evaluates it without Jinja2; None if it is more than `plain_expressions` compiles.
        path: the keys of a plain path, such as `("data", "legs", 0)`; None if it is more than that.

    >>> Expression("data.delay >= 60 and data.gate is defined").test(Scope({"data": {"delay": 72}}))
    False
    """

    __slots__ = ("_root", "needs", "path", "plain", "python", "source")

    def __init__(self, source: str, variables: frozenset[str] = VARIABLES) -> None:
        """Compile.

        Args:
            source: the expression, without braces.
            variables: the names that it may read.

        Raises:
            ExpressionError: it is not an expression, or asks for a variable or field there is not.
        """
        self.source = source
        parsed = _parse(source)
        self.python = python_of(parsed)  # before Jinja2 optimizes the tree
        self.plain = compiled(self.python)
        body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), parsed, lineno=1)]
        tree = nodes.Template(body, lineno=1)
        tree.set_environment(_ENVIRONMENT)
        self._root = _compile(tree)
        self.path = path_of(parsed)
        self.needs = frozenset(find_undeclared_variables(tree))
        unknown = sorted(self.needs - variables)
        if unknown:
            *others, last = sorted(variables)
            known = f"{', '.join(others)} or {last}" if others else last
            msg = f"unknown variable `{unknown[0]}`: use {known}"
            raise ExpressionError(msg)
        for variable, field in _fields(parsed):
            if field not in FIELDS[variable]:
                raise ExpressionError(_no_field(variable, field))
        if mistake := word_mistake(parsed):
            raise ExpressionError(mistake)

    def test(self, scope: Scope) -> bool:
        """Evaluate as a condition; raises ExpressionError."""
        if self.plain is not None:  # most are: no further call
            try:
                return bool(self.plain(scope.variables))
            except FAILURES:
                pass
        try:
            return bool(self._value(scope))
        except FAILURES as error:
            raise ExpressionError(self._fault(error)) from error

    def text(self, scope: Scope) -> str:
        """Evaluate as a key: a text or a number; raises ExpressionError."""
        if self.plain is not None:
            try:
                value = self.plain(scope.variables)
            except FAILURES:
                value = None
            if type(value) is str:
                return value
        try:
            value = self._value(scope)
            if isinstance(value, str | int | float):
                return str(value)
            bool(value)
        except FAILURES as error:
            raise ExpressionError(self._fault(error)) from error
        msg = f"`{self.source}` gave no text or number"
        raise ExpressionError(msg)

    def moment(self, scope: Scope) -> Moment:
        """Evaluate as a time: RFC 3339, a local time, or ms since 1970; raises ExpressionError."""
        try:
            value = self._value(scope)
            bool(value)
        except FAILURES as error:
            raise ExpressionError(self._fault(error)) from error
        try:
            return moment_of(value)
        except ValueError as error:
            msg = f"`{self.source}` is {error}"
            raise ExpressionError(msg) from error

    def value(self, scope: Scope) -> Any:
        """Evaluate; an undefined result, or part of it, is None. Raises ExpressionError."""
        try:
            found = self._value(scope)
        except FAILURES as error:
            raise ExpressionError(self._fault(error)) from error
        return _defined(found)

    def json(self, scope: Scope) -> bytes:
        """Evaluate as JSON: a text, number, list or object of such. Raises ExpressionError."""
        if self.plain is not None:  # what it gives has nothing undefined in it
            try:
                return msgspec.json.encode(self.plain(scope.variables))
            except (*FAILURES, msgspec.MsgspecError):
                pass
        try:
            value = self._value(scope)
            bool(value)  # an undefined one raises
            return msgspec.json.encode(_defined(value))
        except (*FAILURES, msgspec.MsgspecError) as error:
            raise ExpressionError(self._fault(error)) from error

    def _value(self, scope: Scope) -> Any:
        if self.plain is not None:
            try:
                return self.plain(scope.variables)
            except FAILURES:
                pass  # Jinja2 knows what is missing, and says what failed
        # `TemplateExpression` makes a context for each call, which takes ten times as long as this.
        context = scope.context()
        for _ in self._root(context):
            pass
        return context.vars["result"]

    def _fault(self, error: Exception) -> str:
        if isinstance(error, jinja2.UndefinedError):
            field = _missing(error, self.source)
            return f"`{self.source}`: {field} is missing; test it with `is defined`"
        return f"`{self.source}` failed on this event: {type(error).__name__}"


def _missing(error: jinja2.UndefinedError, source: str) -> str:
    """Name the field that is missing, unless the event chose its name."""
    found = _NO_FIELD.search(str(error))
    return f"`{found[1]}`" if found and found[1] in _WORD.findall(source) else "a field it reads"


def _fields(parsed: nodes.Expr) -> Iterator[tuple[str, str]]:
    """List the fields that an expression reads of variables whose fields are known."""
    for node in (parsed, *parsed.find_all((nodes.Getattr, nodes.Getitem))):
        path = path_of(node) if isinstance(node, nodes.Getattr | nodes.Getitem) else None
        if path is not None and len(path) > 1 and path[0] in FIELDS:
            yield str(path[0]), str(path[1])


def _no_field(variable: str, field: str) -> str:
    known = FIELDS[variable]
    meant = closest(field, known)
    *others, last = known
    other = f"did you mean `{variable}.{meant}`?" if meant else f"use {', '.join(others)} or {last}"
    return f"`{variable}` has no field `{field}`: {other}"


def _defined(found: Any) -> Any:
    """Replace what is undefined by None, also in objects and lists that an expression built."""
    if isinstance(found, jinja2.Undefined):
        return None
    if isinstance(found, dict):
        return {name: _defined(member) for name, member in found.items()}
    return [_defined(member) for member in found] if isinstance(found, list | tuple) else found


def _parse(source: str) -> nodes.Expr:
    try:
        parser = Parser(_ENVIRONMENT, source, state="variable")
        parsed = parser.parse_expression()
    except jinja2.TemplateSyntaxError as error:
        told = str(error.message).rstrip(".")
        if "end of template" in told:
            _, _, lacks = told.partition(", expected ")
            msg = f"not an expression (it ends too early): {f'write {lacks}' if lacks else 'complete it'}"
            raise ExpressionError(msg) from error
        msg = f"not an expression ({told}): {_cure(told, 'write it as in Jinja2, without braces')}"
        raise ExpressionError(msg) from error
    if not parser.stream.eos:
        value = f"unexpected `{parser.stream.current.value}`"
        msg = f"not an expression ({value}): {_cure(value, 'write one, without braces')}"
        raise ExpressionError(msg)
    return parsed


def _cure(told: str, else_cure: str) -> str:
    """Name the sign of Jinja2 for one of other languages."""
    return next((f"use `{sign}`" for other, sign in _SIGNS.items() if other in told), else_cure)


def _compile(tree: nodes.Template) -> Any:
    try:
        return _ENVIRONMENT.from_string(tree).root_render_func
    except (jinja2.TemplateError, TypeError) as error:
        told = str(error).rstrip(".")
        name = _QUOTED.search(told)
        known = _ENVIRONMENT.filters if "filter" in told else _ENVIRONMENT.tests
        other = cure(name[1] if name else "", known, "only Jinja2's own filters and tests are known")
        msg = f"not an expression ({told}): {other}"
        raise ExpressionError(msg) from error
