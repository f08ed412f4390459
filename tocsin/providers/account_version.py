"""Names a version of the provider accounts for the audit log, without their secrets."""

import hmac
from collections.abc import Mapping
from hashlib import blake2b

from pydantic import BaseModel, SecretStr

from tocsin.providers.vendor import Account


def version_of(accounts: Mapping[str, Account], secret: bytes) -> str:
    """Return 12 hex digits that change with any setting of any account, its secrets and its place among them.

    Without `secret`, the process's own, nobody can tell from them whether a guessed password is right.
    """
    spelled = repr([(name, _spelled(account)) for name, account in accounts.items()])
    return hmac.digest(secret, spelled.encode(), blake2b).hex()[:12]


def facts_of(accounts: Mapping[str, Account]) -> list[str]:
    """List the accounts in their order, each with its vendor: `mail-main (sendgrid)`."""
    return [f"{name} ({account.vendor})" for name, account in accounts.items()]


def _spelled(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return [(name, _spelled(field)) for name, field in value]
    if isinstance(value, Mapping):
        return [(name, _spelled(field)) for name, field in value.items()]
    return value
