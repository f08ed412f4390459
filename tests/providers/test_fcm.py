"""FCM: the body against Google's discovery document, the life of access tokens, every error code."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import jwt
import msgspec
import pytest

from tests.providers.certificates import p256_key, pem, rsa_key
from tests.providers.samples import ANDROID, IOS, NOW_S, SteppingClock, leaks, outgoing
from tests.providers.scripted_http import Answer, Fault, Request, ScriptedHttp, Step, json_answer
from tests.providers.test_adapters import CASES, SERVICE_ACCOUNT, refused, sends, served
from tests.providers.test_sendgrid import mismatches
from tests.waiting import soon
from tocsin.errors import DeliveryError, Misconfigured, RecipientGone, Rejected, Throttled, Transient, Unknown
from tocsin.model.content import PushContent
from tocsin.model.message import Target
from tocsin.providers.device_doubt import FEW
from tocsin.providers.fcm import ERRORS, Fcm, FcmAccount
from tocsin.providers.google_auth import AUDIENCE, RENEW_EARLY_S, ServiceAccount
from tocsin.providers.http import PyreqwestTransport, Response

GOOD = CASES["fcm"].good
STRINGS = {str: str}

# The part of the FCM v1 discovery document (revision 20261023) that our bodies touch, in snake_case.
CONTRACT: dict[str, Any] = {
    "message!": {
        "token!": str,
        "notification": {"title": str, "body": str},
        "data": STRINGS,
        "android": {
            "priority": str,
            "ttl": str,
            "collapseKey": str,
            "notification": {"tag": str, "channelId": str},
        },
        "apns": {
            "headers": STRINGS,
            "payload": {"aps": {"alert": {"title": str, "body": str}, "sound": str}},
        },
    },
    "validateOnly": bool,
}


def push(**fields: Any) -> PushContent:
    return PushContent(**({"title": "T", "body": "B", "data": {"flight": "UA 1"}} | fields))


def fcm_error(code: int, error_code: str, message: str = "no", status: str = "") -> Answer:
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": []}]
    details += [{"@type": kind, "errorCode": error_code}] if error_code else []
    error = {"code": code, "message": message, "status": status or error_code, "details": details}
    return json_answer(code, {"error": error})


@pytest.mark.parametrize("platform", ["android", "ios"])
@pytest.mark.parametrize("content", [push(), push(collapse_key="k", urgent=True, url="https://e.com")])
async def test_the_body_keeps_the_contract(platform: str, content: PushContent) -> None:
    async with served("fcm", GOOD, channel_id="gates", validate_only=True) as (server, provider):
        sample = outgoing("push", content)
        target = msgspec.structs.replace(sample.message.target, platform=platform)
        message = msgspec.structs.replace(sample.message, target=target)
        await provider.send(msgspec.structs.replace(sample, message=message))
        [request] = sends(server)
    assert mismatches(request.json(), CONTRACT) == []


async def test_the_request_to_android() -> None:
    async with served("fcm", GOOD) as (server, provider):
        await provider.send(outgoing("push", push(collapse_key="gate", ttl_s=600, urgent=True)))
        [request] = sends(server)
    assert request.path == "/v1/projects/demo-1/messages:send"
    assert request.headers["authorization"] == "Bearer ya29.t0ken"
    assert request.json() == {
        "message": {
            "token": ANDROID,
            "notification": {"title": "T", "body": "B"},
            "data": {"flight": "UA 1", "message_id": outgoing("push").message.message_id},
            "android": {
                "priority": "HIGH",
                "ttl": "600s",
                "collapseKey": "gate",
                "notification": {"tag": "gate"},
            },
        }
    }


async def test_the_request_to_ios_carries_apple_s_headers() -> None:
    async with served("fcm", GOOD) as (server, provider):
        sample = outgoing("push", push(collapse_key="g" * 65, ttl_s=60))
        target = msgspec.structs.replace(sample.message.target, platform="ios", address=IOS)
        message = msgspec.structs.replace(sample.message, target=target)
        await provider.send(msgspec.structs.replace(sample, message=message))
        body: Any = sends(server)[0].json()
    headers = body["message"]["apns"]["headers"]
    assert len(headers.pop("apns-collapse-id")) <= 64
    assert headers == {
        "apns-push-type": "alert",
        "apns-priority": "5",
        "apns-expiration": str(int(NOW_S) + 60),
    }
    assert "android" not in body["message"]


@pytest.mark.parametrize("key", ["from", "message_type", "google.x", "gcm.notification.y", "googlex"])
async def test_reserved_data_keys_are_not_sent(key: str) -> None:
    async with served("fcm", GOOD) as (server, provider):
        with pytest.raises(Rejected, match="reserved"):
            await provider.send(outgoing("push", push(data={key: "1"})))
        assert sends(server) == []


async def test_the_payload_limit_counts_keys_and_values() -> None:
    message_id = len("message_id") + 32
    async with served("fcm", GOOD) as (server, provider):
        fits = push(title="", data={}, body="x" * (4096 - message_id))
        await provider.send(outgoing("push", fits))
        with pytest.raises(Rejected):
            await provider.send(outgoing("push", push(title="", data={}, body=fits.body + "y")))
        assert len(sends(server)) == 1


async def test_ttl_ends_with_the_message() -> None:
    async with served("fcm", GOOD) as (server, provider):
        for expires_s in (NOW_S + 30, NOW_S - 30):
            sample = outgoing("push", push(ttl_s=600), expires_ms=int(expires_s * 1000))
            await provider.send(sample)
        bodies: list[Any] = [request.json() for request in sends(server)]
    assert [body["message"]["android"]["ttl"] for body in bodies] == ["30s", "0s"]


# --- access tokens


class Google:
    """Grants tokens by number, and answers sends by `step`."""

    def __init__(self, step: Step = GOOD, grant: Step | None = None, delay_s: float = 0) -> None:
        self.step, self.grant, self.delay_s = step, grant, delay_s
        self.asked: list[Request] = []
        self.refused: set[str] = set()

    def __call__(self, request: Request) -> Step:
        if request.path == "/token":
            self.asked.append(request)
            token = {"access_token": f"t{len(self.asked)}", "expires_in": 3599, "token_type": "Bearer"}
            return self.grant or json_answer(200, token)._replace(delay_s=self.delay_s)
        if request.headers["authorization"] in self.refused:
            return fcm_error(401, "", status="UNAUTHENTICATED")
        return self.step


def fcm(server: ScriptedHttp, clock: SteppingClock, **fields: Any) -> Fcm:
    settings = {"base_url": server.url, "token_url": f"{server.url}/token", **fields}
    account = FcmAccount.model_validate(CASES["fcm"].account | settings)
    transport = PyreqwestTransport(account.http_policy())
    return Fcm("fcm", account, transport, clock, platforms=frozenset({"android"}))


async def test_the_assertion_is_what_google_verifies() -> None:
    google = Google()
    async with ScriptedHttp(google) as server:
        provider = fcm(server, SteppingClock())
        await provider.send(outgoing("push"))
        await provider.close()
    asked = parse_qs(google.asked[0].body.decode())
    assert asked["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    [assertion] = asked["assertion"]
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "kid": "kid-1", "typ": "JWT"}
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(assertion, rsa_key().public_key(), ["RS256"], audience=AUDIENCE, options=options)
    assert claims == {
        "iss": SERVICE_ACCOUNT["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": int(NOW_S),
        "exp": int(NOW_S) + 3600,
    }


async def test_one_token_serves_all_and_is_renewed_early() -> None:
    google, clock = Google(delay_s=0.05), SteppingClock()
    async with ScriptedHttp(google) as server:
        provider = fcm(server, clock)
        await asyncio.gather(*[provider.send(outgoing("push")) for _ in range(50)])
        assert len(google.asked) == 1, "one renewal at a time"
        clock.now_s += 3599 - RENEW_EARLY_S - 1
        await provider.send(outgoing("push"))
        assert len(google.asked) == 1
        clock.now_s += 2
        await asyncio.gather(*[provider.send(outgoing("push")) for _ in range(50)])
        assert len(google.asked) == 2
        await provider.close()


async def test_while_a_token_holds_a_renewal_delays_only_who_started_it() -> None:
    google, clock = Google(), SteppingClock()
    async with ScriptedHttp(google) as server:
        provider = fcm(server, clock)
        await provider.send(outgoing("push"))
        clock.now_s += 3599 - RENEW_EARLY_S + 1
        google.delay_s = 60
        first = asyncio.ensure_future(provider.send(outgoing("push")))
        await soon(lambda: len(google.asked) == 2)
        await provider.send(outgoing("push"))
        assert not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await provider.close()


async def test_a_token_that_still_holds_outlives_a_failed_renewal() -> None:
    google, clock = Google(), SteppingClock()
    async with ScriptedHttp(google) as server:
        provider = fcm(server, clock)
        await provider.send(outgoing("push"))
        clock.now_s += 3599 - 60
        google.grant = Answer(503)
        await provider.send(outgoing("push"))
        clock.now_s += 61
        with pytest.raises(Transient):
            await provider.send(outgoing("push"))
        await provider.close()


async def test_a_refused_token_is_renewed_once_for_all() -> None:
    google, clock = Google(delay_s=0.05), SteppingClock()
    async with ScriptedHttp(google) as server:
        provider = fcm(server, clock)
        await provider.send(outgoing("push"))
        google.refused = {"Bearer t1"}
        await asyncio.gather(*[provider.send(outgoing("push")) for _ in range(20)])
        assert len(google.asked) == 2
        google.refused = {"Bearer t2", "Bearer t3"}
        before = len(sends(server))
        with pytest.raises(Misconfigured) as caught:
            await provider.send(outgoing("push"))
        assert caught.value.code == "UNAUTHENTICATED"
        assert len(sends(server)) == before + 2, "repeated once"
        await provider.close()


async def test_a_401_about_apple_s_key_is_not_about_the_token() -> None:
    google = Google(fcm_error(401, "THIRD_PARTY_AUTH_ERROR", status="UNAUTHENTICATED"))
    async with ScriptedHttp(google) as server:
        provider = fcm(server, SteppingClock())
        with pytest.raises(Misconfigured):
            await provider.send(outgoing("push"))
        assert len(google.asked) == 1
        await provider.close()


@pytest.mark.parametrize(
    ("grant", "kind"),
    [
        (json_answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT"}), Misconfigured),
        (Answer(401), Misconfigured),
        (Answer(200, b"{}"), Misconfigured),
        (Answer(429, headers=(("Retry-After", "9"),)), Transient),
        (Answer(500), Transient),
        (Fault.CLOSE, Transient),
        (Fault.RESET, Transient),
    ],
)
async def test_without_a_token_nothing_was_sent(grant: Step, kind: type[DeliveryError]) -> None:
    google = Google(grant=grant)
    async with ScriptedHttp(google) as server:
        provider = fcm(server, SteppingClock())
        refused = await asyncio.gather(
            *[provider.send(outgoing("push")) for _ in range(5)], return_exceptions=True
        )
        assert {type(each) for each in refused} == {kind}
        assert not leaks(str(refused))
        assert sends(server) == []
        assert len(google.asked) == 1, "all share the end of one renewal"
        await provider.close()


class Bounds:
    """A transport that notes how long each request may take, and gets no answer."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        self.seconds.append(timeout_s)
        raise Unknown(url)

    async def reconnect(self) -> None:
        """Keep no connection."""

    async def close(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize(("timeout_s", "token_s"), [(3, 1.5), (60, 10)])
async def test_a_token_is_waited_for_no_longer_than_half_the_time_of_a_call(
    timeout_s: float, token_s: float
) -> None:
    """The deadline ended calls that waited for a token: a push that was never sent was given up."""
    account = FcmAccount.model_validate(CASES["fcm"].account | {"timeout_s": timeout_s})
    transport = Bounds()
    provider = Fcm("fcm", account, transport, SteppingClock(), platforms=frozenset({"android"}))
    with pytest.raises(Transient, match="did not answer"):
        await provider.send(outgoing("push"))
    assert transport.seconds == [token_s]


async def test_a_caller_that_gives_up_does_not_stop_the_renewal() -> None:
    google = Google(delay_s=0.1)
    async with ScriptedHttp(google) as server:
        provider = fcm(server, SteppingClock())
        first = asyncio.ensure_future(provider.send(outgoing("push")))
        second = asyncio.ensure_future(provider.send(outgoing("push")))
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).code == "200"
        assert len(google.asked) == 1
        await provider.close()


