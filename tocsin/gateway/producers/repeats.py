"""Idempotency keys: a request that is sent again gets the same answer, and writes nothing twice.

The key is claimed in Redis before anything is written, and the answer is kept beside it. Between the two a
crash leaves a claim. Whoever repeats the request then takes the claim over and writes the same event ids
again, for these are derived from the key: the gate drops what it has seen. So it does where Redis is away.
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Final

import msgspec
from redis.exceptions import RedisError

from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Parameter
from tocsin.gateway.problems import FieldError, Problem
from tocsin.model.ids import digest

HEADER: Final = "idempotency-key"
REPEATED: Final = "idempotent-replayed"
PROTECTION: Final = "idempotency-protection"
KEEP_MS: Final = 86_400_000
"""An answer is kept for 24 hours."""
IN_FLIGHT_MS: Final = 20_000
"""A claim without an answer counts as in flight for so long; a request needs less, or has died."""
_KEY: Final = re.compile(r"[!-~]{1,255}")
PARAMETER: Final = Parameter(
    HEADER,
    "header",
    str,
    "1 to 255 visible ASCII characters. For 24 hours the same key and body get the same answer again.",
    example="order-4711-shipped",
)


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What Redis keeps of a key; `status` is 0 until there is an answer."""

    fingerprint: bytes
    claimed_ms: int
    status: int = 0
    body: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode
_encode_json = msgspec.json.Encoder().encode
Work = Callable[[bool], Awaitable[Answer]]
"""Does what a request asks for; it is told whether no earlier try can have done it."""


def key_of(call: Call) -> str:
    """Return the idempotency key of a request; empty for none.

    Raises:
        Problem: it has the wrong form.
    """
    given = call.headers.get(HEADER, "")
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if given and not _KEY.fullmatch(key):
        cure = "send 1 to 255 visible ASCII characters, such as a UUID"
        wrong = FieldError(HEADER, "a text of another form", cure)
        raise Problem(400, f"header {HEADER}: {cure}", errors=[wrong])
    return key


async def once(call: Call, key: str, content: bytes, work: Work) -> Answer:
    """Do what a request asks for, unless it was done before.

    Args:
        call: the request.
        key: its idempotency key; empty for none.
        content: what a repetition must have in common with it.
        work: does it.

    Raises:
        Problem: another request had the same key (422), or the first one is in flight (409).
    """
    if not key:
        return await work(True)
    name, claim = _name(call, key), _claim(call, content)
    try:
        before = await call.gateway.redis.set(name, _encode(claim), nx=True, get=True, px=KEEP_MS)
        if before is not None:
            known = _decode(before)  # type: ignore[arg-type]  # nothing is decoded to text
            if (answer := _known(known, claim)) is not None:
                return answer
            await call.gateway.redis.set(name, _encode(claim), px=KEEP_MS)
    except (RedisError, OSError):
        call.extra[PROTECTION] = "event-ids"
        return await work(False)
    return await _done(call, name, claim, work, is_first=before is None)


async def answered(call: Call, key: str, content: bytes) -> Answer | None:
    """Find the answer that the same request got before; None if there is none.

    For a request that would be refused now: since it was accepted, the catalog or the time has changed.
    """
    if not key:
        return None
    try:
        before = await call.gateway.redis.get(_name(call, key))
    except (RedisError, OSError):
        return None
    known = None if before is None else _decode(before)  # type: ignore[arg-type]  # nothing is decoded to text
    if known is None or not known.status or known.fingerprint != _claim(call, content).fingerprint:
        return None
    return _again(known)


def _name(call: Call, key: str) -> str:
    return f"tocsin:gateway:repeat:{digest(call.tenant, key)}"


def _claim(call: Call, content: bytes) -> Kept:
    path = f"{call.method} {call.scope['path']}".encode()
    return Kept(blake2b(path + b"\0" + content, digest_size=16).digest(), call.now_ms)


def _again(known: Kept) -> Answer:
    return Answer(known.status, known.body, {REPEATED: "true"})


def _known(known: Kept, claim: Kept) -> Answer | None:
    """Answer a key that was used before; None if its request has died without an answer."""
    if known.fingerprint != claim.fingerprint:
        cure = "use a new key for another request"
        wrong = FieldError(HEADER, "used for another request", cure)
        raise Problem(422, f"header {HEADER}: {cure}", errors=[wrong])
    if known.status:
        return _again(known)
    if claim.claimed_ms - known.claimed_ms < IN_FLIGHT_MS:
        detail = "the first request with this key is in flight: send it again"
        raise Problem(409, detail, headers={"retry-after": "1"})
    return None


async def _done(call: Call, name: str, claim: Kept, work: Work, *, is_first: bool) -> Answer:
    """Do it, and keep the answer. What may be sent again is no answer: the claim is given back."""
    try:
        answer = await work(is_first)
    except BaseException:
        await _keep(call, name, msgspec.structs.replace(claim, claimed_ms=0))
        raise
    if not is_final(answer):
        await _keep(call, name, msgspec.structs.replace(claim, claimed_ms=0))
        return answer
    body = _encode_json(answer.body)
    await _keep(call, name, msgspec.structs.replace(claim, status=answer.status, body=body))
    return answer._replace(body=body)


def is_final(answer: Answer) -> bool:
    """Tell whether sending the request again would change nothing: no item of it may be sent again."""
    results = getattr(answer.body, "results", ())
    return all(one.status < 500 for one in results)


async def _keep(call: Call, name: str, kept: Kept) -> None:
    try:
        await call.gateway.redis.set(name, _encode(kept), px=KEEP_MS)
    except (RedisError, OSError):
        call.extra[PROTECTION] = "event-ids"
