"""APNs against a real HTTP/2 server: the request, the token's life, GOAWAY, and every reason of the sheet."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import jwt
import msgspec
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.providers.certificates import p256_key, pem, server_tls
from tests.providers.samples import IOS, NOW_S, SteppingClock, ios, leaks, outgoing
from tests.providers.scripted_h2 import H2Fault, Script, ScriptedH2, Step
from tests.providers.scripted_http import Answer, Refusing, Request, ScriptedHttp
from tests.waiting import PATIENCE_S, soon
from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import PushContent
from tocsin.providers.apns import (
    ERRORS,
    FOREIGN,
    Apns,
    ApnsAccount,
)
from tocsin.providers.apple_token import RENEW_AFTER_S, RENEW_AT_MOST_EVERY_S, RedisTokenShare
from tocsin.providers.base import Receipt
from tocsin.providers.device_doubt import FEW
from tocsin.providers.http import HttpPolicy, PyreqwestTransport

OK = Answer(200, headers=(("apns-id", "EC1BF194-B3B2-424A-89A9-5A918A6E6B5D"),))


def refusal(status: int, reason: str, **more: Any) -> Answer:
    return Answer(status, msgspec.json.encode({"reason": reason, **more}))


def account(url: str, **fields: Any) -> ApnsAccount:
    defaults = {"vendor": "apns", "key": pem(p256_key()), "key_id": "ABC123DEFG", "team_id": "DEF123GHIJ"}
    return ApnsAccount.model_validate(defaults | {"base_url": url} | fields)


@asynccontextmanager
async def apple(
    script: Script | Step, clock: SteppingClock | None = None, max_streams: int | None = None, **fields: Any
) -> AsyncIterator[tuple[ScriptedH2, Apns]]:
    answers: Script = script if callable(script) else lambda _request: script
    async with ScriptedH2(answers, max_streams=max_streams) as server:
        settings = account(server.url, **fields)
        apns = Apns("apns", settings, PyreqwestTransport(settings.http_policy()), clock or SteppingClock())
        try:
            yield server, apns
        finally:
            await apns.close()


def claims(request: Request) -> dict[str, Any]:
    """Verify a request's token as Apple would: JOSE signature, algorithm, claims."""
    kind, _, token = request.headers["authorization"].partition(" ")
    assert kind == "bearer", "Apple wants it in lower case"
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "ABC123DEFG"}
    options: Any = {"verify_iat": False}
    payload: dict[str, Any] = jwt.decode(token, p256_key().public_key(), ["ES256"], options=options)
    return payload


async def failed(script: Script | Step, **fields: Any) -> DeliveryError:
    async with apple(script, **fields) as (_, apns):
        with pytest.raises(DeliveryError) as caught:
            await apns.send(ios())
    assert not leaks(str(caught.value))
    return caught.value


async def test_the_request_is_what_apple_asks_for() -> None:
    content = PushContent("T", "B", {"flight": "UA 1"}, "https://e.com/f", "gate-1", ttl_s=600, urgent=True)
    async with apple(OK) as (server, apns):
        receipt = await apns.send(msgspec.structs.replace(ios(), content=content))
        request = server.requests[0]
    assert receipt == Receipt("EC1BF194-B3B2-424A-89A9-5A918A6E6B5D", "200")
    assert (request.method, request.path) == ("POST", f"/3/device/{IOS}")
    assert claims(request) == {"iss": "DEF123GHIJ", "iat": int(NOW_S)}
    sent = {name: value for name, value in request.headers.items() if name.startswith("apns-")}
    assert sent == {
        "apns-topic": "com.example.flights",
        "apns-push-type": "alert",
        "apns-id": str(uuid.UUID(ios().message.message_id)),
        "apns-priority": "10",
        "apns-expiration": str(int(NOW_S) + 600),
        "apns-collapse-id": "gate-1",
    }
    assert request.json() == {
        "aps": {"alert": {"title": "T", "body": "B"}, "sound": "default"},
        "flight": "UA 1",
        "url": "https://e.com/f",
        "message_id": ios().message.message_id,
    }


