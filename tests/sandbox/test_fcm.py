"""FCM's contract: the token endpoint with pyjwt as the client, then messages."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.sandbox.box import MESSAGE_ID, TOKEN, Box, assertion, push_document


def test_an_assertion_is_traded_for_a_token(box: Box) -> None:
    answer = box.grant(assertion(box.folder))
    assert answer.status_code == 200
    token = answer.json()
    assert token["expires_in"] == 3599
    assert token["token_type"] == "Bearer"


def test_the_token_uri_of_the_file_is_taken_as_audience(box: Box) -> None:
    assert box.grant(assertion(box.folder, aud=f"{box.url}/fcm/token")).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://example.org/token"},
        {"scope": "https://www.googleapis.com/auth/cloud-platform"},
        {"exp": -10},
        {"exp": 7300},
        {"iat": 3000},
    ],
    ids=["audience", "scope", "expired", "too-long", "from-the-future"],
)
def test_a_wrong_claim_is_an_invalid_grant(box: Box, claims: dict[str, Any]) -> None:
    now_s = int(time.time())
    told = {name: now_s + claim if isinstance(claim, int) else claim for name, claim in claims.items()}
    answer = box.grant(assertion(box.folder, **told))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_another_key_is_an_invalid_signature(box: Box) -> None:
    now = int(time.time())
    claims = {"iss": "x", "aud": "https://oauth2.googleapis.com/token", "iat": now, "exp": now + 60}
    signed = jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256")
    answer = box.grant(signed)
    assert answer.json() == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


def test_another_grant_type_is_not_supported(box: Box) -> None:
    answer = box.grant(assertion(box.folder), grant="client_credentials")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_a_right_push_is_accepted_and_recorded(box: Box) -> None:
    answer = box.fcm()
    assert answer.status_code == 200
    name = answer.json()["name"]
    assert name.startswith("projects/tocsin-sandbox/messages/0:")
    (record,) = box.send_log()
    assert (record["message_id"], record["provider_id"]) == (MESSAGE_ID, name)
    assert (record["recipient"], record["channel"]) == (TOKEN, "push")


def test_the_push_is_shown_as_the_phone_would(box: Box) -> None:
    box.fcm()
    content = box.sent()[0]["content"]
    assert (content["title"], content["body"]) == ("Boarding", "Gate 12 in 10 minutes")
    assert (content["platform"], content["urgent"], content["collapse_key"]) == ("android", True, "gate")
    assert content["payload"]["message"]["data"]["url"] == "https://example.org/f/1"


def test_apple_devices_behind_fcm_are_shown_as_such(box: Box) -> None:
    push = push_document(apns={"headers": {"apns-priority": "10"}, "payload": {"aps": {"sound": "default"}}})
    del push["android"]
    assert box.fcm(push).status_code == 200
    assert box.sent()[0]["content"]["platform"] == "ios"


def test_camel_case_is_taken_too(box: Box) -> None:
    assert box.fcm(push_document(android={"collapseKey": "gate", "ttl": "5.5s"})).status_code == 200
    assert box.sent()[0]["content"]["collapse_key"] == "gate"


def test_validate_only_sends_nothing(box: Box) -> None:
    assert box.fcm(validate_only=True).status_code == 200
    assert box.send_log() == []


def violation(answer: Any) -> str:
    details = answer.json()["error"]["details"]
    return next((d["fieldViolations"][0]["field"] for d in details if "fieldViolations" in d), "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"topic": "news"}, "message"),
        ({"token": ""}, "message"),
        ({"data": {"n": 1}}, "message.data"),
        ({"data": {"from": "x"}}, "message.data"),
        ({"data": {"google.x": "x"}}, "message.data"),
        ({"data": {"x": "y" * 4100}}, "message.data"),
        ({"data": []}, "message.data"),
        ({"android": {"ttl": "60"}}, "message.android.ttl"),
        ({"android": {"ttl": 60}}, "message.android.ttl"),
        ({"android": {"ttl": "2419201s"}}, "message.android.ttl"),
        ({"android": {"priority": "URGENT"}}, "message.android.priority"),
        ({"android": {"badge": 1}}, "message.android"),
        ({"apns": {"headers": {"apns-priority": 10}}}, "message.apns.headers"),
        ({"notification": {"text": "x"}}, "message.notification"),
        ({"notification": "x"}, "message.notification"),
        ({"registration_ids": []}, "message"),
    ],
)
def test_a_wrong_push_is_an_invalid_argument(box: Box, changes: dict[str, Any], field: str) -> None:
    answer = box.fcm(push_document(**changes))
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert violation(answer) == field
    assert box.send_log() == []


def test_a_made_up_token_is_not_a_dead_one(box: Box) -> None:
    error = box.fcm(push_document(token="not a token")).json()["error"]
    assert error["details"][0]["errorCode"] == "INVALID_ARGUMENT"
    assert "registration token" in error["message"]


def test_a_dead_token_is_unregistered(box: Box) -> None:
    error = box.fcm(push_document(token="dead-token-1")).json()["error"]
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")
    assert error["details"] == [
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}
    ]


def test_another_project_is_not_found_without_the_fcm_detail(box: Box) -> None:
    answer = box.http.post(
        "/fcm/v1/projects/other/messages:send",
        json={"message": push_document()},
        headers={"authorization": f"Bearer {box.access_token()}"},
    )
    assert (answer.status_code, answer.json()["error"]["details"]) == (404, [])


@pytest.mark.parametrize("authorization", ["", "Bearer ya29.unknown", "Basic x"])
def test_without_a_known_token_it_is_unauthenticated(box: Box, authorization: str) -> None:
    answer = box.http.post(
        "/fcm/v1/projects/tocsin-sandbox/messages:send",
        json={"message": push_document()},
        headers={"authorization": authorization},
    )
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
        (503, "UNAVAILABLE", "UNAVAILABLE"),
        (500, "INTERNAL", "INTERNAL"),
    ],
)
def test_ordered_failures_have_googles_shape(box: Box, status: int, name: str, code: str) -> None:
    box.order({"kind": "status", "status": status, "retry_after_s": 3}, count=1)
    answer = box.fcm()
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (status, name)
    assert error["details"][0]["errorCode"] == code
    assert answer.headers["retry-after"] == "3"


def test_a_token_of_another_sender_can_be_ordered(box: Box) -> None:
    box.order({"kind": "dead_token", "code": "SENDER_ID_MISMATCH"}, count=1)
    answer = box.fcm()
    assert answer.status_code == 403
    assert answer.json()["error"]["details"][0]["errorCode"] == "SENDER_ID_MISMATCH"
