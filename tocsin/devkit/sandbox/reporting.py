"""Posts webhooks about the messages that the sandbox took, as each vendor would: `POST /reports`.

```json
{"url": "http://127.0.0.1:8080/v1/callbacks/sendgrid/sendgrid", "provider": "sendgrid",
 "kinds": ["delivered", "opened"], "secret": "", "fault": "duplicate"}
```
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal
from urllib.parse import urlencode

import httpx2
import msgspec

from tocsin.devkit.sandbox import callbacks
from tocsin.devkit.sandbox.callbacks import SigningKeys, Webhook
from tocsin.devkit.sandbox.request_handler import RequestHandler
from tocsin.devkit.sandbox.sent import REFUSED, Entry
from tocsin.devkit.sandbox.wire import Exchange, Request, json_reply

Kind = Literal["delivered", "bounced", "complained", "opened", "clicked", "stop"]
_TIMEOUT_S = 10.0

_NAMES: Mapping[str, Mapping[str, str]] = {
    "sendgrid": {
        "delivered": "delivered",
        "bounced": "bounce",
        "complained": "spamreport",
        "opened": "open",
        "clicked": "click",
    },
    "mailgun": {
        "delivered": "delivered",
        "bounced": "failed",
        "complained": "complained",
        "opened": "opened",
        "clicked": "clicked",
    },
    "mandrill": {
        "delivered": "delivered",
        "bounced": "hard_bounce",
        "complained": "spam",
        "opened": "open",
        "clicked": "click",
    },
    "ses": {
        "delivered": "Delivery",
        "bounced": "Bounce",
        "complained": "Complaint",
        "opened": "Open",
        "clicked": "Click",
    },
    "twilio": {"delivered": "delivered", "bounced": "undelivered", "opened": "read", "stop": "received"},
    "vonage": {"delivered": "delivered", "bounced": "failed", "stop": "inbound"},
}
"""Kind of receipt to what each vendor calls it."""
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class ReportOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which webhooks to post.

    Attributes:
        url: callback address of the account.
        provider: whose messages they are about.
        kinds: what happened to each, in this order.
        secret: shared with the receiver, where the vendor signs with one; SendGrid and SNS have keys.
        message_id: only this message; empty for the newest.
        count: of messages, at most.
        fault: what goes wrong: every webhook comes twice, the last one first, or with a wrong signature.
    """

    url: str
    provider: str
    kinds: list[Kind]
    secret: str = ""
    message_id: str = ""
    count: int = 100
    fault: Literal["", "duplicate", "out_of_order", "forged"] = ""


_order = msgspec.json.Decoder(ReportOrder)