async def test_data_cannot_take_the_place_of_aps() -> None:
    content = PushContent("T", "B", {"aps": "x"})
    async with apple(OK) as (server, apns):
        await apns.send(msgspec.structs.replace(ios(), content=content))
        assert server.requests[0].json()["aps"] == {"alert": {"title": "T", "body": "B"}, "sound": "default"}


async def test_an_old_message_is_not_stored() -> None:
    late = ios()
    message = msgspec.structs.replace(late.message, expires_ms=int(NOW_S * 1000) - 1)
    async with apple(OK) as (server, apns):
        await apns.send(msgspec.structs.replace(late, message=message))
        assert server.requests[0].headers["apns-expiration"] == "0"
        assert server.requests[0].headers["apns-priority"] == "5"


async def test_a_long_collapse_key_is_hashed_to_fit() -> None:
    content = PushContent("T", "B", collapse_key="flight/" + "x" * 80)
    async with apple(OK) as (server, apns):
        await apns.send(msgspec.structs.replace(ios(), content=content))
        await apns.send(msgspec.structs.replace(ios(), content=content))
        ids = {request.headers["apns-collapse-id"] for request in server.requests}
    assert len(ids) == 1
    assert all(len(each.encode()) <= 64 for each in ids)


async def test_the_payload_limit_is_apple_s() -> None:
    async with apple(OK) as (server, apns):
        await apns.send(msgspec.structs.replace(ios(), content=PushContent("T", "b" * 3900)))
        assert len(server.requests[0].body) <= 4096
        with pytest.raises(Rejected):
            await apns.send(msgspec.structs.replace(ios(), content=PushContent("T", "b" * 4096)))
        assert len(server.requests) == 1


@pytest.mark.parametrize("device", ["ab/../x", "ab?c", "", "höx", "ab\r\ncd"])
async def test_a_device_token_cannot_change_the_path(device: str) -> None:
    async with apple(OK) as (server, apns):
        with pytest.raises(Rejected):
            await apns.send(ios(address=device))
        assert server.requests == []


async def test_a_topic_must_come_from_somewhere() -> None:
    async with apple(OK) as (server, apns):
        with pytest.raises(Declined):
            await apns.send(ios(app=""))
        assert server.requests == []
    async with apple(OK, topic="com.example.default") as (server, apns):
        await apns.send(ios(app=""))
        assert server.requests[0].headers["apns-topic"] == "com.example.default"


@pytest.mark.parametrize("app", ["com.x\n", "com. x", "приложение", "com.x\x00", " "])
async def test_an_app_that_is_no_header_is_that_device_s_fault(app: str) -> None:
    async with apple(OK) as (server, apns):
        with pytest.raises(Declined) as caught:
            await apns.send(ios(app=app))
        assert caught.value.code == "BadTopic"
        assert server.requests == []


@pytest.mark.parametrize("key", ["gate\n7", "gate\x00", "Tür 7"])
async def test_a_collapse_key_that_is_no_header_is_hashed(key: str) -> None:
    async with apple(OK) as (server, apns):
        await apns.send(msgspec.structs.replace(ios(), content=PushContent("T", "B", collapse_key=key)))
        assert server.requests[0].headers["apns-collapse-id"].isalnum()


async def test_carries_ios_only() -> None:
    async with apple(OK) as (_, apns):
        assert apns.accepts(ios().message)
        assert not apns.accepts(outgoing("push").message)
        assert not apns.accepts(outgoing("email").message)


# --- the provider token


async def test_one_token_serves_until_45_minutes_and_is_renewed_before_60() -> None:
    clock = SteppingClock()
    async with apple(OK, clock) as (server, apns):
        for step_s in (0, 60, 19 * 60, RENEW_AFTER_S - 20 * 60 - 1, 60):
            clock.now_s += step_s
            await apns.send(ios())
        tokens = [request.headers["authorization"] for request in server.requests]
        issued = [claims(request)["iat"] for request in server.requests]
    assert len(set(tokens[:3])) == 1
    assert len(set(tokens)) == 2
    assert all(clock.now_s - iat < 3600 for iat in issued)


