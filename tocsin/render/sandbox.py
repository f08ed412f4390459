"""Runs templates in the sandbox: strict about missing variables, escaping in HTML, silent about values."""

import re
from collections.abc import Mapping
from typing import Any

import jinja2

from tocsin.catalog.sandbox import FAILURES, Sandbox, short_range
from tocsin.errors import RenderError
from tocsin.render.formats import FILTERS
from tocsin.render.quick import QuickTemplate, quick
from tocsin.render.templates import SUFFIX

CONTEXT_NAMES = frozenset(
    {"data", "digest", "event", "user", "notification", "category", "required"}
    | {"brand", "locale", "timezone", "unsubscribe_url", "preferences_url"}
)

_NULL = "(computed)"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class MissingVariableError(jinja2.UndefinedError):
    """Says that a template asked for a variable that is not there; the text is the variable's name."""


class _Undefined(jinja2.StrictUndefined):
    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = jinja2.utils.missing,
        name: str | None = None,
        exc: type[jinja2.TemplateRuntimeError] = jinja2.UndefinedError,
    ) -> None:
        # A computed name may be a value of somebody's: only what looks like an identifier is repeated.
        shown = name if isinstance(name, str) and _NAME.fullmatch(name) else _NULL
        super().__init__(shown, obj, name, MissingVariableError if exc is jinja2.UndefinedError else exc)

    # A list that is printed as a whole shows its items so.
    __repr__ = jinja2.StrictUndefined.__str__


NULL_ITEM = _Undefined(name="list_item")
"""Stands for a null in a list of the data: an error where a template prints it."""


def _found(templates: Mapping[str, str], name: str) -> tuple[str, str, None] | None:
    source = templates.get(name)
    return None if source is None else (source, name + SUFFIX, None)


def _not_none(value: Any) -> Any:
    """Refuse a null that an expression gave: nobody wants to read "Dear None"."""
    if value is None:
        raise MissingVariableError(_NULL)
    return value


def is_html(name: str | None) -> bool:
    """Tell whether a template's output is HTML, where values must be escaped."""
    return name is not None and name.split("/")[-1] in ("html", "html.mjml")


def sandbox(templates: Mapping[str, str]) -> jinja2.Environment:
    """Build the environment of a catalog; each template is compiled at its first use, once.

    Args:
        templates: as `tocsin.render.templates.load_templates` gives them.
    """
    environment = Sandbox(
        loader=jinja2.FunctionLoader(lambda name: _found(templates, name)),
        undefined=_Undefined,
        autoescape=is_html,
        finalize=_not_none,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    environment.globals["range"] = short_range
    return environment


def compiled(environment: jinja2.Environment, name: str) -> jinja2.Template:
    """Give the compiled template.

    Raises:
        RenderError: its syntax is wrong; the text names template and line.
    """
    try:
        return environment.get_template(name)
    except jinja2.TemplateSyntaxError as error:
        msg = f"template {error.name or name}, line {error.lineno}: {error.message}"
        raise RenderError(msg) from None
    except jinja2.TemplateNotFound as error:
        msg = f"template {name}: there is no {error.name}"
        raise RenderError(msg) from None


def compiled_text(environment: jinja2.Environment, source: str, what: str) -> jinja2.Template:
    """Compile a short template that stands in the catalog itself, not in a file.

    Raises:
        RenderError: its syntax is wrong, or it uses an unknown filter; the text calls it `what`.
    """
    try:
        template = environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        msg = f"{what}: {error.message}"
        raise RenderError(msg) from None
    template.name = what
    return template


def shorter_way(template: jinja2.Template) -> QuickTemplate | None:
    """Compile the shorter way of a template, if it has one: it writes the same text, or fails."""
    return quick(template)


def rendered(template: jinja2.Template, context: dict[str, Any], shorter: QuickTemplate | None = None) -> str:
    """Run a template.

    Args:
        template: from `compiled`.
        context: every variable it may use, the globals of its environment included; it is not changed.
        shorter: the template's shorter way, which is tried first.

    Raises:
        RenderError: it does not fit the data; the text names template and missing variable, never a value.
    """
    if shorter is not None:
        try:
            return shorter.run(context)
        except FAILURES:
            pass  # the template says what is wrong, or writes the text
    environment = template.environment
    try:
        # What `template.render` does, without copying the context for each part of a message.
        own = environment.context_class(environment, context, template.name, template.blocks)
        return environment.concat(template.root_render_func(own))
    except MissingVariableError as error:
        what = f"variable {error.message} is missing or null"
        msg = f"template {template.name}: {what}; send it, or use `default`"
        raise RenderError(msg) from None
    except FAILURES as error:
        # The texts of other errors may quote values, so only their kind is told.
        msg = f"template {template.name}: {type(error).__name__}"
        raise RenderError(msg) from None
