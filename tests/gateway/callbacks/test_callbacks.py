"""Webhooks of vendors through the gateway: into Kafka, for the right tenant, once, and nothing forged."""

import asyncio
import json
import threading
from typing import Any

import httpx2
import msgspec
import pytest

from tests.gateway.callbacks.conftest import BASE, mark, now_s
from tests.gateway.running import Running
from tests.providers.samples import EMAIL, message
from tests.providers.test_reports import CONFIRMATION, KEYS, TOPIC, mail_event
from tests.waiting import PATIENCE_S
from tocsin.devkit.sandbox import callbacks as vendors
from tocsin.devkit.sandbox.callbacks import SigningKeys, Webhook
from tocsin.formats.codec import decode_receipt, read_dead_letter
from tocsin.gateway import callbacks
from tocsin.gateway.callbacks.accounts import Reporting
from tocsin.gateway.callbacks.amazon import Amazon
from tocsin.gateway.callbacks.handler import Callbacks
from tocsin.gateway.problems import not_ready
from tocsin.gateway.writer import Failure
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.providers.http import Response
from tocsin.providers.reports import Posted, Reported, ReportReader


async def post(hooks: Running, hook: Webhook) -> httpx2.Response:
    return await hooks.client.request(hook.method, hook.url, headers=hook.headers, content=hook.body)


async def receipts(hooks: Running) -> list[ReceiptEvent]:
    """Read all receipts as the gate would."""
    found = await hooks.records("receipts")
    return [decode_receipt(RawRecord("receipts", 0, 0, 1, each.key, each.value, ())) for each in found]


def url(account: str, vendor: str = "", query: str = "") -> str:
    return f"{BASE}/v1/callbacks/{vendor or account}/{account}{query}"


def ours(tenant: str = "acme") -> dict[str, str]:
    return {"message_id": message("email").message_id, "tocsin_mark": mark(tenant)}


def delivered(
    vendor: str, tenant: str = "acme", *, hours_ago: float = 0, keys: SigningKeys = KEYS
) -> Webhook:
    """Make the report of a delivery by any vendor; with other keys than `KEYS`, of another account."""
    about, at = ours(tenant), now_s() - hours_ago * 3_600
    event: dict[str, Any] = mail_event(vendor) | {"timestamp": at}
    query = f"?message_id={about['message_id']}&tocsin_mark={about['tocsin_mark']}"
    wrong = "" if keys is KEYS else "of another account"
    if vendor.startswith("twilio"):
        fields = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+1555"}
        return vendors.twilio(url(vendor, query=query), fields, f"t0ken{wrong}")
    if vendor == "vonage":
        fields = {"status": "delivered", "messageId": "V1"}
        return vendors.vonage(url(vendor, query=query), fields, f"s3cret{wrong}", at)
    if vendor == "sendgrid":
        return vendors.sendgrid(url(vendor), [event | about], keys.sendgrid, at)
    if vendor == "mailgun":
        return vendors.mailgun(url(vendor), event | {"user-variables": about}, f"s1gning{wrong}", at)
    if vendor == "mandrill":
        return vendors.mandrill(url(vendor), [event | {"msg": {"metadata": about}}], f"wh00k{wrong}")
    mail = {"messageId": "1", "headers": [{"name": "X-Tocsin-Mark", "value": about["tocsin_mark"]}]}
    return vendors.ses(url(vendor), mail_event("ses", mail=mail), keys.sns, at)


ALL = ["mailgun", "mandrill", "sendgrid", "ses", "twilio", "twilio-voice", "twilio-whatsapp", "vonage"]


async def test_each_vendor_reports_a_delivery_of_its_message(hooks: Running) -> None:
    for vendor in ALL:
        answer = await post(hooks, delivered(vendor))
        assert (answer.status_code, answer.content) == (200, b""), vendor
    found = await receipts(hooks)
    assert len(found) == len(ALL)
    for receipt in found:
        assert (receipt.kind, receipt.tenant, receipt.user) == ("delivered", "acme", "u-1")
        assert receipt.message_id == message("email").message_id
    assert {receipt.provider for receipt in found} == {
        "mailgun",
        "mandrill",
        "sendgrid",
        "ses",
        "twilio",
        "vonage",
    }


