"""Finds secrets that `providers.yaml` holds itself, where a reference would keep them out of its copies."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, SecretStr

from tocsin.providers.account_lines import Lines, Place
from tocsin.providers.registry import vendors

_REFERENCES = ("${", "env:")
_OFTEN_WITHOUT = frozenset({"proxy"})
"""Fields that may hold a secret, and most often do not."""


def clear_secrets(path: Path) -> list[str]:
    """Name each secret of the file that is no reference, with its line; no text shows a value.

    Args:
        path: of a file that `load_accounts` takes.
    """
    text = path.read_text(encoding="utf-8")
    lines, known = Lines(path, text), vendors()
    accounts: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)["accounts"]
    found = [
        (name, *place)
        for name, account in accounts.items()
        for place in _clear(known[account["vendor"]].account, account)
    ]
    return [f"{lines.at(('accounts', *place))}: accounts.{'.'.join(place)}: {_CURE}" for place in found]


_CURE = "is a secret in clear; write ${NAME} of an environment variable, or name a file in <field>_file"


def _clear(model: type[BaseModel], given: Mapping[str, Any]) -> Iterator[Place]:
    for name, field in model.model_fields.items():
        value = given.get(name)
        for kind in _kinds(field.annotation):
            if isinstance(value, dict) and issubclass(kind, BaseModel):
                yield from ((name, *place) for place in _clear(kind, value))
            elif kind is SecretStr and name not in _OFTEN_WITHOUT and _is_clear(value):
                yield (name,)


def _kinds(annotation: Any) -> Iterator[type]:
    """Yield the classes of an annotation, such as both of `Dkim | None`."""
    if inside := get_args(annotation):
        for each in inside:
            yield from _kinds(each)
    elif isinstance(annotation, type):
        yield annotation


def _is_clear(value: object) -> bool:
    if isinstance(value, list):
        return any(_is_clear(each) for each in value)
    return isinstance(value, str) and value != "" and not any(word in value for word in _REFERENCES)