def expired_until(accepted: int) -> Script:
    """Answer ExpiredProviderToken to every token made before `accepted`."""

    def script(request: Request) -> Step:
        return OK if claims(request)["iat"] >= accepted else refusal(403, "ExpiredProviderToken")

    return script


async def test_an_expired_token_is_renewed_once_and_the_push_repeated() -> None:
    clock = SteppingClock()
    async with apple(expired_until(int(NOW_S) + 1), clock) as (server, apns):
        with pytest.raises(Misconfigured):  # a new token within 20 minutes would be refused as well
            await apns.send(ios())
        assert len(server.requests) == 1
        clock.now_s += RENEW_AT_MOST_EVERY_S
        await apns.send(ios())
        assert len(server.requests) == 3


async def test_never_two_tokens_within_20_minutes() -> None:
    clock = SteppingClock()
    async with apple(refusal(403, "ExpiredProviderToken"), clock) as (server, apns):
        for _ in range(60):
            clock.now_s += 60
            with pytest.raises(Misconfigured) as caught:
                await apns.send(ios())
            assert caught.value.code == "ExpiredProviderToken"
        issued = sorted({claims(request)["iat"] for request in server.requests})
    assert all(later - earlier >= RENEW_AT_MOST_EVERY_S for earlier, later in pairwise(issued))
    assert len(issued) == 3


async def test_many_expired_answers_at_once_renew_once() -> None:
    clock = SteppingClock()

    def script(request: Request) -> Step:
        if claims(request)["iat"] > NOW_S:
            return OK
        clock.now_s = NOW_S + RENEW_AT_MOST_EVERY_S
        return refusal(403, "ExpiredProviderToken")._replace(delay_s=0.05)

    async with apple(script, clock) as (server, apns):
        await asyncio.gather(*[apns.send(ios()) for _ in range(20)])
        assert len({request.headers["authorization"] for request in server.requests}) == 2


class TokenJudge:
    """Refuses a token that is new within 20 minutes of the last new one, as Apple does."""

    def __init__(self, clock: SteppingClock) -> None:
        self._clock = clock
        self._known: dict[str, float] = {}

    def __call__(self, request: Request) -> Step:
        token = request.headers["authorization"]
        newest = max(self._known.values(), default=float("-inf"))
        if token not in self._known and self._clock() - newest < RENEW_AT_MOST_EVERY_S:
            return refusal(429, "TooManyProviderTokenUpdates")
        self._known.setdefault(token, self._clock())
        if self._clock() - claims(request)["iat"] >= 3600:
            return refusal(403, "ExpiredProviderToken")
        return OK


@asynccontextmanager
async def two_processes(redis_url: str) -> AsyncIterator[tuple[ScriptedH2, list[Apns], SteppingClock]]:
    clock = SteppingClock()
    async with ScriptedH2(TokenJudge(clock)) as server, Redis.from_url(redis_url) as redis:
        settings = account(server.url)
        policy = settings.http_policy()
        transports = [PyreqwestTransport(policy) for _ in range(2)]
        both = [Apns("apns", settings, each, clock, RedisTokenShare(redis)) for each in transports]
        try:
            yield server, both, clock
        finally:
            for apns in both:
                await apns.close()


async def test_two_processes_share_one_token(redis_db: str) -> None:
    async with two_processes(redis_db) as (server, both, clock):
        for _ in range(10):
            await asyncio.gather(*[apns.send(ios()) for apns in both for _ in range(3)])
            clock.now_s += 17 * 60
        assert len({request.headers["authorization"] for request in server.requests}) == 4


async def test_a_process_that_starts_later_takes_the_token_of_the_others(redis_db: str) -> None:
    async with two_processes(redis_db) as (server, [first, second], clock):
        await first.send(ios())
        clock.now_s += 44 * 60
        await second.send(ios())
        clock.now_s += 60
        await asyncio.gather(second.send(ios()), first.send(ios()))
        assert len({request.headers["authorization"] for request in server.requests}) == 2


