"""Adapters of e-mail whose requests go to the sandbox's judges, without a server between them."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.mailgun_v3 import Mailgun as MailgunJudge
from tocsin.devkit.sandbox.mandrill_1 import Mandrill as MandrillJudge
from tocsin.devkit.sandbox.request_handler import Vendor
from tocsin.devkit.sandbox.sendgrid_v3 import SendGrid as SendGridJudge
from tocsin.devkit.sandbox.sent import Call
from tocsin.devkit.sandbox.wire import Refusal, Request
from tocsin.providers.http import Response
from tocsin.providers.mailgun import Mailgun, MailgunAccount
from tocsin.providers.mandrill import Mandrill, MandrillAccount
from tocsin.providers.sendgrid import SendGrid, SendGridAccount


class Judging:
    """A transport that hands each request to the sandbox's judge, and keeps what recipients got.

    Attributes:
        faults: of recipients that the provider refuses in its answer.
    """

    def __init__(self, judge: Vendor) -> None:
        self._judge = judge
        self.calls: list[Call] = []
        self.faults: dict[str, Fault] = {}
        self.requests = 0

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        assert timeout_s > 0
        self.requests += 1
        named = {name.lower().encode(): value.encode() for name, value in headers.items()}
        try:
            accepted = self._judge.judge(Request(method, url.removeprefix("http://judge"), "", named, body))
        except Refusal as refusal:
            return Response(refusal.reply.status, refusal.reply.headers, refusal.reply.body)
        faults = [self.faults.get(call.recipient) for call in accepted.calls]
        self.calls += [call for call, fault in zip(accepted.calls, faults, strict=True) if fault is None]
        reply = accepted.verdicts(faults) if accepted.verdicts else accepted.reply
        return Response(reply.status, reply.headers, reply.body)

    async def reconnect(self) -> None:
        """Do nothing: there are no connections."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""


def now_s() -> float:
    return 1_700_000_000.0


KEY = SecretStr("SG.key")


def sendgrid() -> tuple[Any, Judging]:
    transport = Judging(SendGridJudge())
    account = SendGridAccount(vendor="sendgrid", api_key=KEY, base_url="http://judge")
    return SendGrid("main", account, transport, now_s), transport


def mailgun() -> tuple[Any, Judging]:
    transport = Judging(MailgunJudge())
    account = MailgunAccount(vendor="mailgun", domain="mg.example.com", api_key=KEY, base_url="http://judge")
    return Mailgun("main", account, transport, now_s), transport


def mandrill() -> tuple[Any, Judging]:
    transport = Judging(MandrillJudge())
    account = MandrillAccount(vendor="mandrill", api_key=KEY, base_url="http://judge/api/1.0")
    return Mandrill("main", account, transport, now_s), transport
