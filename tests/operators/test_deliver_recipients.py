"""What a server says about one recipient never counts against the account."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

import msgspec
import pytest

from tests.operators.delivery import Rig, ScriptedProvider, policy
from tests.providers.messages import message, record
from tests.providers.scripted_http import Answer, Request, ScriptedHttp, json_answer
from tests.providers.scripted_smtp import ScriptedSmtp, SmtpFault
from tests.providers.test_adapters import TOKEN, adapter
from tocsin.delivery.breaker import AccountState, BreakerPolicy, Condition
from tocsin.delivery.runtime import Runtime
from tocsin.errors import Misconfigured
from tocsin.model.content import Content, EmailContent, PushContent
from tocsin.model.message import Message, Target
from tocsin.providers.base import Provider
from tocsin.providers.smtp_mail import SmtpAccount, SmtpMail

Build = Callable[..., Rig]
T = TypeVar("T")
LONG = BreakerPolicy(cooldown_ms=60_000, longest_ms=60_000)


@contextmanager
def running(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Run a scripted server on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(60)
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


class Greylisting(ScriptedSmtp):
    """A mail server that greylists recipients whose name begins with `grey`."""

    def answer(self, command: str, argument: str) -> str | SmtpFault | None:
        return "450 4.2.0 greylisted" if command == "RCPT" and "<grey" in argument else None


def mail(_: Message) -> Content:
    return EmailContent(subject="Hi", text="hello", html="", sender="from@example.com")


def push(_: Message) -> Content:
    return PushContent(title="Hi", body="hello")


@contextmanager
def built(runtime: Runtime, make: Callable[[], Provider]) -> Iterator[Provider]:
    """Make an adapter on the runtime's loop, and close it there."""

    async def build() -> Provider:
        return make()

    provider = runtime.run(build(), 60)
    try:
        yield provider
    finally:
        runtime.run(provider.close(), 60)


def sent_users(made: Rig) -> set[str]:
    return {line.user for line in made.outcomes() if line.status == "sent"}


def test_greylisted_recipients_do_not_close_the_account(rig: Build, runtime: Runtime) -> None:
    def account(server: ScriptedSmtp) -> SmtpAccount:
        return SmtpAccount(vendor="smtp", host="127.0.0.1", port=server.port, security="plain")

    with (
        running(Greylisting()) as server,
        built(runtime, lambda: SmtpMail("mail", account(server))) as smtp,
    ):
        made = rig([smtp], render=mail, settings=policy(breaker=LONG))
        made.feed(*[record(message(f"grey{i}", i), i) for i in range(6)]).until_acked(6)
        made.feed(*[record(message(f"good{i}", 6 + i), 6 + i) for i in range(12)]).until_acked(18)
    assert sent_users(made) == {f"good{i}" for i in range(12)}
    assert made.channel.gauges().accounts["mail"].state is AccountState.OK


LIMIT = "550 5.4.5 Daily user sending limit exceeded"


def mailer(server: ScriptedSmtp, name: str) -> Callable[[], Provider]:
    account = SmtpAccount(vendor="smtp", host="127.0.0.1", port=server.port, security="plain")
    return lambda: SmtpMail(name, account)


def test_over_the_daily_limit_mail_goes_by_the_next_account(rig: Build, runtime: Runtime) -> None:
    with (
        running(ScriptedSmtp({"RCPT": LIMIT})) as full,
        running(ScriptedSmtp()) as free,
        built(runtime, mailer(full, "full")) as first,
        built(runtime, mailer(free, "free")) as second,
    ):
        made = rig([first, second], render=mail, settings=policy(breaker=LONG))
        made.feed(*[record(message(f"user{i}", i), i) for i in range(8)]).until_acked(8)
    assert sent_users(made) == {f"user{i}" for i in range(8)}
    assert len(free.mails) == 8
    assert made.receipts() == []


def test_over_the_daily_limit_mail_without_another_account_waits(rig: Build, runtime: Runtime) -> None:
    with running(ScriptedSmtp({"RCPT": LIMIT})) as full, built(runtime, mailer(full, "full")) as only:
        made = rig([only], render=mail, settings=policy(breaker=LONG))
        made.feed(record(message(), 0)).until_acked(1)
    [retry] = made.retries()
    assert retry.due_ms - made.outcomes()[0].at_ms >= 4 * 3_600_000
    assert made.receipts() == []
    assert {line.status for line in made.outcomes()} == {"retrying"}


REFUSED: Any = {
    "error": {
        "code": 401,
        "message": "Auth error from APNS or Web Push Service",
        "status": "UNAUTHENTICATED",
        "details": [
            {
                "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                "errorCode": "THIRD_PARTY_AUTH_ERROR",
            }
        ],
    }
}


def fcm(request: Request) -> Answer:
    if request.path == "/token":
        return TOKEN
    token = msgspec.json.decode(request.body)["message"]["token"]
    return (
        json_answer(401, REFUSED) if token == "bad" else json_answer(200, {"name": "projects/x/messages/1"})
    )


def test_one_bad_token_does_not_hold_another_users_push(rig: Build, runtime: Runtime) -> None:
    with (
        running(ScriptedHttp(fcm)) as server,
        built(runtime, lambda: adapter("fcm", server.url)) as firebase,
    ):
        settings = policy(channel="push", breaker=LONG)
        made = rig([firebase], render=push, settings=settings)
        bad = message("ann", 0, channel="push", target=Target(address="bad", platform="ios"))
        good = message("bob", 1, channel="push", target=Target(address="good", platform="android"))
        made.feed(record(bad, 0)).until(lambda: bool(made.outcomes()))
        made.feed(record(good, 1)).until(lambda: sent_users(made) == {"bob"})
        made.until_acked(2)
    assert [retry.reason for retry in made.retries()] == ["misconfigured"]


def test_a_login_that_is_refused_still_closes_the_account_and_is_logged_once(
    rig: Build, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        running(ScriptedHttp(Answer(401))) as server,
        built(runtime, lambda: adapter("sendgrid", server.url)) as sendgrid,
    ):
        made = rig([sendgrid], render=mail, settings=policy(breaker=LONG))
        made.feed(record(message(), 0)).until_down("main")
        condition = made.channel.gauges().accounts["main"]
    assert condition == Condition(AccountState.DISABLED, "401", condition.since_ms)
    assert caplog.messages == [f"account main is {condition.sentence()}; 1 waiting here"]


def test_an_account_that_works_again_is_logged_once(rig: Build, caplog: pytest.LogCaptureFixture) -> None:
    provider = ScriptedProvider()
    provider.script("ann", Misconfigured("bad key", code="401"))
    rig([provider]).feed(record(message(), 0)).until_acked(1)
    assert len(caplog.messages) == 2
    assert re.fullmatch(r"account first is back after \d+ s \(401\); 1 waiting here", caplog.messages[1])
