"""Writes the accounts of the demo: one of each vendor that its sandbox plays."""

from pathlib import Path
from typing import Final

import yaml

_SANDBOX_SID: Final = "AC" + "0" * 32


def write_accounts(folder: Path, sandbox: str, smtp: str) -> None:
    """Write `providers.yaml` of the accounts at the sandbox; their secrets are files beside it."""
    host, _, port = smtp.rpartition(":")
    accounts = {
        "smtp": {"vendor": "smtp", "host": host, "port": int(port), "security": "plain"},
        "sendgrid": {
            "vendor": "sendgrid",
            "api_key_file": _secret(folder / "sendgrid.key", "SG.demo"),
            "base_url": f"{sandbox}/sendgrid",
        },
        "twilio": {
            "vendor": "twilio",
            "account_sid": _SANDBOX_SID,
            "auth_token_file": _secret(folder / "twilio.token", "demo"),
            "base_url": f"{sandbox}/twilio",
            "status_callback": f"{sandbox}/callback",
        },
        "fcm": {
            "vendor": "fcm",
            "credentials_file": str(folder / "servers/sandbox/fcm-service-account.json"),
            "base_url": f"{sandbox}/fcm",
            "token_url": f"{sandbox}/fcm/token",
        },
        "browsers": {
            "vendor": "webpush",
            "key_file": str(folder / "servers/sandbox/vapid.pem"),
            "subject": "mailto:push@skylark.example",
            "hosts": ["127.0.0.1"],
            "allow_private": True,
        },
        "inapp": {"vendor": "inapp"},
    }
    (folder / "providers.yaml").write_text(yaml.safe_dump({"accounts": accounts}))


def _secret(file: Path, value: str) -> str:
    file.write_text(value)
    return file.name
