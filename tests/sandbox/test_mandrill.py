"""Mailchimp Transactional's contract, as the sheet says it."""

from typing import Any

import httpx2
import pytest

from tests.sandbox.box import MESSAGE_ID, Box

Mail = dict[str, Any]


def mail(**changes: Any) -> Mail:
    return {
        "from_email": "fly@example.org",
        "from_name": "Fly",
        "to": [{"email": "ada@example.com", "type": "to"}],
        "subject": "Gate change",
        "text": "Gate 12",
        "html": "<p>Gate <b>12</b></p>",
        "headers": {"List-Unsubscribe": "<https://example.org/u/1>"},
        "metadata": {"message_id": MESSAGE_ID},
        "preserve_recipients": False,
    } | changes


def send(box: Box, message: object = None, key: str = "key", **more: Any) -> httpx2.Response:
    """Send a request."""
    body = {"key": key, "message": mail() if message is None else message, **more}
    return box.http.post("/mandrill/api/1.0/messages/send.json", json=body)


def test_a_right_mail_is_accepted_recorded_and_shown(box: Box) -> None:
    answer = send(box)
    assert answer.status_code == 200
    [verdict] = answer.json()
    assert (verdict["email"], verdict["status"]) == ("ada@example.com", "sent")
    (record,) = box.send_log()
    assert (record["provider"], record["message_id"], record["provider_id"]) == (
        "mandrill",
        MESSAGE_ID,
        verdict["_id"],
    )
    content = box.sent()[0]["content"]
    assert (content["subject"], content["text"], content["to"]) == (
        "Gate change",
        "Gate 12",
        "ada@example.com",
    )


def test_what_differs_is_put_in_for_each_recipient(box: Box) -> None:
    message = mail(
        to=[{"email": "ada@example.com"}, {"email": "bob@example.com"}],
        subject="Hi {{{name}}}",
        html="<p>{{name}} {{{name}}}</p>",
        merge_language="handlebars",
        merge_vars=[
            {"rcpt": f"{name}@example.com", "vars": [{"name": "name", "content": f"<{name}>"}]}
            for name in ("ada", "bob")
        ],
        recipient_metadata=[{"rcpt": "bob@example.com", "values": {"message_id": "b" * 32}}],
    )
    verdicts = send(box, message).json()
    assert len({verdict["_id"] for verdict in verdicts}) == 2
    bob, ada = box.sent()
    assert [bob["content"]["subject"], ada["content"]["subject"]] == ["Hi <bob>", "Hi <ada>"]
    assert bob["content"]["html"] == "<p>&lt;bob&gt; <bob></p>"
    assert [bob["message_id"], ada["message_id"]] == ["b" * 32, MESSAGE_ID]


def test_recipients_see_each_other_where_that_is_asked(box: Box) -> None:
    send(box, mail(to=[{"email": "ada@example.com"}, {"email": "bob@example.com"}], preserve_recipients=True))
    assert {message["content"]["to"] for message in box.sent()} == {"ada@example.com, bob@example.com"}


@pytest.mark.parametrize("reason", ["hard-bounce", "unsub", "invalid"])
def test_a_refusal_is_one_recipients_inside_a_200(box: Box, reason: str) -> None:
    people = [{"email": "ada@example.com"}, {"email": "bob@example.com"}]
    box.order({"kind": "bounce", "code": reason}, match={"recipient": "bob@*"})
    answer = send(box, mail(to=people))
    assert answer.status_code == 200
    ada, bob = answer.json()
    assert (ada["status"], bob["reject_reason"]) == ("sent", reason)
    assert bob["status"] == ("invalid" if reason == "invalid" else "rejected")
    assert [record["recipient"] for record in box.send_log()] == ["ada@example.com"]
    assert [message["recipient"] for message in box.sent(status="refused")] == ["bob@example.com"]


def test_with_many_recipients_all_are_queued(box: Box) -> None:
    verdicts = send(box, mail(to=[{"email": f"p{n}@example.com"} for n in range(11)])).json()
    assert {verdict["status"] for verdict in verdicts} == {"queued"}


WRONG: list[tuple[Mail, str, int]] = [
    (mail(to=[]), "ValidationError", 500),
    (mail(to=[{"email": "nobody"}]), "ValidationError", 500),
    (mail(to=[{"email": "ada@example.com"}, {"email": "ADA@example.com"}]), "ValidationError", 500),
    (mail(to=[{"email": "ada@example.com", "type": "x"}]), "ValidationError", 500),
    (mail(from_email="fly"), "ValidationError", 500),
    (mail(subject="x" * 999), "ValidationError", 500),
    (mail(headers={"X-A": "x\r\nBcc: y"}), "ValidationError", 500),
    (mail(surprise=1), "ValidationError", 500),
    (mail(html="{{{{t0}}}", merge_vars=[{"rcpt": "ada@example.com"}]), "ValidationError", 500),
    (mail(tags=["_reserved"]), "Invalid_Tag_Name", 500),
    (mail(tags=["x" * 51]), "Invalid_Tag_Name", 500),
    (mail(subaccount="unknown-1"), "Unknown_Subaccount", 404),
]


@pytest.mark.parametrize(
    ("message", "name", "status"), WRONG, ids=[f"{n}-{each[1]}" for n, each in enumerate(WRONG)]
)
def test_a_wrong_mail_is_refused_by_name(box: Box, message: Mail, name: str, status: int) -> None:
    answer = send(box, message)
    assert (answer.status_code, answer.json()["name"]) == (status, name)
    assert box.send_log() == []


def test_a_wrong_key_is_named(box: Box) -> None:
    for key in ("", "bad"):
        answer = send(box, key=key)
        assert (answer.status_code, answer.json()["name"]) == (401, "Invalid_Key")
    ping = "/mandrill/api/1.0/users/ping2"
    assert box.http.post(ping, json={"key": "key"}).json() == {"PING": "PONG!"}
    assert box.http.post(ping, json={"key": "bad"}).status_code == 401
    assert box.http.post("/mandrill/api/1.0/users/info", json={"key": "key"}).status_code == 404


def test_faults_have_mandrills_own_names(box: Box) -> None:
    box.order({"kind": "status", "status": 429, "retry_after_s": 7}, count=1)
    answer = send(box)
    assert (answer.status_code, answer.json()["name"]) == (429, "RequestLimitExceeded")
    assert answer.headers["retry-after"] == "7"
    box.order({"kind": "status", "status": 500, "code": "PoorReputation"}, count=1)
    assert send(box).json()["name"] == "PoorReputation"