# --- errors

DETAIL = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "UNREGISTERED"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (fcm_error(404, "UNREGISTERED", status="NOT_FOUND"), RecipientGone),
        (fcm_error(404, "", status="NOT_FOUND"), Misconfigured),
        (fcm_error(403, "SENDER_ID_MISMATCH", status="PERMISSION_DENIED"), Transient),
        (fcm_error(403, "", status="PERMISSION_DENIED"), Misconfigured),
        (
            fcm_error(
                400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"
            ),
            RecipientGone,
        ),
        (fcm_error(400, "", "The registration token is not valid", "INVALID_ARGUMENT"), Rejected),
        (fcm_error(400, "INVALID_ARGUMENT", "Android message is too big"), Rejected),
        (fcm_error(400, "INVALID_ARGUMENT", "A registration token and a topic exclude each other"), Rejected),
        (fcm_error(401, "THIRD_PARTY_AUTH_ERROR", status="UNAUTHENTICATED"), Misconfigured),
        (fcm_error(429, "QUOTA_EXCEEDED", status="RESOURCE_EXHAUSTED"), Throttled),
        (fcm_error(429, "", status="RESOURCE_EXHAUSTED"), Throttled),
        (fcm_error(503, "UNAVAILABLE"), Transient),
        (fcm_error(500, "INTERNAL"), Transient),
        (Answer(502), Transient),
        (Answer(504), Transient),
    ],
)
async def test_classes(answer: Answer, kind: type[DeliveryError]) -> None:
    assert type(await refused("fcm", answer)) is kind