async def test_without_redis_each_process_signs_its_own() -> None:
    with Refusing(full=False) as url:
        redis = Redis.from_url(url.replace("http", "redis"), retry=None)
        async with ScriptedH2(lambda _request: OK) as server:
            settings = account(server.url)
            transport = PyreqwestTransport(settings.http_policy())
            apns = Apns("apns", settings, transport, SteppingClock(), RedisTokenShare(redis))
            assert (await apns.send(ios())).code == "200"
            await apns.close()
        await redis.aclose()


# --- errors

SHEET: dict[type[DeliveryError], dict[int, list[str]]] = {
    RecipientGone: {410: ["Unregistered", "ExpiredToken"], 400: ["BadDeviceToken", "DeviceTokenNotForTopic"]},
    Rejected: {
        413: ["PayloadTooLarge"],
        400: [
            "PayloadEmpty",
            "BadCollapseId",
            "BadExpirationDate",
            "BadMessageId",
            "BadPriority",
            "BadTopic",
            "DuplicateHeaders",
            "InvalidPushType",
            "MissingDeviceToken",
            "MissingTopic",
        ],
        404: ["BadPath"],
        405: ["MethodNotAllowed"],
    },
    Misconfigured: {
        403: [
            "InvalidProviderToken",
            "MissingProviderToken",
            "ExpiredProviderToken",
            "Forbidden",
            "BadCertificate",
            "BadCertificateEnvironment",
            "UnrelatedKeyIdInToken",
            "BadEnvironmentKeyIdInToken",
            "BadEnvironmentKeyInToken",
        ],
        400: ["TopicDisallowed"],
    },
    Throttled: {429: ["TooManyRequests", "TooManyProviderTokenUpdates"]},
    Transient: {500: ["InternalServerError"], 503: ["ServiceUnavailable", "Shutdown"], 400: ["IdleTimeout"]},
}
ROWS = [
    (status, reason, kind)
    for kind, statuses in SHEET.items()
    for status, reasons in statuses.items()
    for reason in reasons
]


def test_the_table_is_the_sheet_s() -> None:
    assert {reason: kind for _, reason, kind in ROWS} == ERRORS


@pytest.mark.parametrize(("status", "reason", "kind"), [row for row in ROWS if row[1] not in FOREIGN])
async def test_every_reason_has_its_class(status: int, reason: str, kind: type[DeliveryError]) -> None:
    error = await failed(refusal(status, reason))
    assert (type(error), error.code) == (kind, reason)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (403, Misconfigured),
        (410, Rejected),
        (429, Throttled),
        (500, Transient),
        (302, Misconfigured),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"reason": "BrandNew"}', b'{"reason": 7}'])
async def test_unknown_answers_go_by_status(status: int, kind: type[DeliveryError], body: bytes) -> None:
    assert type(await failed(Answer(status, body))) is kind


@pytest.mark.parametrize(
    ("registered_ms", "kind"),
    [(0, RecipientGone), (1_699_999_999_999, RecipientGone), (1_700_000_000_001, Transient)],
)
async def test_a_token_registered_after_apple_saw_it_die_lives(
    registered_ms: int, kind: type[DeliveryError]
) -> None:
    async with apple(refusal(410, "Unregistered", timestamp=1_700_000_000_000)) as (_, apns):
        with pytest.raises(kind) as refused:
            await apns.send(ios(registered_ms=registered_ms))
    since_ms = refused.value.since_ms
    assert since_ms == (1_700_000_000_000 if kind is RecipientGone else 0), "what registers later lives"


async def attempt(apns: Apns, device: int) -> str:
    try:
        await apns.send(ios(address=f"{device:064x}"))
    except DeliveryError as error:
        return type(error).__name__
    return "sent"


@pytest.mark.parametrize("reason", sorted(FOREIGN))
async def test_a_wrong_environment_blocks_no_device(reason: str) -> None:
    right = False
    async with apple(lambda _request: OK if right else refusal(400, reason)) as (_, apns):
        kinds = [await attempt(apns, device) for device in range(12)]
        assert kinds == ["Transient"] * (FEW - 1) + ["Misconfigured"] * (13 - FEW)
        right = True
        assert [await attempt(apns, device) for device in range(12)] == ["sent"] * 12


