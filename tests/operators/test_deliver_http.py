"""Through a real adapter, over HTTP, to a server that misbehaves to order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from tests.operators.delivery import QUICK, Rig, policy
from tests.providers.messages import message, record
from tests.providers.scripted_http import Answer, Fault, Request, ScriptedHttp, Step
from tests.providers.test_adapters import TOKEN, adapter
from tests.waiting import PATIENCE_S
from tocsin.delivery.attempt import AttemptPolicy
from tocsin.delivery.channel import channel_policy
from tocsin.delivery.runtime import Runtime
from tocsin.model.content import Content, EmailContent, PushContent
from tocsin.model.message import Message, Target
from tocsin.model.statuses import Channel
from tocsin.providers.base import Provider
from tocsin.providers.http import HttpPolicy, PyreqwestTransport
from tocsin.providers.sendgrid import SendGrid, SendGridAccount

Build = Callable[..., Rig]
TAKEN = Answer(202, headers=(("X-Message-Id", "sg-1"),))


class Server:
    """A SendGrid whose answers are popped from a list, then 202."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.http = ScriptedHttp(self._next)

    def _next(self, request: Request) -> Step:
        return self.steps.pop(0) if self.steps else TAKEN


@pytest.fixture
def server(runtime: Runtime) -> Iterator[Server]:
    made = Server()
    runtime.run(made.http.__aenter__(), PATIENCE_S)
    yield made
    runtime.run(made.http.__aexit__(), PATIENCE_S)


@contextmanager
def opened(runtime: Runtime, server: Server, timeout_s: float) -> Iterator[SendGrid]:
    account = SendGridAccount(
        vendor="sendgrid", api_key=SecretStr("key"), base_url=server.http.url, timeout_s=timeout_s
    )

    async def build() -> SendGrid:
        return SendGrid("mail", account, PyreqwestTransport(HttpPolicy()), lambda: 0.0)

    made = runtime.run(build(), PATIENCE_S)
    yield made
    runtime.run(made.close(), PATIENCE_S)


@pytest.fixture
def sendgrid(runtime: Runtime, server: Server) -> Iterator[SendGrid]:
    with opened(runtime, server, PATIENCE_S) as made:
        yield made


def letter(_: Message) -> Content:
    return EmailContent(subject="Hi", text="hello", html="<p>hello</p>", sender="from@example.com")


def test_faults_on_the_way_end_in_one_mail_and_say_what_happened(
    rig: Build, server: Server, sendgrid: SendGrid
) -> None:
    server.steps = [Answer(503), Fault.CLOSE]
    made = rig([sendgrid], render=letter).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [
        ("retrying", "transient", 1),
        ("retrying", "unknown", 2),
        ("sent", "resent_after_unknown", 3),
    ]
    assert made.outcomes()[-1].provider_message_id == "sg-1"
    assert len(server.http.requests) == 3


def test_silence_ends_by_the_deadline_as_unknown(rig: Build, server: Server, runtime: Runtime) -> None:
    server.steps = [Fault.SILENCE]
    drop = policy(attempt=AttemptPolicy(retry=QUICK, on_unknown="drop"))
    with opened(runtime, server, 2) as sendgrid:
        made = rig([sendgrid], render=letter, settings=drop).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("dead", "unknown", 1)]


def test_a_long_retry_after_goes_back_to_the_gate(rig: Build, server: Server, sendgrid: SendGrid) -> None:
    server.steps = [Answer(429, headers=(("Retry-After", "90"),))]
    made = rig([sendgrid], render=letter).feed(record(message(), 0)).until_acked(1)
    assert made.words() == [("retrying", "throttled", 1)]
    assert made.retries()[0].due_ms - made.outcomes()[0].at_ms >= 90_000


def test_a_server_that_is_gone_loses_nothing(rig: Build, server: Server, sendgrid: SendGrid) -> None:
    server.steps = [Answer(503)] * 12
    letters = [record(message(f"u{i}", i), i) for i in range(8)]
    made = rig([sendgrid], render=letter).feed(*letters).until_acked(8)
    ends = [line.status for line in made.outcomes() if line.status == "sent"]
    assert len(ends) + len(made.retries()) == 8


def test_a_slow_push_has_the_time_its_adapter_declares(rig: Build, runtime: Runtime, server: Server) -> None:
    """FCM's sheet says 10 s: cut off after 5, the push would be doubled."""
    server.steps = [TOKEN, Answer(200, b'{"name":"projects/x/messages/1"}', delay_s=5.5)]

    async def build() -> Provider:
        return adapter("fcm", server.http.url)

    firebase = runtime.run(build(), PATIENCE_S)
    settings = channel_policy(Channel.PUSH)
    device = message(channel="push", target=Target(address="token", platform="android"))
    made = rig([firebase], render=lambda _: PushContent(title="Hi", body="x"), settings=settings)
    made.feed(record(device, 0)).until_acked(1)
    runtime.run(firebase.close(), PATIENCE_S)
    assert made.words() == [("sent", "", 1)]