@pytest.mark.parametrize("more", [{"message": None}, {"status": None}, {"details": [None, DETAIL]}])
async def test_nulls_in_an_answer_hide_no_code(more: dict[str, Any]) -> None:
    """An answer that could not be read would count against the account, and the dead device would stay."""
    error = {"code": 404, "message": "gone", "status": "NOT_FOUND", "details": [DETAIL]} | more
    assert type(await refused("fcm", json_answer(404, {"error": error}))) is RecipientGone


@pytest.mark.parametrize("code", sorted(set(ERRORS) - {"UNAUTHENTICATED", "SENDER_ID_MISMATCH"}))
async def test_every_code_of_the_table(code: str) -> None:
    error = await refused("fcm", fcm_error(418, code))
    assert (type(error), error.code) == (ERRORS[code], code)


async def attempt(provider: Fcm, device: str) -> str:
    try:
        await provider.send(outgoing("push", target=Target(device, platform="android")))
    except DeliveryError as error:
        return type(error).__name__
    return "sent"


async def test_a_key_of_the_wrong_project_blocks_no_device() -> None:
    google = Google(fcm_error(403, "SENDER_ID_MISMATCH", status="PERMISSION_DENIED"))
    async with ScriptedHttp(google) as server:
        provider = fcm(server, SteppingClock())
        kinds = [await attempt(provider, f"device-{n}") for n in range(12)]
        assert kinds == ["Transient"] * (FEW - 1) + ["Misconfigured"] * (13 - FEW)
        google.step = GOOD
        assert [await attempt(provider, f"device-{n}") for n in range(12)] == ["sent"] * 12
        await provider.close()


