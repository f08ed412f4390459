"""Stands in for Twilio's `POST /2010-04-01/Accounts/{sid}/Messages.json`, magic numbers included."""

import base64
import binascii
import re
import secrets
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from itertools import count, islice
from typing import NoReturn
from urllib.parse import urlsplit

import msgspec

from tocsin.devkit.sandbox import twilio_calls
from tocsin.devkit.sandbox.content import Text, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.segments import bill
from tocsin.devkit.sandbox.sent import REFUSED, Call, Entry, Sent, user_key
from tocsin.devkit.sandbox.wire import Form, Refusal, Reply, Request, form_of, json_reply

PATH = re.compile(r"/2010-04-01/Accounts/([^/]+)/Messages\.json")
_RESOURCE = re.compile(r"/2010-04-01/Accounts/([^/]+)/(Messages|Calls)\.json")
_ACCOUNT = re.compile(r"/2010-04-01/Accounts/(AC[0-9a-fA-F]{32})\.json")
_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_KEY = re.compile(r"SK[0-9a-fA-F]{32}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT = re.compile(r"HX[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_WHATSAPP = "whatsapp:"
MAX_BODY = 1600
MAX_MEDIA = 10

TEXTS = {
    "20001": "An invalid parameter was given.",
    "20003": "Authenticate",
    "20004": "Method not allowed",
    "20404": "The requested resource was not found",
    "20429": "Too Many Requests",
    "20500": "Internal Server Error",
    "20503": "Service unavailable",
    "21211": "Invalid 'To' Phone Number",
    "12100": "Document parse failure",
    "21201": "No 'To' number is specified",
    "21205": "Url is not a valid URL",
    "21208": "Invalid Timeout",
    "21210": "'From' phone number not verified",
    "21213": "Caller phone number is required",
    "21214": "'To' phone number cannot be reached",
    "21215": "Account not authorized to call this number: geo permissions",
    "21216": "Call blocked by Twilio blocklist",
    "21217": "Phone number does not appear to be valid",
    "21212": "Invalid 'From' Phone Number",
    "21408": "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
    "21602": "Message body is required.",
    "21603": "A 'From' phone number is required.",
    "21604": "A 'To' phone number is required.",
    "21606": "The 'From' phone number provided is not a valid message-capable Twilio phone number",
    "21609": "Invalid 'StatusCallback' url",
    "21610": "Attempt to send to unsubscribed recipient",
    "21611": "This 'From' number has exceeded the maximum number of queued messages",
    "21612": "Message cannot be sent with the current combination of 'To' and/or 'From' parameters",
    "21614": "'To' number is not a valid mobile number",
    "21617": "The concatenated message body exceeds the 1600 character limit.",
    "21620": "Invalid media URL(s)",
    "21623": "Number of media files exceeds allowed limit.",
    "21655": "The ContentSid is invalid.",
    "21656": "The ContentVariables parameter is invalid.",
    "21705": "The Messaging Service Sid is invalid",
    "21910": "Invalid From and To pair. From and To should be of the same channel",
}
MAGIC_TO = {
    "+15005550001": "21211",
    "+15005550002": "21612",
    "+15005550003": "21408",
    "+15005550004": "21610",
    "+15005550009": "21614",
}
MAGIC_FROM = {"+15005550001": "21212", "+15005550007": "21606", "+15005550008": "21611"}
_HTTP = {"20003": 401, "20004": 405, "20404": 404, "20429": 429, "20500": 500, "20503": 503}
_BY_HTTP = {401: "20003", 404: "20404", 405: "20004", 429: "20429", 500: "20500", 503: "20503"}


def refusal(code: str, status: int = 0) -> Refusal:
    """Build Twilio's error answer."""
    status = status or _HTTP.get(code, 400)
    body = {
        "code": int(code),
        "message": TEXTS.get(code, "An ordered failure"),
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Refusal(json_reply(body, status), code)


def refuse(code: str) -> NoReturn:
    """Refuse the request."""
    raise refusal(code)


class Twilio:
    """The messages endpoint. Any token is right for any account but those beginning `bad`."""

    name = "twilio"

    def __init__(self) -> None:
        self._ids = count()
        self._run = secrets.token_hex(8)

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        if request.method == "GET" and (of := _ACCOUNT.fullmatch(request.path)):
            _authenticate(request, of[1])
            return Accepted([], json_reply(_account(of[1])), "")
        found = _RESOURCE.fullmatch(request.path)
        if not found or not _SID.fullmatch(found[1]):
            refuse("20404")
        if request.method != "POST":
            refuse("20004")
        _authenticate(request, found[1])
        form: Form = {}
        if request.header(b"content-type").startswith("application/x-www-form-urlencoded"):
            form = form_of(request.body.decode("latin-1"))
        if found[2] == "Calls":
            return self._placed(form, found[1])
        _check(form)
        text = _text(form)
        sid = f"{'MM' if text.media else 'SM'}{self._run}{next(self._ids):016x}"
        return Accepted([_call(form, text)], json_reply(_resource(form, text, found[1], sid), 201), sid)

    def _placed(self, form: Form, account: str) -> Accepted:
        code, call = twilio_calls.read(form)
        if call is None:
            refuse(code)
        sid = f"CA{self._run}{next(self._ids):016x}"
        return Accepted([call], json_reply(twilio_calls.resource(form, account, sid), 201), sid)

    def search(self, request: Request, sent: Sent) -> Reply | None:
        """List the newest messages, or those to one number."""
        found = PATH.fullmatch(request.path)
        if request.method != "GET" or not found or not _SID.fullmatch(found[1]):
            return None
        _authenticate(request, found[1])
        asked = request.parameters()
        size = min(max(int(asked.get("PageSize") or 50), 1), 1_000)
        mine = (one for one in sent.newest() if _is_to(one, asked.get("To", "")))
        messages = [_listed(one, found[1]) for one in islice(mine, size)]
        return json_reply({"messages": messages, "page": 0, "page_size": size, "next_page_uri": None})

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or a number with 21211 or the code ordered."""
        if fault.kind == "status":
            answer = refusal(fault.code or _BY_HTTP.get(fault.status, "20500"), fault.status)
            if fault.retry_after_s is None:
                return answer
            headers = {"Retry-After": str(fault.retry_after_s)}
            return Refusal(Reply(fault.status, answer.reply.body, headers), answer.code)
        if fault.kind in ("refused_number", "bounce", "dead_token"):
            return refusal(fault.code or "21211")
        return None


def _account(sid: str) -> dict[str, object]:
    return {"sid": sid, "friendly_name": "Sandbox", "status": "active", "type": "Full"}


def _resource(form: Form, text: Text, account: str, sid: str) -> dict[str, object]:
    """Give the message as Twilio shows it at first."""
    service = _first(form, "MessagingServiceSid") or None
    path = f"/2010-04-01/Accounts/{account}/Messages/{sid}"
    now = _date(int(time.time()))
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": text.body,
        "date_created": now,
        "date_sent": None,
        "date_updated": now,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": _first(form, "From") or None,
        "messaging_service_sid": service,
        "num_media": str(len(text.media)),
        "num_segments": "0" if service else str(text.segments),
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": "scheduled" if "SendAt" in form else "accepted" if service else "queued",
        "subresource_uris": {"media": f"{path}/Media.json"},
        "to": _first(form, "To"),
        "uri": f"{path}.json",
    }


def _is_to(entry: Entry, number: str) -> bool:
    kept = entry.call.provider == "twilio" and entry.status != REFUSED
    of_messages = entry.call.channel != "voice"
    return kept and of_messages and (not number or entry.call.recipient == number.removeprefix(_WHATSAPP))


def _listed(entry: Entry, account: str) -> dict[str, object]:
    """Give a message as Twilio shows it once it is with the carrier."""
    text = msgspec.json.decode(entry.call.content, type=Text)
    form: Form = {"To": [entry.call.recipient], "From": [text.sender]}
    made = _date(entry.at_ms // 1_000)
    dates = {"date_created": made, "date_sent": made, "date_updated": made}
    return {**_resource(form, text, account, entry.provider_id), **dates, "status": "sent"}


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def _authenticate(request: Request, account: str) -> None:
    scheme, _, encoded = request.header(b"authorization").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        refuse("20003")
    known = user == account or _KEY.fullmatch(user)
    if scheme.lower() != "basic" or not known or not password or password.startswith("bad"):
        refuse("20003")


def _first(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _check(form: Form) -> None:
    to, sender = _first(form, "To"), _first(form, "From")
    service = _first(form, "MessagingServiceSid")
    if not to:
        refuse("21604")
    if not sender and not service:
        refuse("21603")
    _check_numbers(to, sender)
    if service and not _SERVICE.fullmatch(service):
        refuse("21705")
    _check_body(form)
    _check_options(form)


def _check_numbers(to: str, sender: str) -> None:
    number, origin = to.removeprefix("whatsapp:"), sender.removeprefix("whatsapp:")
    if not _NUMBER.fullmatch(number):
        refuse("21211")
    if sender and not _SENDER.fullmatch(origin):
        refuse("21212")
    if sender and (number == to) != (origin == sender):
        refuse("21910")
    if code := MAGIC_TO.get(number) or MAGIC_FROM.get(origin):
        refuse(code)


def _check_body(form: Form) -> None:
    body, media = _first(form, "Body"), form.get("MediaUrl", [])
    template = _first(form, "ContentSid")
    if not body and not media and not template:
        refuse("21602")
    if len(body) > MAX_BODY:
        refuse("21617")
    if len(media) > MAX_MEDIA:
        refuse("21623")
    if not all(_is_url(url) for url in media):
        refuse("21620")
    if template and not _CONTENT.fullmatch(template):
        refuse("21655")
    if variables := _first(form, "ContentVariables"):
        _check_variables(variables)


def _check_variables(variables: str) -> None:
    try:
        msgspec.json.decode(variables, type=dict[str, str])
    except msgspec.DecodeError:
        refuse("21656")


def _check_options(form: Form) -> None:
    callback = _first(form, "StatusCallback")
    if callback and (not _is_url(callback) or "_" in (urlsplit(callback).hostname or "")):
        refuse("21609")
    period = _first(form, "ValidityPeriod")
    if period and not (period.isdecimal() and 1 <= int(period) <= 36_000):
        refuse("20001")
    if "SendAt" in form and (
        _first(form, "ScheduleType") != "fixed" or not _first(form, "MessagingServiceSid")
    ):
        refuse("20001")


def _is_url(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _text(form: Form) -> Text:
    body = _first(form, "Body")
    billing = bill(body)
    return Text(
        body=body,
        sender=_first(form, "From").removeprefix(_WHATSAPP) or _first(form, "MessagingServiceSid"),
        encoding=billing.encoding,
        segments=billing.segments,
        units=billing.units,
        media=form.get("MediaUrl", []),
        template=_first(form, "ContentSid"),
        variables=_variables(form),
    )


def _variables(form: Form) -> dict[str, str]:
    given = _first(form, "ContentVariables")
    return msgspec.json.decode(given, type=dict[str, str]) if given else {}


def _call(form: Form, text: Text) -> Call:
    asked = form_of(urlsplit(_first(form, "StatusCallback")).query)
    to = _first(form, "To")
    return Call(
        provider="twilio",
        channel="whatsapp" if to.startswith(_WHATSAPP) else "sms",
        recipient=to.removeprefix(_WHATSAPP),
        message_id=_first(asked, "message_id"),
        mark=_first(asked, "tocsin_mark"),
        user=user_key(_first(asked, "tenant"), _first(asked, "user")),
        title=preview(text.body or " · ".join(text.variables.values()) or text.template),
        content=encode(text),
    )