async def test_what_is_forged_or_nowhere_writes_nothing(hooks: Running) -> None:
    for vendor in ALL:
        hook = delivered(vendor)
        forged = hook._replace(
            body=hook.body + b" ", url=hook.url + ("&" if "?" in hook.url else "?") + "x=1"
        )
        if vendor not in ("mailgun", "ses"):  # what these sign is inside the body
            assert (await post(hooks, forged)).status_code in (400, 403), vendor
        elsewhere = hook._replace(url=hook.url.replace(f"/{vendor}/{vendor}", f"/{vendor}/nobody"))
        assert (await post(hooks, elsewhere)).status_code == 404
    sendgrid = delivered("sendgrid")
    other = sendgrid._replace(url=sendgrid.url.replace("sendgrid/sendgrid", "mandrill/sendgrid"))
    assert (await post(hooks, other)).status_code == 404
    assert await receipts(hooks) == []


async def test_a_mark_of_a_tenant_that_does_not_use_the_account_is_not_believed(hooks: Running) -> None:
    answer = await post(hooks, delivered("sendgrid", tenant="other"))
    assert answer.status_code == 200
    assert await receipts(hooks) == []
    assert callbacks.running(hooks.gateway).counts["sendgrid", "other_tenant"] == 1


async def test_an_account_that_no_tenant_uses_any_more_still_reports_its_messages(hooks: Running) -> None:
    event = mail_event("mandrill", msg={"metadata": ours("other")})
    answer = await post(hooks, vendors.mandrill(url("former", "mandrill"), [event], "wh00k"))
    assert answer.status_code == 200
    assert [receipt.tenant for receipt in await receipts(hooks)] == ["other"]


def stop(account: str, sid: str = "SM9", body: str = "STOP") -> Webhook:
    fields = {"MessageSid": sid, "SmsStatus": "received", "From": "+14155552671", "To": "+1999", "Body": body}
    return vendors.twilio(url(account, "twilio"), fields, "t0ken")


async def test_a_stop_is_for_all_tenants_of_the_number_and_for_no_other(hooks: Running) -> None:
    for account in ("shared", "twilio"):
        assert (await post(hooks, stop(account))).status_code == 200
    found = [
        (receipt.tenant, receipt.kind, receipt.address, receipt.user) for receipt in await receipts(hooks)
    ]
    both = [(tenant, "opted_out", "+14155552671", "") for tenant in ("acme", "acme", "other")]
    assert sorted(found) == both


async def test_a_stop_that_is_replayed_after_a_start_changes_nothing(hooks: Running) -> None:
    first, start = stop("twilio"), stop("twilio", "SM10", "START")
    for hook in (first, start, first, first):
        assert (await post(hooks, hook)).status_code == 200
    assert sorted(receipt.kind for receipt in await receipts(hooks)) == ["opted_out", "resubscribed"]
    assert callbacks.running(hooks.gateway).counts["twilio", "repeated"] == 2


async def test_a_token_of_mailgun_is_good_for_one_body(hooks: Running) -> None:
    event = mail_event("mailgun", **{"user-variables": ours()})
    first = vendors.mailgun(url("mailgun"), event, "s1gning", now_s(), token="once")
    other = vendors.mailgun(url("mailgun"), event | {"event": "complained"}, "s1gning", now_s(), token="once")
    stolen = msgspec.json.decode(other.body) | {"signature": msgspec.json.decode(first.body)["signature"]}
    assert [(await post(hooks, each)).status_code for each in (first, first)] == [200, 200]
    assert (await post(hooks, other._replace(body=msgspec.json.encode(stolen)))).status_code == 403
    assert {receipt.kind for receipt in await receipts(hooks)} == {"delivered"}


def from_sendgrid(events: list[Any]) -> Webhook:
    return vendors.sendgrid(url("sendgrid"), events, KEYS.sendgrid, now_s())


