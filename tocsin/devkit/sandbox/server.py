"""Runs the sandbox's process: wires the parts, opens the ports, writes where they are."""

import asyncio
import contextlib
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP

from tocsin.delivery.redis_client import open_client
from tocsin.devkit.sandbox import keys
from tocsin.devkit.sandbox.apns_h2 import Apns, ProviderTokens
from tocsin.devkit.sandbox.app import App
from tocsin.devkit.sandbox.console import Console
from tocsin.devkit.sandbox.faults import Faults
from tocsin.devkit.sandbox.fcm_v1 import Fcm
from tocsin.devkit.sandbox.google_oauth import Tokens
from tocsin.devkit.sandbox.http1 import Connection
from tocsin.devkit.sandbox.http2 import Http2Connection
from tocsin.devkit.sandbox.inapp import Inboxes
from tocsin.devkit.sandbox.mailgun_v3 import Mailgun
from tocsin.devkit.sandbox.mandrill_1 import Mandrill
from tocsin.devkit.sandbox.people import People
from tocsin.devkit.sandbox.reporting import Reporter
from tocsin.devkit.sandbox.request_handler import RequestHandler, Vendor
from tocsin.devkit.sandbox.sendgrid_v3 import SendGrid
from tocsin.devkit.sandbox.sent import Log, Sent
from tocsin.devkit.sandbox.ses_v2 import Ses
from tocsin.devkit.sandbox.slack_web import Slack
from tocsin.devkit.sandbox.smtp import MailHandler, authenticate
from tocsin.devkit.sandbox.sns_query import Sns
from tocsin.devkit.sandbox.twilio_2010 import Twilio
from tocsin.devkit.sandbox.viewer import Feed, Viewer
from tocsin.devkit.sandbox.vonage_sms import Vonage
from tocsin.devkit.sandbox.webhooks import Webhooks
from tocsin.devkit.sandbox.webpush_rfc8030 import WebPush

