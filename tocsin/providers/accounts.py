"""Provider accounts: the file `providers.yaml`, checked, and the adapters built from it.

```yaml
accounts:
  sendgrid-main: {vendor: sendgrid, api_key: "${SENDGRID_KEY}"}
  fcm-main: {vendor: fcm, credentials_file: firebase.json}
  inapp: {vendor: inapp}
```

`${NAME}` stands for a variable that the caller passes in. `<field>_file: path` reads a field from a file; its
path starts at this file's folder. No message of an error shows a value.
"""

import re
from collections.abc import Container, Iterable, Mapping
from functools import lru_cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model
from redis.asyncio import Redis

from tocsin.errors import SettingsError
from tocsin.providers.base import Provider
from tocsin.providers.http import Clock
from tocsin.providers.registry import OpenTransport, Parts, vendors
from tocsin.providers.transports import open_transport
from tocsin.providers.vendor import Account

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Accounts(BaseModel):
    """Every account, by the name that catalogs and outcomes use."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    accounts: dict[Name, Account]


@lru_cache(maxsize=8)
def _accounts_of(models: tuple[type[Account], ...]) -> type[Accounts]:
    """Build the model of a file whose accounts have one of these models, told apart by `vendor`."""
    union: Any = reduce(or_, models)
    each = Annotated[union, Field(discriminator="vendor")]
    by_name: Any = dict[Name, each]
    return create_model("Accounts", __base__=Accounts, accounts=(by_name, ...))


def load_accounts(path: Path, variables: Mapping[str, str]) -> Accounts:
    """Read and check the accounts.

    Raises:
        SettingsError: the file, a file or variable it names, or a field is missing or wrong. The text names
            file, field and cure, for all mistakes at once, and shows no value.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); write the accounts there or set TOCSIN_PROVIDERS"
        raise SettingsError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path}: is not UTF-8; save it as UTF-8"
        raise SettingsError(msg) from None
    except yaml.YAMLError as error:
        raise SettingsError(_yaml_mistake(path, error)) from None
    return parse_accounts(document, variables, path)


def parse_accounts(document: object, variables: Mapping[str, str], path: Path) -> Accounts:
    """Check accounts that were read already; `path` names them in errors and is where their files lie."""
    filled = _Filler(path, variables).fill(document, "")
    known = vendors()
    model = _accounts_of(tuple(vendor.account for vendor in known.values()))
    try:
        return model.model_validate(filled)
    except ValidationError as error:
        lines = [f"{path}: {_place(item['loc'], known)}: {_said(item, known)}" for item in _mistakes(error)]
        raise SettingsError("\n".join(lines)) from None


def build(
    accounts: Accounts,
    *,
    clock: Clock,
    redis: Redis | None = None,
    transport: OpenTransport = open_transport,
) -> dict[str, Provider]:
    """Make the adapters. Each has a transport of its own, so that a slow vendor takes no other's connections.

    Args:
        accounts: what `load_accounts` gave.
        clock: wall time in seconds.
        redis: where inboxes live, needed if there is an account of vendor `inapp`; and where processes share
            the provider tokens of Apple.
        transport: opens the HTTP transport of an account.

    Raises:
        SettingsError: an `inapp` account without Redis.
    """
    known = vendors()
    owned = [known[account.vendor].owns for account in accounts.accounts.values()]
    parts = Parts(clock, redis, transport, frozenset().union(*owned))
    return {
        name: known[account.vendor].build(name, account, parts) for name, account in accounts.accounts.items()
    }


class _Filler:
    """Puts in what `${NAME}` and `<field>_file` stand for, after parsing: a value can never become YAML."""

    def __init__(self, path: Path, variables: Mapping[str, str]) -> None:
        self._path = path
        self._variables = variables

    def fill(self, value: object, place: str) -> object:
        if isinstance(value, str):
            return _VARIABLE.sub(lambda match: self._variable(match.group(1), place), value)
        if isinstance(value, list):
            return [self.fill(item, f"{place}[{index}]") for index, item in enumerate(value)]
        if isinstance(value, dict):
            return dict([self._field(str(name), item, f"{place}.{name}") for name, item in value.items()])
        return value

    def _field(self, name: str, value: object, place: str) -> tuple[str, object]:
        filled = self.fill(value, place)
        field = name.removesuffix("_file")
        if field == name or not isinstance(filled, str):
            return name, filled
        return field, self._read(filled, place)

    def _variable(self, name: str, place: str) -> str:
        if name in self._variables:
            return self._variables[name]
        msg = f"{self._path}: {place.lstrip('.')}: the variable {name} is not set; set it in the environment"
        raise SettingsError(msg)

    def _read(self, name: str, place: str) -> str:
        try:
            return (self._path.parent / name).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            msg = f"{self._path}: {place.lstrip('.')}: the file named cannot be read; correct the path"
            raise SettingsError(msg) from None


def _yaml_mistake(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    return f"{path}{line}: is not YAML; fix it there (quote values that begin with a special character)"


def _mistakes(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_input=False, include_context=False))


def _place(location: tuple[int | str, ...], known: Container[str]) -> str:
    """Write where a mistake is, without the names of unions that pydantic puts in between."""
    words = [str(word) for index, word in enumerate(location) if index != 2 or word not in known]
    return ".".join(words) or "the file"


def _said(item: Mapping[str, Any], known: Iterable[str]) -> str:
    cure = {
        "extra_forbidden": "is not a field of this vendor; remove it or correct its name",
        "missing": "is missing; add it",
        "union_tag_invalid": f"names no vendor we know; use one of {', '.join(known)}",
        "union_tag_not_found": f"says no vendor; add `vendor:` and one of {', '.join(known)}",
        "string_pattern_mismatch": "does not have the form it should",
    }
    return cure.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