async def test_a_device_of_another_project_is_gone_once_others_were_served() -> None:
    google = Google()
    async with ScriptedHttp(google) as server:
        provider = fcm(server, SteppingClock())
        mismatch = fcm_error(403, "SENDER_ID_MISMATCH", status="PERMISSION_DENIED")
        kinds = []
        for device, step in (("bad", mismatch), ("good", GOOD), ("bad", mismatch)):
            google.step = step
            kinds.append(await attempt(provider, device))
        assert kinds == ["Transient", "sent", "RecipientGone"]
        await provider.close()


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (fcm_error(429, "QUOTA_EXCEEDED"), 60),
        (fcm_error(429, "QUOTA_EXCEEDED")._replace(headers=(("Retry-After", "5"),)), 5),
        (fcm_error(503, "UNAVAILABLE"), 10),
        (fcm_error(503, "UNAVAILABLE")._replace(headers=(("Retry-After", "0"),)), 0),
        (fcm_error(400, "INVALID_ARGUMENT"), None),
    ],
)
async def test_when_to_come_back(answer: Answer, wait_s: float | None) -> None:
    assert (await refused("fcm", answer)).retry_after_s == wait_s


# --- the account


@pytest.mark.parametrize(
    "change",
    [
        {"private_key": "-----BEGIN c2VjcmV0"},
        {"private_key": pem(p256_key())},
        {"project_id": "a/b"},
        {"client_email": ""},
    ],
)
def test_a_service_account_that_cannot_work_is_refused_and_not_shown(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        ServiceAccount.model_validate({**SERVICE_ACCOUNT, **change})
    assert "c2VjcmV0" not in str(caught.value)
    assert "PRIVATE KEY-----\n" not in str(caught.value)


def test_credentials_are_taken_as_json_text_too() -> None:
    text = msgspec.json.encode(SERVICE_ACCOUNT).decode()
    account = FcmAccount.model_validate({"vendor": "fcm", "credentials": text})
    assert account.credentials.project_id == "demo-1"


async def test_a_checked_push_proves_the_credentials() -> None:
    async with served("fcm", GOOD) as (server, provider):
        assert isinstance(provider, Fcm)
        assert await provider.verify() == "project demo-1, as sender@demo-1.iam.gserviceaccount.com"
    document = sends(server)[0].json()
    assert document["validateOnly"] is True, "or everybody who follows the topic would get it"


@pytest.mark.parametrize(
    ("status", "code", "proved"),
    [(400, "INVALID_ARGUMENT", True), (403, "PERMISSION_DENIED", False), (404, "NOT_FOUND", False)],
)
async def test_who_is_let_in_is_proved(status: int, code: str, proved: bool) -> None:
    detail = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}]
    answer = json_answer(status, {"error": {"status": code, "message": "no", "details": detail}})
    async with served("fcm", answer) as (_, provider):
        assert isinstance(provider, Fcm)
        with contextlib.nullcontext() if proved else pytest.raises(Misconfigured):
            assert await provider.verify()