@pytest.mark.parametrize("reason", sorted(FOREIGN))
async def test_a_foreign_device_is_gone_once_another_was_served(reason: str) -> None:
    foreign = f"/{0:064x}"
    async with apple(lambda request: refusal(400, reason) if request.path.endswith(foreign) else OK) as (
        _,
        apns,
    ):
        kinds = [await attempt(apns, device) for device in (1, 0, 0, 2, 0, 0)]
    assert kinds == ["sent", "Transient", "Transient", "sent", "RecipientGone", "RecipientGone"]


@pytest.mark.parametrize("reason", sorted(FOREIGN))
async def test_that_one_app_is_served_proves_nothing_of_another(reason: str) -> None:
    """One key serves several apps: a wrong name of one app must not block the devices of all who use it."""

    def script(request: Request) -> Answer:
        return refusal(400, reason) if request.headers["apns-topic"] == "com.example.wrong" else OK

    async with apple(script) as (_, apns):
        errors = []
        for device in range(12):
            await apns.send(ios(app="com.example.flights", address=f"{device:064x}"))
            with pytest.raises(DeliveryError) as caught:
                await apns.send(ios(app="com.example.wrong", address=f"{device + 99:064x}"))
            errors.append(caught.value)
    assert [type(each) for each in errors] == [Transient] * (FEW - 1) + [Misconfigured] * (13 - FEW)
    assert errors[-1].about is About.MESSAGE, "the other app goes on"


async def test_the_account_s_own_topic_is_the_account_s_fault() -> None:
    async with apple(refusal(400, "DeviceTokenNotForTopic"), topic="com.example.wrong") as (_, apns):
        with pytest.raises(Misconfigured):
            await apns.send(ios(app=""))


async def test_retry_after_is_honoured_where_it_comes() -> None:
    answer = refusal(503, "ServiceUnavailable")._replace(headers=(("retry-after", "33"),))
    assert (await failed(answer)).retry_after_s == 33


# --- connections


async def test_all_pushes_share_one_connection() -> None:
    given: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    async with apple(lambda _request: given if len(server.requests) > 1 else OK) as (server, apns):
        await apns.send(ios())
        calls = asyncio.gather(*[apns.send(ios()) for _ in range(100)])
        await soon(lambda: server.most_streams > 50, "many streams at once")
        given.set_result(OK)
        await calls
        assert len(server.requests) == 101
        assert len(server.connections) == 1


async def test_respects_the_limit_of_streams() -> None:
    async with apple(OK._replace(delay_s=0.01), max_streams=5) as (server, apns):
        await apns.send(ios())
        await asyncio.gather(*[apns.send(ios()) for _ in range(60)])
        assert len(server.requests) == 61
        assert server.most_streams <= 5


async def test_a_stream_left_out_by_goaway_is_sent_again_elsewhere() -> None:
    steps: list[Step] = [OK, H2Fault.GOAWAY_UNPROCESSED, OK]
    async with apple(lambda _request: steps.pop(0)) as (server, apns):
        await apns.send(ios())
        assert (await apns.send(ios())).code == "200"
        assert len(server.connections) == 2


async def test_after_goaway_the_next_push_takes_a_new_connection() -> None:
    steps: list[Step] = [(H2Fault.GOAWAY_AFTER, OK), OK]
    async with apple(lambda _request: steps.pop(0)) as (server, apns):
        await apns.send(ios())
        await soon(lambda: server.connections[0].over, "the end of the connection, by the client")
        await apns.send(ios())
        assert len(server.connections) == 2


async def test_a_refused_stream_was_not_processed() -> None:
    steps: list[Step] = [H2Fault.REFUSE, OK]
    async with apple(lambda _request: steps.pop(0)) as (server, apns):
        assert (await apns.send(ios())).code == "200"
        assert len(server.requests) == 2
    error = await failed(H2Fault.REFUSE)
    assert isinstance(error, Transient)


