"""Stands in for Amazon SNS's query API: `Publish` to a phone number, and `GetSMSAttributes`."""

import re
import uuid
from collections.abc import Callable, Mapping
from html import escape
from typing import NoReturn

from tocsin.devkit.sandbox import aws_v4
from tocsin.devkit.sandbox.content import Text, encode, preview
from tocsin.devkit.sandbox.faults import Fault
from tocsin.devkit.sandbox.request_handler import Accepted
from tocsin.devkit.sandbox.segments import bill
from tocsin.devkit.sandbox.sent import Call
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, form_of

XML = "text/xml"
MAX_BYTES = 1600
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_ENTRY = re.compile(r"MessageAttributes\.entry\.([0-9]+)\.(Name|Value\.DataType|Value\.StringValue)")
_PRICE = re.compile(r"[0-9]+(\.[0-9]+)?")
_SENDER_ID = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9-]{3,11}")
_ORIGIN = re.compile(r"\+?[0-9]{5,14}")
_HTTP = {
    "AuthorizationError": 403,
    "InternalError": 500,
    "InvalidClientTokenId": 403,
    "NotFound": 404,
    "RequestExpired": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "Throttled": 429,
}
_BY_HTTP = {
    403: "AuthorizationError",
    404: "NotFound",
    429: "Throttled",
    500: "InternalError",
    503: "ServiceUnavailable",
}
_TEXTS = {
    "OptedOut": "Phone number is opted out",
    "Throttling": "Rate exceeded",
    "Throttled": "Rate exceeded",
}


def refusal(code: str, text: str = "", status: int = 0) -> Refusal:
    """Build Amazon's error answer."""
    status = status or _HTTP.get(code, 400)
    kind = "Receiver" if status >= 500 else "Sender"
    said = escape(text or _TEXTS.get(code, "An ordered failure"))
    body = (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">\n'
        f"  <Error>\n    <Type>{kind}</Type>\n    <Code>{code}</Code>\n    <Message>{said}</Message>\n"
        f"  </Error>\n  <RequestId>{uuid.uuid4()}</RequestId>\n</ErrorResponse>\n"
    )
    return Refusal(Reply(status, body.encode(), {}, XML), code)


def refuse(code: str, text: str = "") -> NoReturn:
    """Refuse the request."""
    raise refusal(code, text)


def _invalid(name: str, reason: str) -> NoReturn:
    refuse("InvalidParameter", f"Invalid parameter: {name} Reason: {reason}")


class Sns:
    """The query endpoint, for text messages; it stands under `/sns`."""

    name = "sns"

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms

    def judge(self, request: Request) -> Accepted:
        """Judge a request."""
        if request.method != "POST" or request.path != "/":
            refuse("NotFound", "The requested resource does not exist.")
        if code := aws_v4.check(request, "sns", "/sns", self._clock_ms()):
            refuse(code, "The request signature we calculated does not match the signature you provided.")
        form = {name: values[-1] for name, values in form_of(request.body.decode("latin-1")).items()}
        if form.get("Version") != "2010-03-31":
            refuse("InvalidAction", "Could not find operation for this version")
        if form.get("Action") == "GetSMSAttributes":
            return Accepted([], _result("GetSMSAttributes", _SETTINGS), "")
        if form.get("Action") != "Publish":
            refuse("InvalidAction", f"Could not find operation {form.get('Action', '')}")
        attributes = _publishable(form)
        provider_id = str(uuid.uuid4())
        reply = _result("Publish", f"<MessageId>{provider_id}</MessageId>")
        message_id = request.header(b"amz-sdk-invocation-id").replace("-", "")
        return Accepted([_call(form, attributes, message_id)], reply, provider_id)

    def fail(self, fault: Fault) -> Refusal | None:
        """Refuse with a status, or a number with `InvalidParameter` or the code ordered."""
        if fault.kind == "status":
            code = fault.code or _BY_HTTP.get(fault.status, "InternalError")
            answer = refusal(code, status=fault.status)
            if fault.retry_after_s is None:
                return answer
            headers = {"Retry-After": str(fault.retry_after_s)}
            return Refusal(Reply(fault.status, answer.reply.body, headers, XML), code)
        if fault.kind in ("refused_number", "bounce", "dead_token"):
            text = "Invalid parameter: PhoneNumber Reason: is not valid to publish to"
            return refusal(fault.code) if fault.code else refusal("InvalidParameter", text)
        return None


