"""A running sandbox as tests see it."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt

from tests.waiting import PATIENCE_S
from tocsin.devkit.processes import death_signal

MESSAGE_ID = "0123456789abcdef0123456789abcdef"
ACCOUNT = "AC" + "0" * 32
SENDER = "+15005550006"
TOKEN = "fcm-token:APA91bExample_token-0001"
DEVICE = "0f" * 32


class Box:
    """One sandbox: its folder, its addresses and a client of its HTTP port."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], addresses: dict[str, Any]) -> None:
        self.folder = folder
        self.process = process
        self.url: str = addresses["http"]
        self.smtp_port: int = addresses["smtp_port"]
        self.h2: str = addresses["h2"]
        self.http = httpx2.Client(base_url=self.url, timeout=PATIENCE_S)
        self._access_token = ""

    def send_log(self) -> list[dict[str, Any]]:
        """Read the sent log."""
        return [json.loads(line) for line in (self.folder / "sent.jsonl").read_text().splitlines()]

    def order(self, fault: dict[str, Any], **more: Any) -> int:
        """Order a fault; its id."""
        answer = self.http.post("/faults", json={"fault": fault, **more})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def sent(self, **query: Any) -> list[dict[str, Any]]:
        """List messages with their content."""
        answer = self.http.get("/sent", params={"content": 1, **query})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["messages"]
        return found

    # one right call of each provider
    def sendgrid(self, mail: object = None, key: str = "SG.test") -> httpx2.Response:
        """Send a mail."""
        body = mail_document() if mail is None else mail
        return self.http.post("/sendgrid/v3/mail/send", json=body, headers={"authorization": f"Bearer {key}"})

    def twilio(self, account: str = ACCOUNT, token: str = "token", **form: Any) -> httpx2.Response:
        """Send a text message."""
        return self.http.post(
            f"/twilio/2010-04-01/Accounts/{account}/Messages.json",
            data={"To": "+4915112345678", "From": SENDER, "Body": "Hello"} | form,
            auth=(account, token),
        )

    def call(self, **form: Any) -> httpx2.Response:
        """Call a phone."""
        said = "<Response><Say>Hello</Say></Response>"
        return self.http.post(
            f"/twilio/2010-04-01/Accounts/{ACCOUNT}/Calls.json",
            data={"To": "+4915112345678", "From": SENDER, "Twiml": said} | form,
            auth=(ACCOUNT, "token"),
        )

    def fcm(self, message: object = None, **more: Any) -> httpx2.Response:
        """Send a push."""
        message = push_document() if message is None else message
        return self.http.post(
            "/fcm/v1/projects/tocsin-sandbox/messages:send",
            json={"message": message, **more},
            headers={"authorization": f"Bearer {self.access_token()}"},
        )

    def access_token(self) -> str:
        """Get an access token once."""
        if not self._access_token:
            answer = self.grant(assertion(self.folder))
            self._access_token = answer.json()["access_token"]
        return self._access_token

    def grant(
        self, signed: str, grant: str = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    ) -> httpx2.Response:
        """Trade an assertion for an access token."""
        return self.http.post("/fcm/token", data={"grant_type": grant, "assertion": signed})


def assertion(folder: Path, **claims: Any) -> str:
    """Sign an assertion as Google's clients do; claims override theirs."""
    account = json.loads((folder / "fcm-service-account.json").read_bytes())
    now = int(time.time())
    body = {
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    }
    headers = {"kid": account["private_key_id"]}
    return jwt.encode(body | claims, account["private_key"], "RS256", headers=headers)


def mail_document(**changes: Any) -> dict[str, Any]:
    """Build a right mail."""
    return {
        "personalizations": [
            {
                "to": [{"email": "ada@example.com"}],
                "custom_args": {"message_id": MESSAGE_ID, "tenant": "default", "user": "ada"},
            }
        ],
        "from": {"email": "fly@example.org", "name": "Fly"},
        "subject": "Gate change",
        "content": [
            {"type": "text/plain", "value": "Gate 12"},
            {"type": "text/html", "value": "<p>Gate <b>12</b></p>"},
        ],
        "headers": {"List-Unsubscribe": "<https://example.org/u/1>"},
    } | changes


def push_document(**changes: Any) -> dict[str, Any]:
    """Build a right push."""
    return {
        "token": TOKEN,
        "notification": {"title": "Boarding", "body": "Gate 12 in 10 minutes"},
        "data": {"message_id": MESSAGE_ID, "url": "https://example.org/f/1"},
        "android": {"priority": "HIGH", "ttl": "3600s", "collapse_key": "gate"},
    } | changes


@contextlib.contextmanager
def start(folder: Path, *arguments: str) -> Iterator[Box]:
    """Run a sandbox process in a folder until the context ends."""
    command = [sys.executable, "-m", "tocsin.devkit.sandbox", f"--dir={folder}", *arguments]
    dying = death_signal()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=dying) as process:
        assert process.stdout is not None
        try:
            box = Box(folder, process, json.loads(process.stdout.readline()))
            with box.http:
                yield box
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
