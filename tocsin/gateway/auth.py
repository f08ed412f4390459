"""Decides who calls: no handler of an endpoint with a scope runs before this has passed."""

from typing import NamedTuple, NoReturn

from tocsin.gateway import signing
from tocsin.gateway.call import Call, Caller
from tocsin.gateway.key_copy import KeyCopy
from tocsin.gateway.keys import Key, KeyRing
from tocsin.gateway.nonces import Nonces
from tocsin.gateway.problems import Problem, not_ready
from tocsin.gateway.rates import KeyRates
from tocsin.gateway.signing import SCHEME, WINDOW_MS, Signed

KEYS_HEADER = "x-tocsin-keys"
_CHALLENGE = {"www-authenticate": f'Bearer realm="tocsin", {SCHEME}'}
_AGAIN_S = 5


class _Proved(NamedTuple):
    """A key that a request proved; of a signed request, also what was signed."""

    key: Key
    signed: Signed | None = None


class Gatekeeper:
    """Checks the key of a call, what the key may do, and how often.

    Args:
        ring: the keys.
        copy: knows whether the keys are those of Redis.
        nonces: of signed requests.
        rates: of keys.
    """

    def __init__(self, ring: KeyRing, copy: KeyCopy, nonces: Nonces, rates: KeyRates) -> None:
        self._ring = ring
        self._copy = copy
        self._nonces = nonces
        self._rates = rates

    async def admit(self, call: Call, scope: str) -> None:
        """Set the caller of a call.

        Raises:
            Problem: no valid key, or a request that was played before (401); a key without the scope (403) or
                beyond its rate (429); Redis is away and the local copy does not prove the key (503).
        """
        if self._copy.is_away:
            call.extra[KEYS_HEADER] = f"local-copy; age={self._copy.age_s()}"
        key, signed = self._proved(call)
        if scope not in key.scopes:
            raise Problem(403, f"this key lacks the scope `{scope}`: use one that has it")
        await self._rates.take(key.key_id, key.per_s)
        if signed is not None:
            await self._refuse_replay(call, signed)
        self._copy.note_used(key.key_id, call.now_ms)
        caller = Caller(key.tenant, key.key_id, key.scopes)
        call.admit(caller, signed.body if signed else "")

    def _proved(self, call: Call) -> _Proved:
        scheme, _, text = call.headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer":
            key = self._ring.by_bearer(text.strip(), call.now_ms)
            if key is None:
                self._unproved("this API key is not valid: it is unknown, revoked or over")
            return _Proved(key)
        if scheme == SCHEME:
            return self._signed(call, text)
        raise Problem(
            401, "send an API key, `Authorization: Bearer tk_…`, or sign the request", headers=_CHALLENGE
        )

    def _signed(self, call: Call, fields: str) -> _Proved:
        signed = signing.read(fields)
        if isinstance(signed, str):
            raise Problem(401, f"the header Authorization {signed}", headers=_CHALLENGE)
        if not signing.is_timely(signed, call.now_ms):
            limit_s = WINDOW_MS // 1_000
            cure = f"the request was signed over {limit_s} s from now: set your clock, sign again"
            raise Problem(401, cure, headers=_CHALLENGE)
        key = self._ring.find(signed.key)
        secrets = self._ring.secrets(key, call.now_ms) if key else ()
        proved = signing.is_proved(signed, call.method, _target(call), secrets)
        if key is None or not proved:
            self._unproved(
                "the signature is not that of a valid key over this method, path, time, nonce and body"
            )
        return _Proved(key, signed)

    def _unproved(self, detail: str) -> NoReturn:
        """Refuse; but a key that the local copy lacks may be a new one."""
        if self._copy.is_away:
            text = (
                "this key cannot be checked: Redis is away, and the local copy of the keys does not prove it"
            )
            raise not_ready(text, _AGAIN_S)
        raise Problem(401, detail, headers=_CHALLENGE)

    async def _refuse_replay(self, call: Call, signed: Signed) -> None:
        away = self._copy.is_away
        new = await self._nonces.is_new(signed.key, signed.nonce, call.now_ms, redis_away=away)
        if new is False:
            cure = "this nonce was used before: sign each request with a new one"
            raise Problem(401, cure, headers=_CHALLENGE)
        if new is None:
            call.extra[KEYS_HEADER] = f"local-copy; age={self._copy.age_s()}"


def _target(call: Call) -> str:
    """Return path and query as they were sent."""
    scope = call.scope
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("latin-1")
