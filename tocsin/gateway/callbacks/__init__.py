"""Webhooks of providers: `/v1/callbacks/<vendor>/<account>`, signed by the vendor, become receipts.

| module | what |
|---|---|
| `accounts` | the account of a webhook, and its tenants |
| `handler` | one webhook from its bytes to Kafka |
| `owners` | whose a receipt is, and whether it is written |
| `memory` | tokens and reports that came before, in Redis |
| `amazon` | certificates and confirmations of SNS |
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

from tocsin.app.settings import environment
from tocsin.errors import SettingsError
from tocsin.gateway.call import Call
from tocsin.gateway.callbacks.amazon import Amazon
from tocsin.gateway.callbacks.handler import Callbacks
from tocsin.gateway.endpoints import Answer, Endpoint, Parameter
from tocsin.gateway.gateway import Gateway
from tocsin.providers.accounts import load_accounts
from tocsin.providers.http import HttpPolicy
from tocsin.providers.reports import ReportReader, readers
from tocsin.providers.transports import open_transport
from tocsin.providers.vendor import Account

_log = logging.getLogger("tocsin.gateway.callbacks")
FOLLOW_S = 5.0
"""Seconds between two looks at the accounts."""

_ACCOUNT = (
    Parameter("account", "path", description="Name of the account in providers.yaml.", example="sendgrid"),
)
_running: WeakKeyDictionary[Gateway, Callbacks] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def lifespan(gateway: Gateway) -> AsyncIterator[None]:
    """Read the accounts, and take webhooks until the gateway ends."""
    file = gateway.settings.providers
    amazon = Amazon(open_transport(HttpPolicy(public_only=True)))
    _running[gateway] = callbacks = Callbacks(gateway, _accounts(file), amazon)
    gateway.run(follow(file, callbacks))
    try:
        yield
    finally:
        del _running[gateway]
        await amazon.close()


def _accounts(file: Path) -> Mapping[str, Account]:
    return load_accounts(file, environment()).accounts if file.exists() else {}


async def follow(file: Path, callbacks: Callbacks) -> None:
    """Put a changed file in force, so that a key may change without a restart; mistakes change nothing."""
    problem = ""
    while True:
        await asyncio.sleep(FOLLOW_S)
        try:
            callbacks.use_accounts(await asyncio.to_thread(_accounts, file))
            problem = ""
        except SettingsError as error:
            if str(error) != problem:
                problem = str(error)
                _log.error("accounts of webhooks stay as they are; the new ones have mistakes:\n%s", problem)


def running(gateway: Gateway) -> Callbacks:
    """Return what takes the webhooks of a gateway."""
    return _running[gateway]


async def _take(vendor: str, call: Call) -> Answer:
    return await running(call.gateway).take(vendor, call)


async def _probe(vendor: str, call: Call) -> Answer:
    """Answer a vendor that tries the address before it uses it."""
    running(call.gateway).account(vendor, call)
    return Answer(200)


def _endpoints(vendor: str, reader: ReportReader) -> Iterator[Endpoint]:
    path, what = f"/v1/callbacks/{vendor}/{{account}}", f"Take reports of {vendor}"
    yield Endpoint(
        "POST",
        path,
        partial(_take, vendor),
        f"{what}, signed by it.",
        answers={200: None},
        parameters=_ACCOUNT,
        max_bytes=reader.max_bytes,
    )
    if reader.by_get:
        yield Endpoint("GET", path, partial(_take, vendor), f"{what} in a query.", answers={200: None})
    if reader.probes:
        for method in ("GET", "HEAD"):
            what = f"Let {vendor} try the address."
            yield Endpoint(method, path, partial(_probe, vendor), what, answers={200: None})


ENDPOINTS = tuple([each for name, reader in readers().items() for each in _endpoints(name, reader)])
