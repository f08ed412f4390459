"""Webhooks of all vendors: what is genuine is read, and what was forged, altered or kept too long is not."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twilio.request_validator import RequestValidator

from tests.providers.samples import NOW_S
from tocsin.decision.receipts import KINDS
from tocsin.devkit.sandbox import callbacks
from tocsin.devkit.sandbox.callbacks import Webhook, make_keys
from tocsin.errors import ReportError
from tocsin.providers import sns_signature
from tocsin.providers.registry import vendors
from tocsin.providers.reports import Posted, Reported, readers
from tocsin.providers.twilio_signature import covers_body, is_signed
from tocsin.providers.vendor import Account

KEYS = make_keys(datetime.fromtimestamp(NOW_S, UTC))
OTHER = make_keys(datetime.fromtimestamp(NOW_S, UTC))
SID = "AC" + "0" * 32
TOPIC = "arn:aws:sns:eu-west-1:000000000000:tocsin"
HOOK = "https://notify.example/v1/callbacks/x/y"
OURS = {"message_id": "0" * 32, "tocsin_mark": "sealed"}
TAGS = {"tocsin_mark": ["sealed"], "message_id": ["0" * 32]}
TWILIO = {"account_sid": SID, "auth_token": "t0ken"}
ACCOUNTS: dict[str, dict[str, Any]] = {
    "twilio": TWILIO,
    "twilio-whatsapp": TWILIO,
    "twilio-voice": TWILIO,
    "vonage": {
        "api_key": "abcd1234",
        "api_secret": "s",
        "signature_secret": "s3cret",
        "signature_method": "sha256",
    },
    "sendgrid": {"api_key": "SG.x", "webhook_key": KEYS.sendgrid_public},
    "mailgun": {"domain": "mg.example.com", "api_key": "k", "webhook_key": "s1gning"},
    "mandrill": {"api_key": "k", "webhook_key": "wh00k"},
    "ses": {
        "region": "eu-west-1",
        "access_key_id": "AK",
        "secret_access_key": "s",
        "topics": [TOPIC],
        "topic_certificate": KEYS.sns_certificate.decode(),
    },
}
DELIVERED = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+14155552671"}
QUERY = "?message_id=m1&tocsin_mark=sealed"


def account(vendor: str, **fields: Any) -> Account:
    known = vendors()[vendor].account
    return known.model_validate({"vendor": vendor, **ACCOUNTS[vendor], **fields})


def posted(hook: Webhook, now_s: float = NOW_S) -> Posted:
    url, _, query = hook.url.partition("?")
    return Posted(hook.method, url, query, hook.headers, hook.body, now_s)


def read(vendor: str, hook: Webhook, now_s: float = NOW_S, **fields: Any) -> Reported:
    return readers()[vendor].read(account(vendor, **fields), posted(hook, now_s))


def mail_event(vendor: str, **fields: Any) -> Any:
    """Make the event of a delivery as a vendor of mail writes it."""
    if vendor == "ses":
        mail = {"messageId": "1", "tags": TAGS, "timestamp": "2023-11-14T22:13:20Z"}
        return {"eventType": "Delivery", "mail": mail, "delivery": {}, **fields}
    if vendor == "mailgun":
        return {"event": "delivered", "id": "e1", "timestamp": NOW_S, "user-variables": OURS, **fields}
    if vendor == "mandrill":
        return {"event": "delivered", "_id": "e1", "ts": int(NOW_S), "msg": {"metadata": OURS}, **fields}
    return {"event": "delivered", "sg_event_id": "e1", "timestamp": int(NOW_S), **OURS, **fields}


def signed(vendor: str, event: Any = None, now_s: float = NOW_S, keys: Any = None) -> Webhook:
    """Sign a webhook with the right keys, or with `keys`."""
    keys, event = keys or KEYS, event or mail_event(vendor)
    wrong = "" if keys is KEYS else "wrong"
    makers: dict[str, Callable[[], Webhook]] = {
        "vonage": lambda: callbacks.vonage(
            HOOK + QUERY, {"status": "delivered", "messageId": "V1"}, f"s3cret{wrong}", now_s
        ),
        "sendgrid": lambda: callbacks.sendgrid(HOOK, [event], keys.sendgrid, now_s),
        "mailgun": lambda: callbacks.mailgun(HOOK, event, f"s1gning{wrong}", now_s),
        "mandrill": lambda: callbacks.mandrill(HOOK, [event], f"wh00k{wrong}"),
        "ses": lambda: callbacks.ses(HOOK, event, keys.sns, now_s),
    }
    return makers.get(vendor, lambda: callbacks.twilio(HOOK + QUERY, DELIVERED, f"t0ken{wrong}"))()


VENDORS = pytest.mark.parametrize("vendor", sorted(ACCOUNTS))
DATED = pytest.mark.parametrize(
    ("vendor", "hours"), [("vonage", 26), ("sendgrid", 26), ("mailgun", 13), ("ses", 3)]
)
MAIL = ("sendgrid", "mailgun", "mandrill", "ses")


def test_every_reader_is_tested() -> None:
    assert set(readers()) == set(ACCOUNTS)


@VENDORS
def test_what_the_vendor_signed_is_a_receipt_of_its_message(vendor: str) -> None:
    (receipt,) = read(vendor, signed(vendor)).receipts
    assert (receipt.kind, receipt.mark, receipt.address) == ("delivered", "sealed", "")
    assert receipt.receipt_id


@VENDORS
def test_another_key_is_not_believed(vendor: str) -> None:
    with pytest.raises(ReportError) as refused:
        read(vendor, signed(vendor, keys=OTHER))
    assert refused.value.why == "forged"


@VENDORS
def test_nothing_is_believed_without_a_signature(vendor: str) -> None:
    hook = signed(vendor)
    body = json.dumps({"event-data": mail_event("mailgun")}).encode() if vendor == "mailgun" else hook.body
    bare = {"content-type": hook.headers["content-type"]}
    if vendor in ("ses", "vonage"):
        body = body.replace(b"Signature", b"Nothing").replace(b"sig=", b"nix=")
    with pytest.raises(ReportError):
        read(vendor, hook._replace(headers=bare, body=body))


@VENDORS
def test_an_account_that_cannot_check_takes_nothing(vendor: str) -> None:
    without: dict[str, dict[str, Any]] = {
        "vonage": {"signature_secret": ""},
        "ses": {"topics": []},
        "sendgrid": {"webhook_key": ""},
        "mailgun": {"webhook_key": ""},
        "mandrill": {"webhook_key": ""},
    }
    fields = without.get(vendor, {"key_sid": "SK" + "0" * 32})
    with pytest.raises(ReportError) as refused:
        read(vendor, signed(vendor), **fields)
    assert refused.value.why == "unconfigured"


@DATED
def test_what_was_kept_too_long_or_is_of_the_future_is_refused(vendor: str, hours: int) -> None:
    hook = signed(vendor)
    assert read(vendor, hook, NOW_S + 3_000).receipts
    for late_s in (hours * 3_600, -600):
        with pytest.raises(ReportError):
            read(vendor, hook, NOW_S + late_s)


def flips(hook: Webhook) -> Iterator[tuple[str, int]]:
    yield from (("body", place) for place in range(len(hook.body)))
    yield from ((name, place) for name, value in hook.headers.items() for place in range(len(value)))
    yield from (("url", place) for place in range(len("https://notify.example"), len(hook.url)))


def altered(hook: Webhook, part: str, place: int, bits: int) -> Webhook:
    """Change some bits of one byte of a webhook."""
    if part == "url":
        changed = hook.url[:place] + chr(ord(hook.url[place]) ^ bits) + hook.url[place + 1 :]
        return hook._replace(url=changed)
    if part == "body":
        return hook._replace(
            body=hook.body[:place] + bytes([hook.body[place] ^ bits]) + hook.body[place + 1 :]
        )
    value = hook.headers[part]
    changed = value[:place] + chr(ord(value[place]) ^ bits) + value[place + 1 :]
    return hook._replace(headers=hook.headers | {part: changed})


@cache
def once(vendor: str) -> Webhook:
    """Sign one webhook for all examples: signatures have random parts."""
    return signed(vendor)


COVERS_URL = frozenset({"twilio", "twilio-whatsapp", "twilio-voice", "mandrill"})
"""Vendors whose signature covers the address."""


@VENDORS
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_byte_never_gives_another_receipt(vendor: str, data: st.DataObject) -> None:
    hook = once(vendor)
    known = read(vendor, hook)
    part, place = data.draw(
        st.sampled_from([each for each in flips(hook) if vendor in COVERS_URL or each[0] != "url"])
    )
    changed = altered(hook, part, place, data.draw(st.integers(1, 127)))
    try:
        found = read(vendor, changed)
    except ReportError:
        return
    if vendor == "mailgun":  # the token may be used once; the receiver holds it against the body
        assert found.once == known.once
        return
    assert (found.receipts, found.confirm) in ((known.receipts, ""), ((), "")), (part, place)


@given(
    url=st.sampled_from(
        [
            "https://a.example/x?a=1",
            "http://a.example:8080/x",
            "https://a.example:443/x?bodySHA256=1",
            "http://a.example/",
        ]
    ),
    fields=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5),
    token=st.text(min_size=1, max_size=9),
)
@example(url="https://user@a.example/x", fields={"a": "b"}, token="t")
def test_twilios_own_validator_agrees(url: str, fields: dict[str, str], token: str) -> None:
    judge = RequestValidator(token)
    assert is_signed(token, url, fields.items(), judge.compute_signature(url, fields))
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
    for spelled in (f"{parts.scheme}://{host}{parts.path}", f"{parts.scheme}://{host}:{port}{parts.path}"):
        made = judge.compute_signature(spelled, fields)
        assert is_signed(token, spelled, fields.items(), made) == judge.validate(spelled, fields, made)
    assert not is_signed(token, url, fields.items(), judge.compute_signature(f"{url}x", fields))


def test_a_repeated_field_is_signed_as_twilios_own_client_signs_it() -> None:
    class Form(dict[str, list[str]]):
        def getlist(self, name: str) -> list[str]:
            return self[name]

    pairs = [("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "a"), ("To", "+1")]
    judge = RequestValidator("t").compute_signature(HOOK, Form(MediaUrl=["b", "a", "a"], To=["+1"]))
    assert is_signed("t", HOOK, pairs, judge)


def test_a_body_that_is_no_form_must_be_named_by_the_signed_address() -> None:
    body = b'{"MessageStatus":"delivered"}'
    url = f"{HOOK}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    hook = callbacks.twilio(url, {}, "t0ken")
    right = hook._replace(body=body, headers=hook.headers | {"content-type": "application/json"})
    assert read("twilio", right).receipts == ()
    assert not covers_body(url, body + b" ")
    with pytest.raises(ReportError, match="cover"):
        read("twilio", right._replace(body=body + b" "))


def test_the_account_s_own_token_signs_where_an_api_key_sends() -> None:
    key = {"key_sid": "SK" + "0" * 32, "auth_token": "secret of the key"}
    own = account("twilio", **key, webhook_token="t0ken")
    assert readers()["twilio"].read(own, posted(signed("twilio"))).receipts


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"Body": "STOP"}, "opted_out"),
        ({"Body": "  stop. "}, "opted_out"),
        ({"Body": "Arrêt"}, "opted_out"),
        ({"Body": "whatever", "OptOutType": "STOP"}, "opted_out"),
        ({"Body": "START"}, "resubscribed"),
        ({"Body": "yes", "OptOutType": "START"}, "resubscribed"),
    ],
)
@pytest.mark.parametrize(("vendor", "sender"), [("twilio", "+1555"), ("twilio-whatsapp", "whatsapp:+1555")])
def test_a_reply_stops_or_starts_messages_to_its_sender(
    vendor: str, sender: str, fields: dict[str, str], kind: str
) -> None:
    said = {"MessageSid": "SM7", "SmsStatus": "received", "From": sender, "To": "+1999", **fields}
    (receipt,) = read(vendor, callbacks.twilio(HOOK, said, "t0ken")).receipts
    assert (receipt.kind, receipt.address, receipt.mark) == (kind, "+1555", "")


@pytest.mark.parametrize("body", ["", "please stop by at noon", "YES", "HELP", "stopover", "thanks"])
def test_other_replies_change_nothing(body: str) -> None:
    said = {"MessageSid": "SM7", "SmsStatus": "received", "From": "+1555", "Body": body}
    assert read("twilio", callbacks.twilio(HOOK, said, "t0ken")) == Reported(ignored=1)


def test_a_reply_by_vonage_stops_its_sender() -> None:
    said = {"msisdn": "4477", "text": "Stop", "messageId": "V2", "message-timestamp": "2023-11-14 22:13:20"}
    (receipt,) = read("vonage", callbacks.vonage(HOOK, said, "s3cret", NOW_S)).receipts
    assert (receipt.kind, receipt.address, receipt.at_ms) == ("opted_out", "+4477", int(NOW_S * 1_000))


def test_vonage_may_report_by_get_or_json() -> None:
    hook = signed("vonage")
    signed_fields = hook.body.decode()
    by_get = Webhook(f"{HOOK}{QUERY}&{signed_fields}", {}, b"", "GET")
    fields = dict(pair.split("=", 1) for pair in signed_fields.split("&"))
    as_json = hook._replace(headers={"content-type": "application/json"}, body=json.dumps(fields).encode())
    assert (
        read("vonage", by_get).receipts == read("vonage", as_json).receipts == read("vonage", hook).receipts
    )


MAIL_EVENTS = [
    ("sendgrid", {"event": "bounce", "type": "bounce"}, "bounced", "permanent"),
    ("sendgrid", {"event": "bounce", "type": "blocked"}, "bounced", "blocked"),
    ("sendgrid", {"event": "dropped", "reason": "Bounced Address"}, "bounced", "permanent"),
    ("sendgrid", {"event": "dropped", "reason": "Unsubscribed Address"}, "opted_out", "unsubscribed_address"),
    ("sendgrid", {"event": "dropped", "reason": "Spam Content"}, "bounced", "spam_content"),
    ("sendgrid", {"event": "spamreport"}, "complained", ""),
    ("sendgrid", {"event": "unsubscribe"}, "opted_out", ""),
    ("sendgrid", {"event": "group_unsubscribe"}, "unsubscribed", ""),
    ("sendgrid", {"event": "open", "useragent": "Mozilla/5.0 (X11) Firefox/128.0"}, "opened", ""),
    ("sendgrid", {"event": "open", "sg_machine_open": True}, "opened", "machine"),
    ("sendgrid", {"event": "click", "useragent": "Barracuda Sentinel (EE)"}, "clicked", "machine"),
    ("mailgun", {"event": "failed", "severity": "permanent", "reason": "bounce"}, "bounced", "permanent"),
    ("mailgun", {"event": "failed", "severity": "permanent", "reason": "old"}, "bounced", "old"),
    (
        "mailgun",
        {"event": "failed", "severity": "permanent", "reason": "generic", "delivery-status": {"code": 602}},
        "bounced",
        "generic",
    ),
    (
        "mailgun",
        {"event": "failed", "severity": "permanent", "reason": "suppress-unsubscribe"},
        "opted_out",
        "suppress_unsubscribe",
    ),
    ("mailgun", {"event": "rejected"}, "bounced", "rejected"),
    ("mailgun", {"event": "complained"}, "complained", ""),
    ("mailgun", {"event": "unsubscribed"}, "unsubscribed", ""),
    ("mailgun", {"event": "opened", "client-info": {"bot": "apple"}}, "opened", "machine"),
    ("mailgun", {"event": "clicked", "client-info": {"bot": "", "user-agent": "x (Gecko)"}}, "clicked", ""),
    ("mandrill", {"event": "hard_bounce"}, "bounced", "permanent"),
    ("mandrill", {"event": "soft_bounce"}, "bounced", "soft_bounce"),
    (
        "mandrill",
        {"event": "reject", "msg": {"metadata": OURS, "reject": {"reason": "unsub"}}},
        "opted_out",
        "unsub",
    ),
    ("mandrill", {"event": "reject"}, "bounced", "reject"),
    ("mandrill", {"event": "spam"}, "complained", ""),
    ("mandrill", {"event": "unsub"}, "unsubscribed", ""),
    ("mandrill", {"event": "open", "user_agent": "Mozilla/5.0"}, "opened", "machine"),
    ("ses", {"eventType": "Bounce", "bounce": {"bounceType": "Permanent"}}, "bounced", "permanent"),
    ("ses", {"eventType": "Bounce", "bounce": {"bounceType": "Transient"}}, "bounced", "transient"),
    ("ses", {"eventType": "Complaint", "complaint": {}}, "complained", ""),
    (
        "ses",
        {"eventType": "Complaint", "complaint": {"complaintSubType": "OnAccountSuppressionList"}},
        "opted_out",
        "suppression_list",
    ),
    ("ses", {"eventType": "Reject"}, "bounced", "reject"),
    ("ses", {"eventType": "Rendering Failure"}, "bounced", "rendering_failure"),
    ("ses", {"eventType": "Open", "open": {"userAgent": "Mozilla/5.0"}}, "opened", "machine"),
    ("ses", {"eventType": "Click", "click": {"link": "https://x", "userAgent": "a (b) c"}}, "clicked", ""),
    (
        "ses",
        {"eventType": "Subscription", "subscription": {"newTopicPreferences": {"unsubscribeAll": True}}},
        "unsubscribed",
        "",
    ),
    ("ses", {"eventType": "", "notificationType": "Delivery"}, "delivered", ""),
]


@pytest.mark.parametrize(("vendor", "fields", "kind", "reason"), MAIL_EVENTS)
def test_each_event_has_its_meaning(vendor: str, fields: dict[str, Any], kind: str, reason: str) -> None:
    (receipt,) = read(vendor, signed(vendor, mail_event(vendor, **fields))).receipts
    assert (receipt.kind, receipt.reason, receipt.mark) == (kind, reason, "sealed")
    assert receipt.kind in KINDS


@pytest.mark.parametrize(
    ("vendor", "fields"),
    [
        ("sendgrid", {"event": "processed"}),
        ("sendgrid", {"event": "deferred"}),
        ("mailgun", {"event": "accepted"}),
        ("mailgun", {"event": "failed", "severity": "temporary"}),
        ("mandrill", {"event": "send"}),
        ("mandrill", {"event": "deferral"}),
        ("mandrill", {"event": "", "type": "blacklist"}),
        ("ses", {"eventType": "Send"}),
        ("ses", {"eventType": "DeliveryDelay"}),
        ("ses", {"eventType": "Complaint", "complaint": {"complaintFeedbackType": "not-spam"}}),
    ],
)
def test_states_below_delivered_change_nothing(vendor: str, fields: dict[str, Any]) -> None:
    found = read(vendor, signed(vendor, mail_event(vendor, **fields)))
    assert (found.receipts, found.ignored) == ((), 1)


@pytest.mark.parametrize("vendor", MAIL)
@pytest.mark.parametrize("said", ["brand_new", "unblocked", "failed!", "read"])
def test_an_event_that_nobody_knows_has_a_kind_of_its_own(vendor: str, said: str) -> None:
    field = "eventType" if vendor == "ses" else "event"
    (receipt,) = read(vendor, signed(vendor, mail_event(vendor, **{field: said}))).receipts
    assert receipt.kind.startswith(f"{vendor}_")
    assert receipt.kind not in KINDS


NAMES = st.sampled_from(
    [
        "event",
        "msg",
        "mail",
        "tags",
        "reason",
        "bounce",
        "headers",
        "user-variables",
        "timestamp",
        "eventType",
    ]
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(NAMES, c)
)


@pytest.mark.parametrize("vendor", MAIL)
@settings(max_examples=20, deadline=None)
@given(junk=JUNK)
def test_whatever_a_genuine_webhook_holds_is_read(vendor: str, junk: Any) -> None:
    with contextlib.suppress(ReportError):
        read(vendor, signed(vendor, junk))


def test_an_event_without_a_mark_names_its_address() -> None:
    bare = {"event": "spamreport", "email": "ann@mail.example", "sg_event_id": "e", "timestamp": 1}
    (receipt,) = read("sendgrid", callbacks.sendgrid(HOOK, [bare], KEYS.sendgrid, NOW_S)).receipts
    assert (receipt.address, receipt.mark, receipt.at_ms) == ("ann@mail.example", "", 1_000)


def test_a_long_mark_comes_back_in_the_header_of_the_mail() -> None:
    mail = {"messageId": "1", "headers": [{"name": "x-tocsin-mark", "value": "long"}]}
    (receipt,) = read("ses", signed("ses", mail_event("ses", mail=mail))).receipts
    assert receipt.mark == "long"


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_of_sns_are_known(version: Literal["1", "2"]) -> None:
    hook = callbacks.ses(HOOK, mail_event("ses"), KEYS.sns, NOW_S, version=version)
    assert read("ses", hook).receipts
    other = hook._replace(body=hook.body.replace(f'Version": "{version}"'.encode(), b'Version": "3"'))
    with pytest.raises(ReportError):
        read("ses", other)


CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "Token": "t",
    "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t",
}


def test_the_subscription_of_a_configured_topic_is_confirmed() -> None:
    hook = callbacks.ses(HOOK, "You have chosen…", KEYS.sns, NOW_S, more=CONFIRMATION)
    assert read("ses", hook) == Reported(confirm=CONFIRMATION["SubscribeURL"])


@pytest.mark.parametrize(
    "more",
    [
        {"SubscribeURL": "http://sns.eu-west-1.amazonaws.com/"},
        {"SubscribeURL": "https://169.254.169.254/latest/meta-data"},
        {"SubscribeURL": "https://sns.eu-west-1.amazonaws.com@10.0.0.1/"},
        {"TopicArn": "arn:aws:sns:eu-west-1:666666666666:theirs"},
    ],
)
def test_another_topic_or_address_is_never_called(more: dict[str, str]) -> None:
    hook = callbacks.ses(HOOK, "", KEYS.sns, NOW_S, more=CONFIRMATION | more)
    with pytest.raises(ReportError):
        read("ses", hook)


def test_the_note_of_ses_about_its_topic_is_taken() -> None:
    note = "Successfully validated SNS topic for Amazon SES event publishing."
    assert read("ses", callbacks.ses(HOOK, note, KEYS.sns, NOW_S)) == Reported(ignored=1)


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem#x",
        "https://sns.eu-west-1.amazonaws.com\\@evil.example/a.pem",
        "https://snsxeu-west-1.amazonaws.com/a.pem",
        "https://s3.eu-west-1.amazonaws.com/sns.pem",
        "https://sns.s3-us-west-2.amazonaws.com/a.pem",
        "https://sns.execute-api.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem?Action=x",
        "https://sns.eu-west-1.amazonaws.com/a.txt",
        "https://sns.eu-west-1.amazonaws.eu/a.pem",
        "https://sns.eusc-de-east-1.amazonaws.com/a.pem",
        "https://sns.eusc-de-east-1.amazonaws.eu.evil.example/a.pem",
        "https://[::1]/a.pem",
        "https://[/a.pem",
        "",
    ],
)
def test_certificates_come_from_amazon_only(url: str) -> None:
    assert not sns_signature.is_amazons(url, path_end=".pem")
    hook = callbacks.ses(HOOK, mail_event("ses"), KEYS.sns, NOW_S, more={"SigningCertURL": url})
    reader = readers()["ses"]
    assert reader.certificate_url is not None
    with pytest.raises(ReportError):
        reader.certificate_url(account("ses", topic_certificate=""), posted(hook))


@pytest.mark.parametrize(
    "host",
    [
        "eu-west-1.amazonaws.com",
        "ap-southeast-7.amazonaws.com",
        "us-gov-west-1.amazonaws.com",
        "cn-northwest-1.amazonaws.com.cn",
        "eusc-de-east-1.amazonaws.eu",
    ],
)
def test_certificates_come_from_the_server_of_the_region(host: str) -> None:
    url = f"https://sns.{host}/SimpleNotificationService-1.pem"
    hook = callbacks.ses(HOOK, mail_event("ses"), KEYS.sns, NOW_S, more={"SigningCertURL": url})
    reader = readers()["ses"]
    assert reader.certificate_url is not None
    assert reader.certificate_url(account("ses", topic_certificate=""), posted(hook)) == url


def test_the_fetched_certificate_is_the_one_that_counts() -> None:
    reader, without = readers()["ses"], account("ses", topic_certificate="")
    hook = posted(signed("ses"))
    assert reader.certificate_url is not None
    assert reader.certificate_url(without, hook).endswith(".pem")
    assert reader.read(without, hook._replace(certificate=KEYS.sns_certificate)).receipts
    for other in (OTHER.sns_certificate, b"", b"no certificate"):
        with pytest.raises(ReportError):
            reader.read(without, hook._replace(certificate=other))


def test_mandrill_tries_its_address_with_an_empty_post() -> None:
    assert read("mandrill", callbacks.mandrill(HOOK, [], "test-webhook")) == Reported()
    with pytest.raises(ReportError):
        read("mandrill", callbacks.mandrill(HOOK, [mail_event("mandrill")], "test-webhook"))


def test_a_batch_keeps_its_order_and_its_size() -> None:
    events = [mail_event("sendgrid", sg_event_id=f"e{number}") for number in range(1_000)]
    found = read("sendgrid", callbacks.sendgrid(HOOK, events, KEYS.sendgrid, NOW_S))
    assert [receipt.receipt_id for receipt in found.receipts] == [f"e{number}" for number in range(1_000)]


def test_a_wrong_verification_key_is_told_at_once() -> None:
    with pytest.raises(ValidationError, match="is no verification key"):
        account("sendgrid", webhook_key="MFkw")


def test_the_published_answers_of_sendgrid_hold() -> None:
    """From the tests of SendGrid's own client for Python (MIT license, (C) Twilio SendGrid, Inc.)."""
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaIN"
        "XvVpiglSI8eNEc6wEA3F+g=="
    )
    event = (
        '{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":'
        '"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv'
        '-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.'
        'net>","timestamp":1600112492}'
    )
    headers = {
        "x-twilio-email-event-webhook-timestamp": "1600112502",
        "x-twilio-email-event-webhook-signature": (
            "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
        ),
    }
    hook = Webhook(HOOK, headers, f"[{event}]\r\n".encode())
    (receipt,) = read("sendgrid", hook, 1_600_112_510, webhook_key=key).receipts
    assert (receipt.kind, receipt.reason, receipt.address) == ("bounced", "permanent", "hello@world.com")
    later = {**headers, "x-twilio-email-event-webhook-timestamp": "1600112503"}
    for wrong in (hook._replace(body=f"[{event}]".encode()), hook._replace(headers=later)):
        with pytest.raises(ReportError):
            read("sendgrid", wrong, 1_600_112_510, webhook_key=key)


