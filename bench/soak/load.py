"""What a soak sends: a catalog of three channels with a policy each, accounts, profiles, events."""

import copy
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from bench.fleet import ROOT, Record
from bench.soak.plan import CHANNELS
from tocsin.model import topics
from tocsin.model.unanswered import OnUnknown

POLICIES: dict[str, OnUnknown] = {"sms": "ask_or_drop", "push": "drop", "email": "resend"}
"""What follows a call without an answer: all that exclude a second send, and one that does not."""
_EXAMPLE = ROOT / "examples/flights/templates"
_DATA = json.loads((_EXAMPLE / "flight_cancelled/sample.json").read_text())[0]
_TENANT: dict[str, Any] = {
    "categories": {f"of_{channel}": {"on_unknown": policy} for channel, policy in POLICIES.items()},
    "limits": [],
    "locale": "en",
    "providers": {"sms": ["twilio"], "push": ["fcm"], "email": ["smtp", "sendgrid"]},
    "senders": {"email": "a@shop.example", "sms": "+15005550006"},
    "branding": {"name": "Shop"},
}


def write_catalog(folder: Path, files_url: str = "https://files.example") -> Path:
    """Write a notification a channel, of one template; e-mails bring a file, and one from a server."""
    shutil.copytree(_EXAMPLE / "flight_cancelled", folder / "templates/welcome")
    shutil.copytree(_EXAMPLE / "_layout", folder / "templates/_layout")
    notifications: dict[str, dict[str, Any]] = {
        f"welcome_{channel}": {
            "on": {"type": f"order.shipped.{channel}"},
            "category": f"of_{channel}",
            "priority": "normal",
            "channels": [channel],
            "template": "welcome",
        }
        for channel in CHANNELS
    }
    notifications["welcome_email"]["attachments"] = [
        {"file": "terms.txt"},
        {"url": f"{files_url}/healthz?{{{{ data.booking }}}}", "name": "status.json"},
    ]
    (folder / "attachments").mkdir()
    (folder / "attachments/terms.txt").write_text("Terms of use\n" * 500)
    for name, content in (("notifications/welcome.yaml", notifications), ("tenants/default.yaml", _TENANT)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content))
    return folder


def write_accounts(file: Path, http: str, smtp_port: int, service_account: Path) -> None:
    """Write an account for each vendor; mails go by two that share them."""
    accounts = {
        "smtp": {
            "vendor": "smtp",
            "host": "127.0.0.1",
            "port": smtp_port,
            "security": "plain",
            "weight": 1,
            "timeout_s": 10,
        },
        "sendgrid": {
            "vendor": "sendgrid",
            "api_key": "SG.soak",
            "base_url": f"{http}/sendgrid",
            "weight": 1,
        },
        "twilio": {
            "vendor": "twilio",
            "account_sid": "AC" + "0" * 32,
            "auth_token": "soak",
            "base_url": f"{http}/twilio",
            "status_callback": f"{http}/callback",  # which names the message to the sandbox
        },
        "fcm": {
            "vendor": "fcm",
            "credentials_file": str(service_account),
            "base_url": f"{http}/fcm",
            "token_url": f"{http}/fcm/token",
        },
    }
    file.write_text(yaml.safe_dump({"accounts": accounts}))


def events(users: int) -> Iterator[Record]:
    """Make events without end: users and channels take turns, and no two texts are equal."""
    number = 0
    while True:
        user = f"u{number * 7_919 % users}"
        data = copy.deepcopy(_DATA)
        data["flight"]["number"], data["booking"] = f"DL {number}", f"{number:06d}"
        event = {
            "specversion": "1.0",
            "id": str(number),
            "source": "/soak",
            "type": f"order.shipped.{CHANNELS[number % len(CHANNELS)]}",
            "subject": user,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "data": data,
        }
        yield topics.EVENTS, f"default/{user}".encode(), json.dumps(event).encode()
        number += 1
