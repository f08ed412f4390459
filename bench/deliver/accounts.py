"""The account of each channel, as in `providers.yaml`, and where its vendor takes messages."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from tocsin.devkit.sandbox.keys import FCM_FILE, service_account


class Server(NamedTuple):
    """Where the provider of the bench listens; `ca_pem` is its certificate, empty without TLS."""

    url: str
    ca_pem: str = ""


def account_of(channel: str, server: Server, folder: Path, in_flight: int) -> dict[str, Any]:
    """Make the account of a channel; with 0 in flight it has as many connections as it has by default."""
    common = {"base_url": server.url, "ca": server.ca_pem, "rate_per_s": 1e6}
    if in_flight:
        common["max_connections"] = in_flight
    if channel == "email":
        return common | {"vendor": "sendgrid", "api_key": "bench"}
    if channel == "sms":
        return common | {"vendor": "twilio", "account_sid": "AC" + "0" * 32, "auth_token": "bench"}
    service_account(folder, f"{server.url}/token")
    credentials = (folder / FCM_FILE).read_text()
    return common | {"vendor": "fcm", "credentials": credentials, "token_url": f"{server.url}/token"}


def request_of(channel: str, account: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Give URL and headers of a send, as a hand-written worker would have them."""
    url = account["base_url"]
    if channel == "email":
        return f"{url}/v3/mail/send", {"authorization": "Bearer bench"}
    if channel == "sms":
        return f"{url}/2010-04-01/Accounts/{account['account_sid']}/Messages.json", {
            "authorization": "Basic eA=="
        }
    project = json.loads(account["credentials"])["project_id"]
    return f"{url}/v1/projects/{project}/messages:send", {"authorization": "Bearer bench"}