HOST = "127.0.0.1"
LOG_FILE, ADDRESSES_FILE = "sent.jsonl", "sandbox.json"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How the sandbox runs. A port of 0 takes a free one; without `h2_port` there is no APNs.

    Attributes:
        folder: where the log, the keys and the addresses are written.
        latency_ms: how long every provider call takes at least.
        keep: messages kept for the viewer, and about how much content in bytes.
        tls: APNs and SMTP (STARTTLS) with the certificate of the folder.
    """

    folder: Path
    http_port: int = 0
    smtp_port: int = 0
    h2_port: int | None = None
    latency_ms: int = 0
    keep: int = 100_000
    keep_bytes: int = 256 * 1024 * 1024
    tls: bool = False
    smtp_auth: bool = False
    redis: str = ""
    inapp_prefix: str = "tocsin:"
    seed: int = 0


class Addresses(msgspec.Struct, frozen=True):
    """Where a running sandbox is reached, and what its accounts are called; `sandbox.json` of its folder."""

    http: str
    smtp_port: int
    h2: str
    project: str = keys.PROJECT
    apns_key_id: str = keys.APNS_KEY_ID
    apns_team_id: str = keys.APNS_TEAM_ID


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def running(policy: Policy) -> AsyncIterator[Addresses]:
    """Run the sandbox in this loop until the context ends; its ports are open when it begins."""
    loop = asyncio.get_running_loop()
    policy.folder.mkdir(parents=True, exist_ok=True)
    log = Log(policy.folder / LOG_FILE)
    sent = Sent(log, keep=policy.keep, keep_bytes=policy.keep_bytes)
    handler = RequestHandler(
        sent,
        Faults(policy.latency_ms, policy.seed),
        People(),
        clock_ms=_clock_ms,
        soon=loop.call_soon,
        later=loop.call_later,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(log.close)
        yield await _open(policy, handler, loop, stack)


async def _open(
    policy: Policy, handler: RequestHandler, loop: asyncio.AbstractEventLoop, stack: contextlib.AsyncExitStack
) -> Addresses:
    tls = keys.tls_context(policy.folder) if policy.tls else None
    mail = partial(_smtp, handler, tls, auth_required=policy.smtp_auth)
    smtp_port = await _listen(mail, policy.smtp_port, stack)
    h2 = ""
    if policy.h2_port is not None:
        scheme = "https" if policy.tls else "http"
        h2 = f"{scheme}://{HOST}:{await _open_apns(policy, handler, stack)}"
    # Last: who sees HTTP answer takes the whole sandbox for ready.
    http_port = await _open_http(policy, handler, loop, stack)
    addresses = Addresses(f"http://{HOST}:{http_port}", smtp_port, h2)
    (policy.folder / ADDRESSES_FILE).write_bytes(msgspec.json.encode(addresses) + b"\n")
    return addresses


async def _listen(factory: Any, port: int, stack: contextlib.AsyncExitStack, **options: Any) -> int:
    server = await asyncio.get_running_loop().create_server(factory, HOST, port, backlog=1024, **options)
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


async def _open_http(
    policy: Policy, handler: RequestHandler, loop: asyncio.AbstractEventLoop, stack: contextlib.AsyncExitStack
) -> int:
    connections: set[Connection] = set()
    apps: list[App] = []
    port = await _listen(lambda: Connection(apps[0], connections), policy.http_port, stack)
    token_uri = f"http://{HOST}:{port}/fcm/token"
    tokens = Tokens(keys.service_account(policy.folder, token_uri), token_uri, handler.clock_ms)
    feed = Feed(handler, loop.call_later)
    redis = open_client(policy.redis) if policy.redis else None
    inboxes = Inboxes(redis, policy.inapp_prefix, handler)
    await stack.enter_async_context(inboxes.following())
    vendors: dict[str, Vendor] = {
        "sendgrid": SendGrid(),
        "ses": Ses(handler.clock_ms),
        "mailgun": Mailgun(),
        "mandrill": Mandrill(),
        "twilio": Twilio(),
        "fcm": Fcm(tokens, keys.PROJECT),
        "vonage": Vonage(handler.clock_ms),
        "sns": Sns(handler.clock_ms),
        "webpush": WebPush(keys.application_server_key(policy.folder), handler.clock_ms),
        "slack": Slack(handler.clock_ms),
        "webhook": Webhooks(handler.clock_ms),
    }
    console, viewer = Console(handler, feed.cleared), Viewer(handler, feed, inboxes)
    reporter = Reporter(handler, keys.webhook_keys(policy.folder))
    apps.append(App(handler, vendors, tokens, console, viewer, reporter))
    stack.push_async_callback(reporter.close)
    stack.callback(_cut, connections)
    return port


async def _open_apns(policy: Policy, handler: RequestHandler, stack: contextlib.AsyncExitStack) -> int:
    assert policy.h2_port is not None
    tokens = ProviderTokens(keys.signing_key(policy.folder), handler.clock_ms)
    apns = Apns(tokens, handler.clock_ms)
    connections: set[Http2Connection] = set()
    serve_push = partial(handler.serve, apns)
    tls = keys.tls_context(policy.folder, "h2") if policy.tls else None
    stack.callback(_cut, connections)
    return await _listen(
        lambda: Http2Connection(serve_push, connections, tokens.forget), policy.h2_port, stack, ssl=tls
    )


def _cut(connections: Iterable[Connection | Http2Connection]) -> None:
    for connection in tuple(connections):
        connection.drop()


def _smtp(handler: RequestHandler, tls: ssl.SSLContext | None, *, auth_required: bool) -> SMTP:
    return SMTP(
        MailHandler(handler),
        hostname="sandbox.tocsin.test",
        ident="Tocsin sandbox",
        enable_SMTPUTF8=True,
        tls_context=tls,
        authenticator=authenticate,
        auth_required=auth_required,
        auth_require_tls=tls is not None,
    )


async def serve(policy: Policy) -> None:
    """Run until SIGTERM or SIGINT. One line of JSON on standard output says that it is ready, and where."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(policy) as addresses:
        sys.stdout.write(msgspec.json.encode(addresses).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()