async def test_mail_of_other_software_counts_only_where_it_is_about_the_address(hooks: Running) -> None:
    events = [
        {"event": name, "email": EMAIL, "sg_event_id": name, "timestamp": int(now_s())}
        for name in ("delivered", "open", "spamreport", "processed", "brand_new")
    ]
    assert (
        await post(hooks, vendors.sendgrid(url("sendgrid"), events, KEYS.sendgrid, now_s()))
    ).status_code == 200
    (receipt,) = await receipts(hooks)
    assert (receipt.kind, receipt.tenant, receipt.user, receipt.address) == ("complained", "acme", "", EMAIL)
    counts = callbacks.running(hooks.gateway).counts
    assert (counts["sendgrid", "foreign"], counts["sendgrid", "ignored"]) == (2, 1)


async def test_an_event_that_nobody_knows_is_kept_for_the_gate(hooks: Running) -> None:
    event = mail_event("sendgrid", event="brand_new") | ours()
    assert (
        await post(hooks, vendors.sendgrid(url("sendgrid"), [event], KEYS.sendgrid, now_s()))
    ).status_code == 200
    assert [(each.kind, each.user) for each in await receipts(hooks)] == [("sendgrid_brand_new", "u-1")]


async def test_an_unknown_event_without_our_mark_is_kept_without_its_address(hooks: Running) -> None:
    event = {"event": "brand_new", "email": EMAIL, "sg_event_id": "n1", "timestamp": int(now_s())}
    assert (await post(hooks, from_sendgrid([event]))).status_code == 200
    (letter,) = await hooks.records("dead")
    raw = RawRecord("dead", letter.partition, 0, 1, letter.key, letter.value, letter.headers)
    found = read_dead_letter(raw)
    assert (found.stage, found.reason, found.origin_topic) == ("callback", "bad_field", "receipts")
    kept = msgspec.json.decode(found.value or b"", type=ReceiptEvent)
    assert (kept.tenant, kept.kind, kept.receipt_id) == ("acme", "sendgrid_brand_new", "n1")
    assert EMAIL.encode() not in (found.value or b"") + (letter.key or b"")


async def test_a_mark_of_another_message_is_not_believed(hooks: Running) -> None:
    event = mail_event("sendgrid") | ours() | {"message_id": "f" * 32}
    assert (await post(hooks, from_sendgrid([event]))).status_code == 200
    assert await receipts(hooks) == []
    assert callbacks.running(hooks.gateway).counts["sendgrid", "mixed"] == 1


@pytest.mark.parametrize("host", ["h:99999", "[::1", "h:abc", "a b", ""])
async def test_a_host_that_is_none_is_refused_and_no_fault(hooks: Running, host: str) -> None:
    hook = delivered("twilio")
    answer = await hooks.client.post(hook.url, headers={**hook.headers, "host": host}, content=hook.body)
    assert answer.status_code in (400, 403)


async def test_a_large_body_is_checked_beside_the_loop_and_a_small_one_on_it(hooks: Running) -> None:
    threads: list[threading.Thread] = []

    def note(_account: object, _posted: Posted) -> Reported:
        threads.append(threading.current_thread())
        return Reported()

    taking = callbacks.running(hooks.gateway)
    found = Reporting("x", _ses_without_certificate(), "email", ReportReader(note, 1 << 20))
    for size in (100, 1 << 16):
        posted = Posted("POST", url("ses"), "", {}, b"x" * size, now_s())
        await taking._checked(found, posted)  # noqa: SLF001
    assert [each is threading.main_thread() for each in threads] == [True, False]


async def test_a_key_may_be_changed_without_a_restart(
    hooks: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "FOLLOW_S", 0.02)
    file = hooks.gateway.settings.providers
    following = asyncio.create_task(callbacks.follow(file, callbacks.running(hooks.gateway)))
    old, new = (
        vendors.mandrill(url("mandrill"), [mail_event("mandrill", msg={"metadata": ours()})], key)
        for key in ("wh00k", "n3w")
    )
    assert (await post(hooks, new)).status_code == 403
    file.write_text("accounts: [")
    await asyncio.sleep(0.2)
    assert (await post(hooks, old)).status_code == 200
    account = {"vendor": "mandrill", "api_key": "k", "webhook_key": "n3w"}
    file.write_text(json.dumps({"accounts": {"mandrill": account}}))
    async with asyncio.timeout(PATIENCE_S):
        while (await post(hooks, new)).status_code != 200:
            await asyncio.sleep(0.02)
    assert (await post(hooks, old)).status_code == 403
    following.cancel()


