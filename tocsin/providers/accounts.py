"""Provider accounts: the file `providers.yaml`, checked, and the adapters built from it.

```yaml
accounts:
  sendgrid-main: {vendor: sendgrid, api_key: "${SENDGRID_KEY}"}
  fcm-main: {vendor: fcm, credentials_file: firebase.json}
  inapp: {vendor: inapp}
```

`${NAME}` stands for a variable that the caller passes in; `env:NAME` as a whole value is the same.
`<field>_file: path` reads a field from a file; its path starts at this file's folder. No message of an error
shows a value.
"""

import re
from collections.abc import Collection, Container, Iterable, Mapping
from functools import lru_cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model
from redis.asyncio import Redis

from tocsin.errors import SettingsError
from tocsin.providers.account_lines import Lines, Place
from tocsin.providers.alert_settings import AlertSettings
from tocsin.providers.base import Provider
from tocsin.providers.http import Clock
from tocsin.providers.registry import OpenTransport, Parts, vendors
from tocsin.providers.transports import open_transport
from tocsin.providers.vendor import Account

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WHOLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


class Accounts(BaseModel):
    """Every account, by the name that catalogs and outcomes use."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    accounts: dict[Name, Account]
    alerts: AlertSettings | None = None


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
    document, lines = _read(path)
    return parse_accounts(document, variables, path, lines)


def load_account(path: Path, variables: Mapping[str, str], name: str) -> Accounts:
    """Read one account; mistakes in the others, and variables that they lack, do not matter.

    Raises:
        SettingsError: as `load_accounts`, and if there is no account of that name.
    """
    document, lines = _read(path)
    named = document.get("accounts") if isinstance(document, dict) else None
    found = {str(each): account for each, account in named.items()} if isinstance(named, dict) else {}
    if name not in found:
        there = f"there are: {', '.join(sorted(found))}" if found else "the file has none"
        msg = f"{path}: there is no account {name}; {there}"
        raise SettingsError(msg)
    return parse_accounts({"accounts": {name: found[name]}}, variables, path, lines)


def load_accounts_of(path: Path, variables: Mapping[str, str], vendor: str) -> Accounts:
    """Read the accounts of one vendor; variables that the others lack do not matter.

    Raises:
        SettingsError: as `load_accounts`.
    """
    document, lines = _read(path)
    named = document.get("accounts") if isinstance(document, dict) else None
    found = {
        name: account
        for name, account in (named.items() if isinstance(named, dict) else ())
        if isinstance(account, dict) and account.get("vendor") == vendor
    }
    return parse_accounts({"accounts": found}, variables, path, lines)


def _read(path: Path) -> tuple[object, Lines]:
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text), Lines(path, text)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); write the accounts there or set TOCSIN_PROVIDERS"
        raise SettingsError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path}: is not UTF-8; save it as UTF-8"
        raise SettingsError(msg) from None
    except yaml.YAMLError as error:
        raise SettingsError(_yaml_mistake(path, error)) from None


def parse_accounts(
    document: object, variables: Mapping[str, str], path: Path, lines: Lines | None = None
) -> Accounts:
    """Check accounts that were read already.

    Args:
        document: what the file holds.
        variables: values of `${NAME}` in it, by name.
        path: names the file in errors; files that it names lie beside it.
        lines: the line of each field, for errors; without them, errors name the file alone.

    Raises:
        SettingsError: a field is missing or wrong; the text names each one, with its cure.
    """
    lines = lines or Lines(path)
    filled = _Filler(path, variables, lines).fill(document, ())
    known = vendors()
    model = _accounts_of(tuple(vendor.account for vendor in known.values()))
    try:
        accounts = model.model_validate(filled)
    except ValidationError as error:
        found = [(_place(item["loc"], known), _sentence(item, known)) for item in _mistakes(error)]
        raise _mistaken(found, lines) from None
    if accounts.alerts is not None:
        channels = {
            name: known[account.vendor].channel_of(account) for name, account in accounts.accounts.items()
        }
        if wrong := list(accounts.alerts.mistakes(channels)):
            raise _mistaken(wrong, lines)
    return accounts


def _mistaken(found: Iterable[tuple[Place, str]], lines: Lines) -> SettingsError:
    told = [f"{lines.at(place)}: {'.'.join(place) or 'the file'}: {said}" for place, said in found]
    return SettingsError("\n".join(told))


def build(
    accounts: Accounts,
    *,
    clock: Clock,
    redis: Redis | None = None,
    transport: OpenTransport = open_transport,
    secret: bytes = b"",
    names: Collection[str] | None = None,
) -> dict[str, Provider]:
    """Make the adapters. Each has a transport of its own, so that a slow vendor takes no other's connections.

    Args:
        accounts: what `load_accounts` gave.
        clock: wall time in seconds.
        redis: where inboxes live, needed if there is an account of vendor `inapp`; and where processes share
            the provider tokens of Apple.
        transport: opens the HTTP transport of an account.
        secret: `TOCSIN_SECRET`, which seals the return paths of mails.
        names: the accounts to make adapters of; None for all.

    Raises:
        SettingsError: an `inapp` account without Redis.
    """
    known = vendors()
    owned = [known[account.vendor].owns for account in accounts.accounts.values()]
    parts = Parts(clock, redis, transport, frozenset().union(*owned), secret)
    return {
        name: known[account.vendor].build(name, account, parts)
        for name, account in accounts.accounts.items()
        if names is None or name in names
    }


class _Filler:
    """Puts in what `${NAME}`, `env:NAME` and `<field>_file` stand for; no value can become YAML."""

    def __init__(self, path: Path, variables: Mapping[str, str], lines: Lines) -> None:
        self._path = path
        self._variables = variables
        self._lines = lines

    def fill(self, value: object, place: Place) -> object:
        if isinstance(value, str):
            if whole := _WHOLE.fullmatch(value):
                return self._variable(whole.group(1), place)
            return _VARIABLE.sub(lambda match: self._variable(match.group(1), place), value)
        if isinstance(value, list):
            return [self.fill(item, (*place, str(index))) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return dict([self._field(str(name), item, (*place, str(name))) for name, item in value.items()])
        return value

    def _field(self, name: str, value: object, place: Place) -> tuple[str, object]:
        filled = self.fill(value, place)
        field = name.removesuffix("_file")
        if field == name or not isinstance(filled, str):
            return name, filled
        return field, self._read(filled, place)

    def _variable(self, name: str, place: Place) -> str:
        if name in self._variables:
            return self._variables[name]
        raise self._mistake(place, f"the variable {name} is not set; set it in the environment")

    def _read(self, name: str, place: Place) -> str:
        try:
            return (self._path.parent / name).read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            raise self._mistake(place, "the file named cannot be read; correct the path") from None

    def _mistake(self, place: Place, text: str) -> SettingsError:
        return SettingsError(f"{self._lines.at(place)}: {'.'.join(place)}: {text}")


def _yaml_mistake(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    return f"{path}{line}: is not YAML; fix it there (quote values that begin with a special character)"


def _mistakes(error: ValidationError) -> list[Any]:
    return list(error.errors(include_url=False, include_input=False, include_context=False))


def _place(location: tuple[int | str, ...], known: Container[str]) -> Place:
    """Name where a mistake is, without the names of unions that pydantic puts in between."""
    return tuple([str(word) for index, word in enumerate(location) if index != 2 or word not in known])


def _sentence(item: Mapping[str, Any], known: Iterable[str]) -> str:
    owner = "this file" if len(item["loc"]) == 1 else "this vendor"
    cure = {
        "extra_forbidden": f"is not a field of {owner}; remove it or correct its name",
        "missing": "is missing; add it",
        "union_tag_invalid": f"names no vendor we know; use one of {', '.join(known)}",
        "union_tag_not_found": f"says no vendor; add `vendor:` and one of {', '.join(known)}",
        "string_pattern_mismatch": "does not have the form it should",
    }
    return cure.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
