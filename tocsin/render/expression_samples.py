"""Holds the expressions of a catalog against the samples of its templates, which are the `data` of events.

A field that an expression reads must be in some sample, as those of templates must. An expression that reads
nothing but `data` must give what its place needs, with some sample that has all its fields.
"""

import codecs
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import nodes

from tocsin.catalog.expression_check import WrittenExpression, expressions_of
from tocsin.catalog.expressions import Expression, ExpressionError, Scope
from tocsin.catalog.files import Problem
from tocsin.catalog.loader import Entry, entries
from tocsin.catalog.sandbox import without_nulls
from tocsin.catalog.spec import NotificationSpec
from tocsin.render.names import Samples, data_path, holds
from tocsin.render.sandbox import sandbox
from tocsin.render.uses import DIGEST_SAMPLE, SAMPLE


class _Shown(NamedTuple):
    """The samples of a notification, and the file in which one may add to them."""

    samples: Samples
    file: str


def sample_problems(catalog: Path) -> list[Problem]:
    """List the expressions of a catalog that no sample suits. Without a sample nothing is said.

    Args:
        catalog: the catalog's folder; its files have no other mistakes.
    """
    return sorted({problem for entry in entries(catalog) for problem in _of_entry(catalog, entry)})


def _of_entry(catalog: Path, entry: Entry) -> Iterator[Problem]:
    shown = _shown(catalog, entry)
    for one in expressions_of(entry.notice) if shown.samples else ():
        if mistake := _mistake(one, shown):
            text = f"`{one.where[-1]}` {mistake} templates/{shown.file}"
            yield entry.document.problem((entry.name, *one.where), text)


def _mistake(one: WrittenExpression, shown: _Shown) -> str:
    """Say what is wrong with an expression and the cure, but for the name of the file; empty for nothing."""
    read = _fields(one.source)
    for path in sorted(read, key=len):
        if not any(holds(sample, path) for sample in shown.samples):
            return _unknown(path, shown.samples)
    whole = [sample for sample in shown.samples if all(holds(sample, path) for path in read)]
    failed = [text for sample in whole if (text := _failure(one, sample))]
    if not whole or len(failed) < len(whole):
        return ""
    return f"fails with each sample ({failed[0]}), correct it or"


def _unknown(path: tuple[str, ...], samples: Samples) -> str:
    names = {name for sample in samples for name in _names(sample, path[:-1])}
    close = difflib.get_close_matches(path[-1], sorted(names), 1)
    cure = f"write `{_spelled((*path[:-1], close[0]))}`" if close else "correct it"
    return f"reads `{_spelled(path)}`, which no sample has, {cure} or add it to"


def _spelled(path: tuple[str, ...]) -> str:
    return ".".join(("data", *path))


def _names(sample: Any, path: tuple[str, ...]) -> list[str]:
    for step in path:
        sample = sample.get(step) if isinstance(sample, dict) else None
    return list(sample) if isinstance(sample, dict) else []


def _failure(one: WrittenExpression, sample: Any) -> str:
    """Evaluate an expression; return why it fails, empty if it does not or reads more than `data`."""
    expression, scope = Expression(one.source), Scope({"data": without_nulls(sample)})
    evaluate = {
        "condition": expression.test,
        "key": expression.text,
        "time": expression.moment,
        "json": expression.json,
    }[one.gives]
    if expression.needs != {"data"}:
        return ""
    try:
        evaluate(scope)
    except ExpressionError as error:
        return str(error)
    return ""


def _fields(source: str) -> set[tuple[str, ...]]:
    """List the fields of `data` that an expression reads."""
    tree = sandbox({}).parse(f"{{{{ ({source}\n) }}}}")
    found = {data_path(node) for node in tree.find_all((nodes.Getattr, nodes.Getitem))}
    return {path for path in found if path}


def _shown(catalog: Path, entry: Entry) -> _Shown:
    """Read the samples of a notification's templates; of digests, the items where they are whole events."""
    notice, samples, file = entry.notice, Samples(), ""
    for template in _templates(entry.name, notice):
        file = file or f"{template}/{SAMPLE}"
        samples += _read(catalog, entry.home, f"{template}/{SAMPLE}")
    if notice.digest is not None and notice.digest.items is None:
        digests = _read(
            catalog, entry.home, f"{notice.digest.template or notice.template or entry.name}/{DIGEST_SAMPLE}"
        )
        samples += [
            item for digest in digests if isinstance(digest, dict) for item in digest.get("items") or ()
        ]
    return _Shown(samples, file)


def _templates(name: str, notice: NotificationSpec) -> list[str]:
    own = notice.template or name
    return list(dict.fromkeys([own, *(arm.template for arm in notice.variants if arm.template)]))


def _read(catalog: Path, home: str, name: str) -> Samples:
    """Read a file of samples, the tenant's own first; one that is missing or broken is told elsewhere."""
    for folder in (catalog / home / "templates", catalog / "templates"):
        try:
            found = msgspec.json.decode((folder / name).read_bytes().removeprefix(codecs.BOM_UTF8))
        except FileNotFoundError:
            continue
        except msgspec.DecodeError:
            return []
        return found if isinstance(found, list) else [found]
    return []