@pytest.mark.parametrize("fault", [H2Fault.RESET, H2Fault.CUT, H2Fault.SILENCE])
async def test_a_stream_that_broke_is_unknown(fault: H2Fault) -> None:
    async with apple(fault, timeout_s=1 if fault is H2Fault.SILENCE else PATIENCE_S) as (server, apns):
        with pytest.raises(Unknown):
            await apns.send(ios())
        await soon(lambda: len(server.requests) == 1, "the push")


@pytest.mark.parametrize("reason", ["Shutdown", "UnrelatedKeyIdInToken", "IdleTimeout"])
async def test_some_reasons_need_a_new_connection(reason: str) -> None:
    given = [asyncio.get_running_loop().create_future() for _ in range(5)]
    answers: list[Step] = [*given]
    async with apple(lambda _request: answers.pop() if answers else OK) as (server, apns):
        refused = [asyncio.ensure_future(apns.send(ios())) for _ in range(5)]
        await soon(lambda: not answers, "five pushes at once")
        given[0].set_result(refusal(503, reason))
        await asyncio.wait(refused, return_when=asyncio.FIRST_COMPLETED)
        await apns.send(ios())  # the first refusal is here, the others are still to come
        for later in given[1:]:
            later.set_result(refusal(503, reason))
        assert all(isinstance(each, DeliveryError) for each in await gathered(refused))
        await apns.send(ios())
        assert len(server.connections) == 2, "one new connection, not one for each refusal"


async def gathered(calls: Sequence[asyncio.Future[Receipt]]) -> list[Receipt | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_speaks_http2_over_tls() -> None:
    context, root = server_tls("h2")
    async with ScriptedH2(lambda _request: OK, tls=context) as server:
        settings = account(server.url, ca=root.decode())
        apns = Apns("apns", settings, PyreqwestTransport(settings.http_policy()), SteppingClock())
        assert (await apns.send(ios())).code == "200"
        await apns.close()


async def test_speaks_nothing_but_http2() -> None:
    context, root = server_tls("http/1.1")
    async with ScriptedHttp(tls=context) as server:
        settings = account(server.url, ca=root.decode(), timeout_s=0.5)
        apns = Apns("apns", settings, PyreqwestTransport(settings.http_policy()), SteppingClock())
        with pytest.raises(DeliveryError):
            await apns.send(ios())
        await apns.close()
        assert all(request.method == "PRI" for request in server.requests), "the preface of HTTP/2"


# --- the account


def test_the_account_s_key_must_be_p256_and_is_not_shown() -> None:
    with pytest.raises(ValueError, match="P-256") as caught:
        account("https://api.push.apple.com", key="-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END")
    assert "c2VjcmV0" not in str(caught.value)
    assert account("https://x.example").http_policy().http2 == "only"
    assert re.search("PRIVATE", repr(account("https://x.example"))) is None
    assert isinstance(account("https://x.example").key, SecretStr)


@pytest.mark.parametrize(
    ("status", "reason", "proved"),
    [
        (400, "BadDeviceToken", True),
        (400, "DeviceTokenNotForTopic", True),
        (403, "InvalidProviderToken", False),
        (400, "TopicDisallowed", False),
        (403, "BadEnvironmentKeyInToken", False),
    ],
)
async def test_a_device_that_cannot_be_proves_the_key(status: int, reason: str, proved: bool) -> None:
    async with apple(refusal(status, reason), topic="com.example.flights") as (server, apns):
        with contextlib.nullcontext() if proved else pytest.raises(Misconfigured, match=reason):
            assert await apns.verify() == "team DEF123GHIJ, key ABC123DEFG, topic com.example.flights"
    (request,) = server.requests
    assert request.path == f"/3/device/{'0' * 64}"
    assert request.headers["apns-topic"] == "com.example.flights"


async def test_who_takes_a_push_to_no_device_is_not_apple() -> None:
    async with apple(OK) as (_, apns):
        with pytest.raises(Misconfigured, match="base_url is not Apple's"):
            await apns.verify()


async def test_apple_that_does_not_answer_proves_nothing() -> None:
    with Refusing(full=False) as url:
        provider = Apns("main", account(url), PyreqwestTransport(HttpPolicy(http2="only")), SteppingClock())
        with pytest.raises(Transient):
            await provider.verify()
        await provider.close()
