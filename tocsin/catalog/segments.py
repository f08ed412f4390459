"""Checks segments: the users of a tenant to whom a broadcast may go, as an expression over `user`."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tocsin.catalog.expressions import Expression, ExpressionError
from tocsin.catalog.files import Document, Problem

VARIABLES: Final = frozenset({"user"})
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


def segment_problems(document: Document, segments: Mapping[str, str]) -> Iterator[Problem]:
    """Name what is wrong with the segments of a tenant."""
    for name, source in segments.items():
        where = ("segments", name)
        if not _NAME.match(name):
            text = f"`{name}` is no name, use letters, digits, dot, dash and underscore, at most 64"
            yield document.problem(where, text)
        try:
            Expression(source, VARIABLES)
        except ExpressionError as error:
            what, _, cure = str(error).partition(": ")
            yield document.problem(where, f"segment `{name}` is wrong: {what}, {cure}")