class Reporter:
    """Posts what was ordered, and answers with the statuses that came back."""

    def __init__(self, handler: RequestHandler, keys: SigningKeys) -> None:
        self._handler = handler
        self._keys = keys
        self._client = httpx2.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, request: Request, exchange: Exchange) -> None:
        """Take an order; it is answered once all is posted."""
        task = asyncio.ensure_future(self._answer(request, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _answer(self, request: Request, exchange: Exchange) -> None:
        try:
            order = _order.decode(request.body)
            answers = await self._post(list(self._webhooks(order)))
        except msgspec.DecodeError as error:
            exchange.answer(json_reply({"error": str(error)}, 400))
        except httpx2.HTTPError as error:
            exchange.answer(json_reply({"error": f"the callback address does not answer ({error})"}, 502))
        else:
            exchange.answer(json_reply({"answers": answers}))

    async def _post(self, hooks: list[Webhook]) -> Counter[str]:
        answers: Counter[str] = Counter()
        for hook in hooks:
            found = await self._client.request(hook.method, hook.url, headers=hook.headers, content=hook.body)
            answers[str(found.status_code)] += 1
        return answers

    def _webhooks(self, order: ReportOrder) -> Iterator[Webhook]:
        made = [self._signed(order, kind, entry) for entry in self._entries(order) for kind in order.kinds]
        if order.fault == "out_of_order":
            made.reverse()
        for hook in made:
            yield _forged(hook) if order.fault == "forged" else hook
            if order.fault == "duplicate":
                yield hook

    def _entries(self, order: ReportOrder) -> Iterator[Entry]:
        mine = (
            entry
            for entry in self._handler.sent.newest()
            if entry.call.provider == order.provider
            and entry.status != REFUSED
            and order.message_id in ("", entry.call.message_id)
        )
        return islice(mine, order.count)

    def _signed(self, order: ReportOrder, kind: str, entry: Entry) -> Webhook:
        now_s = self._handler.clock_ms() / 1_000
        name = _NAMES.get(order.provider, {}).get(kind)
        if name is None:
            msg = f"{order.provider} reports nothing of the kind {kind}"
            raise msgspec.ValidationError(msg)
        keys, url, secret = self._keys, order.url, order.secret
        makers: Mapping[str, Callable[[], Webhook]] = {
            "sendgrid": lambda: callbacks.sendgrid(
                url, [_sendgrid(entry, name, now_s)], keys.sendgrid, now_s
            ),
            "mailgun": lambda: callbacks.mailgun(url, _mailgun(entry, name, now_s), secret, now_s),
            "mandrill": lambda: callbacks.mandrill(url, [_mandrill(entry, name, now_s)], secret),
            "ses": lambda: callbacks.ses(url, _ses(entry, name), keys.sns, now_s),
            "twilio": lambda: callbacks.twilio(_with_mark(url, entry, name), _twilio(entry, name), secret),
            "vonage": lambda: callbacks.vonage(
                _with_mark(url, entry, name), _vonage(entry, name), secret, now_s
            ),
        }
        return makers[order.provider]()


def _forged(hook: Webhook) -> Webhook:
    """Change what is signed, and leave the signature."""
    changed = hook.body.replace(b"delivered", b"clickedxx").replace(b"Delivery", b"Complain")
    return hook._replace(url=f"{hook.url}{'&' if '?' in hook.url else '?'}x=1", body=changed + b" ")


def _with_mark(url: str, entry: Entry, name: str) -> str:
    """Give the address of a report, which the message itself named; a reply goes to the bare one."""
    if name in ("received", "inbound"):
        return url
    return f"{url}?{urlencode({'message_id': entry.call.message_id, 'tocsin_mark': entry.call.mark})}"


def _ours(entry: Entry) -> dict[str, str]:
    return {"message_id": entry.call.message_id, "tocsin_mark": entry.call.mark}


def _sendgrid(entry: Entry, name: str, now_s: float) -> dict[str, Any]:
    return _ours(entry) | {
        "event": name,
        "type": "bounce",
        "email": entry.call.recipient,
        "timestamp": int(now_s),
        "sg_event_id": f"{entry.provider_id}-{entry.seq}-{name}",
        "sg_message_id": f"{entry.provider_id}.recvd-0",
        "useragent": _BROWSER,
    }


def _mailgun(entry: Entry, name: str, now_s: float) -> dict[str, Any]:
    return {
        "event": name,
        "severity": "permanent",
        "reason": "bounce",
        "id": f"{entry.seq}-{name}",
        "timestamp": now_s,
        "recipient": entry.call.recipient,
        "user-variables": _ours(entry),
        "message": {"headers": {"message-id": entry.provider_id}},
        "client-info": {"user-agent": _BROWSER, "bot": ""},
    }


def _mandrill(entry: Entry, name: str, now_s: float) -> dict[str, Any]:
    message = {"_id": entry.provider_id, "email": entry.call.recipient, "metadata": _ours(entry)}
    return {
        "event": name,
        "ts": int(now_s),
        "_id": entry.provider_id,
        "msg": message,
        "user_agent": _BROWSER,
    }


def _ses(entry: Entry, name: str) -> dict[str, Any]:
    headers = [{"name": "X-Tocsin-Mark", "value": entry.call.mark}]
    mail = {"messageId": entry.provider_id, "destination": [entry.call.recipient], "headers": headers}
    details = {"bounceType": "Permanent", "userAgent": _BROWSER, "link": "https://shop.example/"}
    return {"eventType": name, "mail": mail, name.lower(): details}


def _twilio(entry: Entry, name: str) -> dict[str, str]:
    if name == "received":
        incoming = {"SmsStatus": name, "From": entry.call.recipient, "Body": "STOP"}
        return {"MessageSid": f"SM{entry.seq:032x}", **incoming}
    code = {"ErrorCode": "30005"} if name == "undelivered" else {}
    return {"MessageSid": entry.provider_id, "MessageStatus": name, "To": entry.call.recipient, **code}


def _vonage(entry: Entry, name: str) -> dict[str, str]:
    number = entry.call.recipient.removeprefix("+")
    if name == "inbound":
        return {"msisdn": number, "text": "STOP", "messageId": f"{entry.seq:016X}"}
    code = "3" if name == "failed" else "0"
    return {"msisdn": number, "messageId": entry.provider_id, "status": name, "err-code": code}
