"""Compiles MJML templates to HTML once, when the catalog is loaded; Jinja fills in the HTML for each mail.

Compiling after Jinja would cost a mail several times its rendering, and a value could become an element. So
each expression and statement of Jinja is taken out before and put back after, and it is checked that MJML has
kept all of them, statements in their order.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from tocsin.errors import CatalogError

MJML: Final = ".mjml"
"""Suffix of a part written in MJML: the file `html.mjml.j2` gives the part `html`."""

_ELEMENT: Final = re.compile(
    r"mjml|mj-(?:head|body|attributes|all|class|breakpoint|font|html-attributes?|selector|preview|style|title|"
    r"accordion|accordion-(?:element|title|text)|button|carousel|carousel-image|column|divider|group|hero|image|"
    r"navbar|navbar-link|raw|section|social|social-element|spacer|table|text|wrapper)"
)
_VOID: Final = re.compile(r"area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr")
_JINJA: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_ROOT: Final = re.compile(r"<mjml\b.*</mjml\s*>", re.DOTALL | re.IGNORECASE)
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG: Final = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][\w-]*)(?P<rest>[^<>]*)>")
_POSITION: Final = re.compile(r"position (\d+)")
# Letters and digits: MJML drops an address with other characters in it.
_MARK, _END = "qzjinja", "jinjazq"
_PLACE: Final = re.compile(f"{_MARK}(\\d+){_END}")


def compile_mjml(source: str, file: str) -> str:
    """Compile a template.

    Args:
        source: MJML with Jinja in it.
        file: where it is, for errors.

    Raises:
        CatalogError: `file:line` and the mistake: an element that is unknown or not closed, a statement of
            Jinja where MJML keeps no text, or the compiler is not installed.
    """
    if not find_spec("mjml"):
        msg = f"{file}:1: MJML needs its compiler: pip install '.[mjml]' in Tocsin's folder"
        raise CatalogError(msg)
    root = _ROOT.search(source)
    if root is None:
        msg = f"{file}:1: no <mjml> … </mjml> in it; write HTML in html.j2 instead"
        raise CatalogError(msg)
    template = _Template(root[0], file, source[: root.start()].count("\n") + 1)
    return source[: root.start()] + template.compiled() + source[root.end() :]


class _Template:
    """One template whose Jinja is taken out: `values` are what the marks stand for."""

    def __init__(self, source: str, file: str, first_line: int) -> None:
        self._file = file
        self._first_line = first_line
        self._values: list[str] = []
        self._text = _JINJA.sub(self._mark, source)

    def compiled(self) -> str:
        self._check_elements()
        try:
            html: str = import_module("mjml").mjml2html(self._text)
        except ValueError as error:
            found = _POSITION.search(str(error))
            at = len(self._text.encode()[: int(found[1])].decode("utf-8", "ignore")) if found else 0
            raise self._mistake(at, f"MJML cannot be compiled ({error})") from None
        self._check_kept(html)
        return _PLACE.sub(lambda match: self._values[int(match[1])], html)

    def _mark(self, found: re.Match[str]) -> str:
        if found[0].startswith("{#"):
            return "\n" * found[0].count("\n")
        self._values.append(found[0])
        return f"{_MARK}{len(self._values) - 1}{_END}"

    def _mistake(self, at: int, text: str) -> CatalogError:
        """Name the line of a place in the marked text: what the marks stand for may have lines of its own."""
        before = _PLACE.sub(lambda match: self._values[int(match[1])], self._text[:at])
        return CatalogError(f"{self._file}:{self._first_line + before.count(chr(10))}: {text}")

    def _check_elements(self) -> None:
        """Find elements that MJML would drop, and those that are not closed: it gives no line of them."""
        open_tags: list[tuple[str, int]] = []
        for name, kind, at in self._tags():
            if name.startswith("mj") and not _ELEMENT.fullmatch(name):
                cure = "use {% include %} of HTML in <mj-raw>" if name == "mj-include" else "correct its name"
                raise self._mistake(at, f"no element of MJML is called {name}; {cure}")
            if kind == "open":
                open_tags.append((name, at))
            elif kind == "close":
                opened, begun = open_tags.pop() if open_tags else ("", at)
                if opened != name:
                    what = (
                        f"<{opened}> is not closed before </{name}>"
                        if opened
                        else f"</{name}> closes nothing"
                    )
                    raise self._mistake(begun, f"{what}; correct the tags")
        if open_tags:
            name, at = open_tags[-1]
            raise self._mistake(at, f"<{name}> is not closed; write </{name}>")

    def _tags(self) -> Iterator[tuple[str, str, int]]:
        text = _COMMENT.sub(lambda match: " " * len(match[0]), self._text)
        for tag in _TAG.finditer(text):
            name = tag["name"].lower()
            single = bool(_VOID.fullmatch(name)) or tag["rest"].endswith("/")
            yield name, "close" if tag["end"] else "single" if single else "open", tag.start()

    def _check_kept(self, html: str) -> None:
        kept = [int(number) for number in _PLACE.findall(html)]
        lost = [number for number in range(len(self._values)) if number not in kept]
        statements = [number for number in kept if self._values[number].startswith("{%")]
        if lost:
            cure = "MJML keeps no text there: put it into a text, an attribute, or between elements"
        elif statements != sorted(set(statements)):
            lost = [one for at, one in enumerate(statements) if at and one <= statements[at - 1]]
            cure = "MJML moves or doubles what is there: put it between elements of the body"
        if lost:
            at = self._text.index(f"{_MARK}{lost[0]}{_END}")
            raise self._mistake(at, f"{self._values[lost[0]]}: {cure}")
