"""Mailgun's contract, as the sheet says it."""

from typing import Any

import httpx2
import msgspec
import pytest

from tests.sandbox.box import MESSAGE_ID, Box

Form = dict[str, Any]


def form(**changes: Any) -> Form:
    fields = {
        "from": '"Fly" <fly@example.org>',
        "to": ["ada@example.com"],
        "subject": "Gate change",
        "text": "Gate 12\n",
        "html": "<p>Gate <b>12</b></p>",
        "h:List-Unsubscribe": "<https://example.org/u/1>",
        "v:message_id": MESSAGE_ID,
        "o:tag": "gate",
    } | {name.replace("__", "-"): value for name, value in changes.items()}
    return {name: value for name, value in fields.items() if value is not None}


def send(box: Box, fields: Form, key: str = "key", domain: str = "mg.example.org") -> httpx2.Response:
    """Send a form as multipart: a file without a name is a field."""
    pairs = [
        (name, each)
        for name, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    files = [(name, (None, each)) for name, each in pairs]
    return box.http.post(f"/mailgun/v3/{domain}/messages", files=files, auth=("api", key))


def test_a_right_mail_is_accepted_recorded_and_shown(box: Box) -> None:
    answer = send(box, form())
    assert (answer.status_code, answer.json()["message"]) == (200, "Queued. Thank you.")
    (record,) = box.send_log()
    assert (record["provider"], record["recipient"], record["message_id"]) == (
        "mailgun",
        "ada@example.com",
        MESSAGE_ID,
    )
    assert f"<{record['provider_id']}>" == answer.json()["id"]
    content = box.sent()[0]["content"]
    assert (content["subject"], content["text"], content["sender_name"]) == (
        "Gate change",
        "Gate 12\n",
        "Fly",
    )
    assert content["headers"] == [["List-Unsubscribe", "<https://example.org/u/1>"]]


def test_a_plain_form_is_taken_too(box: Box) -> None:
    answer = box.http.post("/mailgun/v3/mg.example.org/messages", data=form(), auth=("api", "key"))
    assert answer.status_code == 200
    assert box.sent()[0]["content"]["html"] == "<p>Gate <b>12</b></p>"


def test_each_recipient_of_a_batch_gets_a_mail_of_its_own(box: Box) -> None:
    people = ["ada@example.com", "bob@example.com"]
    variables = {person: {"name": person[:3], "id": f"{n:032x}"} for n, person in enumerate(people)}
    answer = send(
        box,
        form(
            to=people,
            text="Hi %recipient.name%",
            recipient__variables=msgspec.json.encode(variables).decode(),
            **{"v:message_id": "%recipient.id%"},
        ),
    )
    assert answer.status_code == 200
    bob, ada = box.sent()
    assert [bob["content"]["text"], ada["content"]["text"]] == ["Hi bob", "Hi ada"]
    assert [bob["content"]["to"], ada["content"]["to"]] == people[::-1]
    assert [bob["message_id"], ada["message_id"]] == [f"{1:032x}", f"{0:032x}"]
    assert len({record["provider_id"] for record in box.send_log()}) == 1


def test_without_variables_everybody_sees_everybody(box: Box) -> None:
    send(box, form(to=["ada@example.com", "bob@example.com"]))
    assert {message["content"]["to"] for message in box.sent()} == {"ada@example.com, bob@example.com"}


def test_a_wrong_key_is_the_word_forbidden(box: Box) -> None:
    for key in ("", "bad"):
        answer = send(box, form(), key=key)
        assert (answer.status_code, answer.text) == (401, "Forbidden")


def test_a_domain_of_another_region_is_not_found(box: Box) -> None:
    assert send(box, form(), domain="unknown.example.org").status_code == 404


def test_the_state_of_a_domain_can_be_asked(box: Box) -> None:
    for domain, state in (("mg.example.org", "active"), ("unverified.example.org", "unverified")):
        answer = box.http.get(f"/mailgun/v3/domains/{domain}", auth=("api", "key"))
        assert answer.json()["domain"]["state"] == state


WRONG: list[tuple[Form, str]] = [
    (form(to=None), "to parameter is missing"),
    (form(to=["nobody"]), "to parameter is not a valid address"),
    (form(**{"from": None}), "from parameter is missing"),
    (form(**{"from": "Fly"}), "from parameter is not a valid address"),
    (form(text=None, html=None), "Need at least one of"),
    (form(to=[f"p{n}@example.com" for n in range(1001)]), "at most 1000"),
    (form(surprise="1"), "unknown parameter surprise"),
    (form(**{"h:X-A": "x" * 16_384}), "more than 16 KB"),
    (form(**{"h:X-A": "x\r\nBcc: y@example.com"}), "line break"),
    (form(recipient__variables="[]"), "recipient-variables parameter is not valid"),
    (form(recipient__variables='{"a": 1}'), "recipient-variables parameter is not valid"),
]


@pytest.mark.parametrize(("fields", "told"), WRONG, ids=[f"{n}-{told}" for n, (_, told) in enumerate(WRONG)])
def test_a_wrong_form_is_400(box: Box, fields: Form, told: str) -> None:
    answer = send(box, fields)
    assert answer.status_code == 400
    assert told in answer.json()["message"]
    assert box.send_log() == []


@pytest.mark.parametrize(
    "body", [b"", b"--x\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", b"--b"]
)
def test_what_is_no_form_is_400(box: Box, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = box.http.post("/mailgun/v3/a.example/messages", content=body, headers=headers, auth=("api", "k"))
    assert answer.status_code == 400


def test_test_mode_checks_and_sends_nothing(box: Box) -> None:
    assert send(box, form(**{"o:testmode": "yes"})).status_code == 200
    assert box.send_log() == []


def test_a_limit_says_in_its_text_when_to_come_back(box: Box) -> None:
    box.order({"kind": "status", "status": 429, "retry_after_s": 120}, count=1)
    answer = send(box, form())
    assert (answer.status_code, "retry-after" in answer.headers) == (429, False)
    assert "try again after 120 seconds" in answer.json()["message"]
    box.order({"kind": "status", "status": 401}, count=1)
    assert send(box, form()).text == "Forbidden"
    box.order({"kind": "status", "status": 503}, count=1)
    assert send(box, form()).status_code == 503


def test_a_bounce_is_accepted_first_and_is_one_recipients(box: Box) -> None:
    assert send(box, form(to=["bounce+1@example.com", "ada@example.com"])).status_code == 200
    assert [message["recipient"] for message in box.sent(status="bounced")] == ["bounce+1@example.com"]
    assert len(box.send_log()) == 2