@pytest.mark.parametrize("stamp", ["9" * 400, "9" * 5_000, "²", "-1", ""])
def test_a_time_that_a_forger_writes_is_no_fault(stamp: str) -> None:
    for body in (f"timestamp={stamp}".encode(), json.dumps({"timestamp": stamp}).encode()):
        form = body.startswith(b"t")
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        with pytest.raises(ReportError):
            read("vonage", Webhook(HOOK, {"content-type": kind}, body))


@pytest.mark.parametrize("kind", [["Notification"], {}, None, 1])
def test_a_type_that_a_forger_writes_is_no_fault(kind: Any) -> None:
    genuine = json.loads(signed("ses").body)
    with pytest.raises(ReportError) as refused:
        read("ses", Webhook(HOOK, {}, json.dumps(genuine | {"Type": kind}).encode()))
    assert refused.value.why == "forged"


def test_the_query_that_vonage_does_not_sign_names_no_message() -> None:
    def of(query: str, **fields: str) -> Any:
        said = {"status": "delivered", "messageId": "V1", **fields}
        (receipt,) = read("vonage", callbacks.vonage(HOOK + query, said, "s3cret", NOW_S)).receipts
        return receipt.message_id

    assert of("?message_id=another") == ""
    assert of("?message_id=another", **{"client-ref": "mine"}) == "mine"
    assert of(QUERY, **{"client-ref": "mine"}) == "mine"
