"""Finds the line of a template at which rendering failed."""

from typing import NamedTuple

import jinja2

from tocsin.errors import RenderError


class FailingLine(NamedTuple):
    """A template by name, and a line of it."""

    template: str
    line: int


def failing_line(error: RenderError) -> FailingLine | None:
    """Find the innermost template that was running, and its line; None if none was.

    The error says which template of the message failed. The line may be in one that it extends or includes.
    """
    found = None
    cause = error.__context__
    traceback = cause.__traceback__ if cause is not None else None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template) and template.name:
            found = FailingLine(template.name, template.get_corresponding_lineno(traceback.tb_lineno))
        traceback = traceback.tb_next
    return found