_SETTINGS = (
    "<attributes>"
    "<entry><key>MonthlySpendLimit</key><value>1</value></entry>"
    "<entry><key>DefaultSMSType</key><value>Promotional</value></entry>"
    "</attributes>"
)


def _result(action: str, inner: str) -> Reply:
    body = (
        f'<{action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/">\n'
        f"  <{action}Result>{inner}</{action}Result>\n"
        f"  <ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>\n</{action}Response>\n"
    )
    return Reply(200, body.encode(), {}, XML)


def _publishable(form: Mapping[str, str]) -> dict[str, str]:
    """Check a message, and give its attributes."""
    if len([name for name in ("PhoneNumber", "TopicArn", "TargetArn") if form.get(name)]) != 1:
        _invalid("TopicArn or TargetArn or PhoneNumber", "exactly one must be given")
    if not _NUMBER.fullmatch(form.get("PhoneNumber", "")):
        _invalid("PhoneNumber", f"{form.get('PhoneNumber', '')} is not valid to publish to")
    if not form.get("Message"):
        _invalid("Message", "Empty message")
    if len(form["Message"].encode()) > MAX_BYTES:
        _invalid("Message", "too long")
    attributes = _attributes(form)
    _check_attributes(attributes)
    return attributes


def _attributes(form: Mapping[str, str]) -> dict[str, str]:
    """Read the numbered entries; a gap or a missing part is refused, and so is a number given as text."""
    entries: dict[int, dict[str, str]] = {}
    for name, value in form.items():
        found = _ENTRY.fullmatch(name)
        if found:
            entries.setdefault(int(found[1]), {})[found[2]] = value
        elif name.startswith("MessageAttributes"):
            refuse("MalformedQueryString", f"{name} is not understood")
    if sorted(entries) != list(range(1, len(entries) + 1)):
        refuse("MalformedQueryString", "entries are numbered from 1, without gaps")
    for entry in entries.values():
        if len(entry) != 3 or entry["Value.DataType"] not in ("String", "Number"):
            refuse("ParameterValueInvalid", "The message attribute must have a name, a type and a value")
    if any((e["Value.DataType"] == "Number") != e["Name"].endswith("MaxPrice") for e in entries.values()):
        refuse("ParameterValueInvalid", "The data type of a message attribute is not valid")
    return {entry["Name"]: entry["Value.StringValue"] for entry in entries.values()}


_RULES: Mapping[str, re.Pattern[str]] = {
    "AWS.SNS.SMS.SMSType": re.compile("Transactional|Promotional"),
    "AWS.SNS.SMS.SenderID": _SENDER_ID,
    "AWS.SNS.SMS.MaxPrice": _PRICE,
    "AWS.MM.SMS.OriginationNumber": _ORIGIN,
    "AWS.MM.SMS.EntityId": re.compile(".{1,50}"),
    "AWS.MM.SMS.TemplateId": re.compile(".{1,50}"),
}


def _check_attributes(attributes: Mapping[str, str]) -> None:
    for name, value in attributes.items():
        rule = _RULES.get(name)
        if name.startswith("AWS.") and rule is None:
            _invalid("MessageAttributes", f"{name} is not known")
        if rule is not None and not rule.fullmatch(value):
            _invalid("MessageAttributes", f"{name} is not valid")


def _call(form: Mapping[str, str], attributes: Mapping[str, str], message_id: str) -> Call:
    body = form["Message"]
    billing = bill(body)
    named = attributes.get("AWS.SNS.SMS.SenderID") or attributes.get("AWS.MM.SMS.OriginationNumber")
    text = Text(
        body=body,
        sender=named or "Amazon",
        encoding=billing.encoding,
        segments=billing.segments,
        units=billing.units,
    )
    return Call(
        provider="sns",
        channel="sms",
        recipient=form["PhoneNumber"],
        message_id=message_id,
        title=preview(body),
        content=encode(text),
    )
