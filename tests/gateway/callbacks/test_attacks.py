"""Attacks on the webhooks of each vendor, over real connections: nothing that is refused reaches Kafka."""

import asyncio
from urllib.parse import urlsplit

import httpx2

from tests.gateway.callbacks.conftest import BASE
from tests.gateway.callbacks.test_callbacks import ALL, delivered, receipts
from tests.gateway.running import Running, served
from tests.providers.test_reports import OTHER
from tocsin.devkit.sandbox.callbacks import Webhook

HOST = BASE.partition("//")[2]
"""The address that vendors call, and that some of them sign."""
STALE_H = {"vonage": 26, "sendgrid": 26, "mailgun": 13, "ses": 3}
"""Hours after which a report is refused; the others tell no time."""


def tampered(vendor: str) -> Webhook:
    """Change a report that the vendor signed: its body, and where that holds nothing signed, its address."""
    hook = delivered(vendor)
    if vendor == "mailgun":  # it signs a timestamp and a token alone
        return hook._replace(body=hook.body.replace(b'"signature": "', b'"signature": "0'))
    return hook._replace(body=hook.body.replace(b"elivered", b"omplained").replace(b"elivery", b"omplaint"))


def shortened(vendor: str) -> Webhook:
    hook = delivered(vendor)
    return hook._replace(body=hook.body[: len(hook.body) // 2])


def attacks(vendor: str) -> dict[str, Webhook]:
    """List what somebody posts who lacks the key of the account."""
    found = {
        "tampered": tampered(vendor),
        "shortened": shortened(vendor),
        "of another account": delivered(vendor, keys=OTHER),
        "unsigned": delivered(vendor)._replace(headers={"content-type": "application/json"}, body=b"[{}]"),
    }
    return found | ({"stale": delivered(vendor, hours_ago=STALE_H[vendor])} if vendor in STALE_H else {})


async def post(client: httpx2.AsyncClient, hook: Webhook) -> int:
    path = hook.url.removeprefix(BASE)
    headers = {**hook.headers, "host": HOST}
    return (await client.request(hook.method, path, headers=headers, content=hook.body)).status_code


async def broken_off(address: str, hook: Webhook) -> bytes:
    """Send half of the body that the head declares, and hang up; return the answer, if there is one."""
    reader, writer = await asyncio.open_connection(urlsplit(address).hostname, urlsplit(address).port)
    fields = {**hook.headers, "host": HOST, "content-length": str(len(hook.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"{hook.method} {hook.url.removeprefix(BASE)} HTTP/1.1\r\n{head}\r\n".encode())
    writer.write(hook.body[: len(hook.body) // 2])
    writer.write_eof()
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer


async def test_of_all_that_is_posted_only_what_each_vendor_signed_is_written(hooks: Running) -> None:
    async with served(hooks.application) as address, httpx2.AsyncClient(base_url=address) as client:
        refused = {
            (vendor, name): await post(client, hook)
            for vendor in ALL
            for name, hook in attacks(vendor).items()
        }
        halves = {vendor: await broken_off(address, delivered(vendor)) for vendor in ALL}
        assert await receipts(hooks) == []
        genuine = [delivered(vendor) for vendor in ALL]
        taken = [await post(client, hook) for hook in (*genuine, *genuine)]
    assert {case: status for case, status in refused.items() if status not in (400, 403)} == {}
    assert {vendor: said for vendor, said in halves.items() if b" 200 " in said} == {}
    assert taken == [200] * 2 * len(ALL), "a vendor repeats what it lost the answer to"
    told = {(one.provider, one.kind, one.user, one.receipt_id) for one in await receipts(hooks)}
    senders = ("mailgun", "mandrill", "sendgrid", "ses", "twilio", "vonage")
    assert sorted(each[:3] for each in told) == [(name, "delivered", "u-1") for name in senders], (
        "what is played again has the same id"
    )
