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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from redis.asyncio import Redis

from tocsin.errors import SettingsError
from tocsin.providers.apns import Apns, ApnsAccount
from tocsin.providers.apple_token import RedisTokenShare
from tocsin.providers.base import Provider
from tocsin.providers.fcm import Fcm, FcmAccount
from tocsin.providers.http import Clock, HttpPolicy, Transport
from tocsin.providers.inapp import InApp, InAppAccount
from tocsin.providers.inbox import Inbox, InboxPolicy
from tocsin.providers.sendgrid import SendGrid, SendGridAccount
from tocsin.providers.smtp_mail import SmtpAccount, SmtpMail
from tocsin.providers.transports import open_transport
from tocsin.providers.twilio_sms import TwilioAccount, TwilioSms

AnyAccount = Annotated[
    SendGridAccount | TwilioAccount | FcmAccount | ApnsAccount | SmtpAccount | InAppAccount,
    Field(discriminator="vendor"),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
OpenTransport = Callable[[HttpPolicy], Transport]

VENDORS = ("sendgrid", "twilio", "fcm", "apns", "smtp", "inapp")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Accounts(BaseModel):
    """Every account, by the name that catalogs and outcomes use."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    accounts: dict[Name, AnyAccount]


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
    try:
        return Accounts.model_validate(filled)
    except ValidationError as error:
        lines = [f"{path}: {_place(item['loc'])}: {_said(item)}" for item in _mistakes(error)]
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
    apple = any(isinstance(account, ApnsAccount) for account in accounts.accounts.values())
    parts = _Parts(clock, redis, transport, frozenset({"android"} if apple else {"android", "ios"}))
    return {name: _adapter(name, account, parts) for name, account in accounts.accounts.items()}


def inbox_policies(path: Path, variables: Mapping[str, str]) -> list[InboxPolicy]:
    """Tell which inboxes there are: those of the in-app accounts; without a file of accounts, the usual one.

    Raises:
        SettingsError: as `load_accounts`, where the file is there.
    """
    if not path.exists():
        return [InboxPolicy()]
    accounts = load_accounts(path, variables).accounts.values()
    return [account.policy() for account in accounts if isinstance(account, InAppAccount)]


class _Parts(NamedTuple):
    clock: Clock
    redis: Redis | None
    transport: OpenTransport
    google: frozenset[str]


def _adapter(name: str, account: AnyAccount, parts: _Parts) -> Provider:
    if isinstance(account, SmtpAccount):
        return SmtpMail(name, account)
    if isinstance(account, InAppAccount):
        return InApp(name, account, Inbox(_needed(parts.redis, name), account.policy()))
    transport = parts.transport(account.http_policy())
    match account:
        case SendGridAccount():
            return SendGrid(name, account, transport, parts.clock)
        case TwilioAccount():
            return TwilioSms(name, account, transport, parts.clock)
        case FcmAccount():
            return Fcm(name, account, transport, parts.clock, platforms=parts.google)
        case ApnsAccount():
            share = RedisTokenShare(parts.redis) if parts.redis else None
            return Apns(name, account, transport, parts.clock, share)


def _needed(redis: Redis | None, name: str) -> Redis:
    if redis is None:
        msg = f"account {name}: in-app notifications need Redis; set TOCSIN_REDIS or remove the account"
        raise SettingsError(msg)
    return redis


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


def _place(location: tuple[int | str, ...]) -> str:
    """Write where a mistake is, without the names of unions that pydantic puts in between."""
    words = [str(word) for index, word in enumerate(location) if index != 2 or word not in VENDORS]
    return ".".join(words) or "the file"


def _said(item: Mapping[str, Any]) -> str:
    cure = {
        "extra_forbidden": "is not a field of this vendor; remove it or correct its name",
        "missing": "is missing; add it",
        "union_tag_invalid": f"names no vendor we know; use one of {', '.join(VENDORS)}",
        "union_tag_not_found": f"says no vendor; add `vendor:` and one of {', '.join(VENDORS)}",
        "string_pattern_mismatch": "does not have the form it should",
    }
    return cure.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
