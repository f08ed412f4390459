"""SendGrid's contract, as the sheet says it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.box import MESSAGE_ID, Box, mail_document

Mail = dict[str, Any]


def test_a_right_mail_is_accepted_and_recorded(box: Box) -> None:
    answer = box.sendgrid()
    assert (answer.status_code, answer.content) == (202, b"")
    (record,) = box.send_log()
    assert record["message_id"] == MESSAGE_ID
    assert record["provider_id"] == answer.headers["x-message-id"]
    assert (record["provider"], record["channel"]) == ("sendgrid", "email")
    assert (record["recipient"], record["user"]) == ("ada@example.com", "default/ada")


def test_the_mail_is_shown_as_it_was_sent(box: Box) -> None:
    box.sendgrid()
    (message,) = box.sent()
    content = message["content"]
    assert (content["subject"], content["text"]) == ("Gate change", "Gate 12")
    assert content["html"] == "<p>Gate <b>12</b></p>"
    assert ["List-Unsubscribe", "<https://example.org/u/1>"] in content["headers"]


def test_each_personalization_is_a_message(box: Box) -> None:
    parts = [
        {"to": [{"email": f"p{n}@example.com"}], "custom_args": {"message_id": f"{n:032x}"}} for n in range(3)
    ]
    assert box.sendgrid(mail_document(personalizations=parts)).status_code == 202
    assert [record["message_id"] for record in box.send_log()] == [f"{n:032x}" for n in range(3)]
    assert len({record["provider_id"] for record in box.send_log()}) == 1


@pytest.mark.parametrize("key", ["none", "wrong", "SG.bad-revoked"])
def test_a_wrong_key_is_401(box: Box, key: str) -> None:
    answer = box.sendgrid(key=key)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["field"] is None


def change(**changes: Any) -> Callable[[Mail], None]:
    return lambda mail: mail.update(changes)


def drop(name: str) -> Callable[[Mail], None]:
    return lambda mail: mail.pop(name)


def recipient(**person: Any) -> Callable[[Mail], None]:
    return lambda mail: mail["personalizations"][0].update(person)


TEXT, HTML = {"type": "text/plain", "value": "a"}, {"type": "text/html", "value": "b"}
WRONG: list[tuple[Callable[[Mail], None], str]] = [
    (drop("personalizations"), "personalizations"),
    (change(personalizations=[]), "personalizations"),
    (recipient(to=[]), "personalizations.0.to"),
    (recipient(to=[{"email": "nobody"}]), "personalizations.0.to.0.email"),
    (recipient(to=[{"name": "Nobody"}]), "personalizations.0.to.0.email"),
    (recipient(cc=[{"email": "ADA@example.com"}]), "personalizations.0.cc"),
    (recipient(custom_args={"n": 1}), "personalizations.0.custom_args"),
    (recipient(custom_args={"n": "x" * 10_001}), "personalizations.0.custom_args"),
    (recipient(headers={"Subject": "x"}), "personalizations.0.headers.Subject"),
    (drop("from"), "from.email"),
    (change(**{"from": {"email": "x"}}), "from.email"),
    (drop("content"), "content"),
    (change(content=[]), "content"),
    (change(content=[HTML, TEXT]), "content"),
    (change(content=[{"type": "text/plain", "value": ""}]), "content.0.value"),
    (change(content=[{"type": "plain", "value": "a"}]), "content.0.type"),
    (drop("subject"), "subject"),
    (change(headers={"DKIM-Signature": "x"}), "headers.DKIM-Signature"),
    (change(headers={"X-A": "b\r\nBcc: c"}), "headers.X-A"),
    (change(categories=["a", "a"]), "categories"),
    (change(send_at=2**40), "send_at"),
    (change(unknown=1), "unknown"),
]


@pytest.mark.parametrize(
    ("wrong", "field"), WRONG, ids=[f"{n}-{field}" for n, (_, field) in enumerate(WRONG)]
)
def test_a_wrong_mail_is_400_and_names_the_field(box: Box, wrong: Callable[[Mail], None], field: str) -> None:
    mail = mail_document()
    wrong(mail)
    answer = box.sendgrid(mail)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert box.send_log() == []


def test_a_thousand_recipients_are_the_limit(box: Box) -> None:
    def parts(count: int) -> list[dict[str, Any]]:
        return [{"to": [{"email": f"p{n}@example.com"} for n in range(count)]}]

    assert box.sendgrid(mail_document(personalizations=parts(1000))).status_code == 202
    assert box.sendgrid(mail_document(personalizations=parts(1001))).status_code == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_what_is_not_a_mail_is_400(box: Box, body: bytes) -> None:
    headers = {"authorization": "Bearer SG.x", "content-type": "application/json"}
    assert box.http.post("/sendgrid/v3/mail/send", content=body, headers=headers).status_code == 400


def test_the_wrong_type_or_method_is_refused(box: Box) -> None:
    headers = {"authorization": "Bearer SG.x", "content-type": "text/plain"}
    assert box.http.post("/sendgrid/v3/mail/send", content=b"{}", headers=headers).status_code == 415
    assert box.http.get("/sendgrid/v3/mail/send", headers=headers).status_code == 405


def test_sandbox_mode_checks_and_sends_nothing(box: Box) -> None:
    answer = box.sendgrid(mail_document(mail_settings={"sandbox_mode": {"enable": True}}))
    assert answer.status_code == 200
    assert box.send_log() == []


def test_a_template_needs_neither_subject_nor_content(box: Box) -> None:
    mail = mail_document(template_id="d-1")
    del mail["subject"], mail["content"]
    assert box.sendgrid(mail).status_code == 202


def test_a_throttled_call_says_when_to_come_back(box: Box) -> None:
    box.order({"kind": "status", "status": 429, "retry_after_s": 7}, count=1)
    answer = box.sendgrid()
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert int(answer.headers["x-ratelimit-reset"]) > 0
    assert box.sendgrid().status_code == 202


def test_a_bounce_is_accepted_first(box: Box) -> None:
    mail = mail_document()
    mail["personalizations"][0]["to"] = [{"email": "bounce+1@example.com"}]
    assert box.sendgrid(mail).status_code == 202
    assert box.sent(status="bounced")[0]["recipient"] == "bounce+1@example.com"
    assert len(box.send_log()) == 1