async def test_a_bulk_body_is_written_whole(hooks: Running) -> None:
    events = [mail_event("sendgrid", sg_event_id=f"e{number}") | ours() for number in range(500)]
    hook = vendors.sendgrid(url("sendgrid"), events, KEYS.sendgrid, now_s())
    assert (await post(hooks, hook)).status_code == 200
    found: list[ReceiptEvent] = []
    for _ in range(100):  # the embedded broker tells the end of a partition a moment late
        found = await receipts(hooks)
        if len(found) == len(events):
            break
    assert {receipt.receipt_id for receipt in found} == {f"e{number}" for number in range(500)}


async def test_without_kafka_the_vendor_shall_send_it_again(
    hooks: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(records: Any) -> list[Failure]:
        return [Failure(not_ready("Kafka is away"), final=False) for _ in records]

    monkeypatch.setattr(hooks.gateway.writer, "write_all", refuse)
    hook = stop("twilio")
    answer = await post(hooks, hook)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    monkeypatch.undo()
    assert (await post(hooks, hook)).status_code == 200
    assert [receipt.kind for receipt in await receipts(hooks)] == ["opted_out"]


async def test_a_body_that_is_too_large_is_not_read(hooks: Running) -> None:
    answer = await hooks.client.post(url("mailgun"), content=b"x" * (2 << 20))
    assert answer.status_code == 413


async def test_mandrill_may_try_the_address(hooks: Running) -> None:
    assert (await hooks.client.head(url("mandrill"))).status_code == 200
    assert (await hooks.client.head(url("nobody", "mandrill"))).status_code == 404
    test = vendors.mandrill(url("mandrill"), [], "test-webhook")
    assert (await post(hooks, test)).status_code == 200


class Asked:
    """A transport that notes what it is asked for, and answers with one body."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.urls: list[str] = []
        self._answer = Response(status, {}, body)

    async def request(self, _method: str, address: str, *_rest: object) -> Response:
        self.urls.append(address)
        await asyncio.sleep(0)
        return self._answer

    async def reconnect(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


async def test_certificates_are_fetched_once_and_subscriptions_confirmed(hooks: Running) -> None:
    asked = Asked(KEYS.sns_certificate)
    accounts = {"ses": _ses_without_certificate()}
    callbacks._running[hooks.gateway] = Callbacks(hooks.gateway, accounts, Amazon(asked))  # noqa: SLF001
    mail = {"messageId": "1", "tags": {"tocsin_mark": [mark()]}}
    hook = vendors.ses(url("ses"), mail_event("ses", mail=mail), KEYS.sns, now_s())
    answers = await asyncio.gather(*(post(hooks, hook) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    confirmation = vendors.ses(url("ses"), "…", KEYS.sns, now_s(), more=CONFIRMATION)
    assert (await post(hooks, confirmation)).status_code == 200
    theirs = vendors.ses(url("ses"), "…", KEYS.sns, now_s(), topic=f"{TOPIC}2", more=CONFIRMATION)
    assert (await post(hooks, theirs)).status_code == 403
    inside = CONFIRMATION | {"SubscribeURL": "https://169.254.169.254/"}
    assert (
        await post(hooks, vendors.ses(url("ses"), "…", KEYS.sns, now_s(), more=inside))
    ).status_code == 403
    assert len(set(asked.urls)) == 2
    assert asked.urls[-1] == CONFIRMATION["SubscribeURL"]
    assert asked.urls.count(CONFIRMATION["SubscribeURL"]) == 1


def _ses_without_certificate() -> Any:
    from tests.providers.test_reports import account

    return account("ses", topic_certificate="")


async def test_a_certificate_that_cannot_be_had_is_asked_for_again_later(hooks: Running) -> None:
    asked = Asked(b"", 404)
    accounts = {"ses": _ses_without_certificate()}
    callbacks._running[hooks.gateway] = Callbacks(hooks.gateway, accounts, Amazon(asked))  # noqa: SLF001
    hook = vendors.ses(url("ses"), mail_event("ses"), KEYS.sns, now_s())
    assert (await post(hooks, hook)).status_code == 503
