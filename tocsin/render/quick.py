"""Runs templates by a shorter way, where it gives the same text.

A template is compiled with all it extends (`tocsin.render.flat`), and its fields are read as items of dicts,
which the data of an event is made of. Where that fails, for a field that is missing or a value of another
kind, the template runs as Jinja2 compiles it: it then writes the text, or says what is wrong.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from markupsafe import Markup, escape

from tocsin.render.flat import NotFlat, flattened

Root = Callable[[Context], Iterator[str]]
_ASKS_IF_THERE: Final = frozenset({"defined", "undefined", "none"})
_STANDS_IN: Final = frozenset({"default", "d"})
_special: Final = re.compile("[&<>'\"]").search


class QuickTemplate:
    """A template that runs by the shorter way.

    Args:
        template: as Jinja2 compiled it.
        root: writes it by the shorter way.
    """

    def __init__(self, template: jinja2.Template, root: Root) -> None:
        self._root = root
        self._environment, self._name = template.environment, template.name
        self._eval_context = EvalContext(self._environment, template.name)

    def run(self, variables: dict[str, Any]) -> str:
        """Write the text; raises whatever a field or value that does not fit gives rise to."""
        context = Context.__new__(Context)  # its constructor takes as long as a subject
        context.parent, context.vars, context.exported_vars = variables, {}, set()
        context.environment, context.eval_ctx = self._environment, self._eval_context
        context.name, context.blocks = self._name, {}
        return "".join(self._root(context))


def quick(template: jinja2.Template) -> QuickTemplate | None:
    """Compile the shorter way of a template; None where there is none."""
    environment, name = template.environment, template.name
    assert name is not None, "it came from a loader"
    try:
        tree = flattened(environment, name)
    except (NotFlat, jinja2.TemplateError):  # a mistake is told where the template runs
        return None
    generator = _QuickCode(environment, name, name)
    generator.visit(tree)
    space: dict[str, Any] = {"environment": environment, "quick_text": _text, "quick_html": _html}
    code = compile(generator.stream.getvalue(), name, "exec")  # type: ignore[attr-defined]  # a StringIO
    exec(code, space)  # noqa: S102  # what Jinja2 does with the code that it writes
    return QuickTemplate(template, space["root"])


def _text(value: Any) -> str:
    """Write a value; a null is left to Jinja2, which says where it is."""
    if type(value) is str:
        return value
    if value is None:
        raise TypeError
    return str(value)


def _html(value: Any) -> str:
    """Write a value with the characters escaped that mean something in HTML."""
    if type(value) is str:
        return str(escape(value)) if _special(value) else value
    if value is None:
        raise TypeError
    return str(value if isinstance(value, Markup) else escape(value))


class _QuickCode(CodeGenerator):
    """Writes `data["flight"]` for `data.flight`, and calls fewer functions around a value."""

    _direct = True

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # Jinja2's name
        """Read a field of a dict."""
        if not self._direct or not _is_field(node):
            super().visit_Getattr(node, frame)
            return
        self.visit(node.node, frame)
        self.write(f"[{node.attr!r}]")

    def visit_Test(self, node: nodes.Test, frame: Frame) -> None:
        """Leave what may be missing to Jinja2."""
        with_care = node.name in _ASKS_IF_THERE
        self._carefully(super().visit_Test, node, frame) if with_care else super().visit_Test(node, frame)

    def visit_Filter(self, node: nodes.Filter, frame: Frame) -> None:
        """Leave what may be missing to Jinja2."""
        with_care = node.name in _STANDS_IN
        self._carefully(super().visit_Filter, node, frame) if with_care else super().visit_Filter(node, frame)

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:
        """Leave methods to Jinja2."""
        self._carefully(partial(super().visit_Call, forward_caller=forward_caller), node, frame)

    def _carefully(self, visit: Callable[..., object], node: nodes.Node, frame: Frame) -> None:
        before, self._direct = self._direct, False
        visit(node, frame)
        self._direct = before

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("quick_html(" if frame.eval_ctx.autoescape else "quick_text(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile:
            super()._output_child_post(node, frame, finalize)
        else:
            self.write(")")


def _is_field(node: nodes.Getattr) -> bool:
    """Whether a path begins with a name; `loop` is no dict."""
    start: nodes.Node = node
    while isinstance(start, nodes.Getattr):
        start = start.node
    return isinstance(start, nodes.Name) and start.name != "loop"
