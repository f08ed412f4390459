"""Access tokens for a Google service account: signed assertion out, bearer token in, shared by all calls."""

import asyncio
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tocsin.errors import DeliveryError, Misconfigured, Transient, Unknown
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.clean import clean
from tocsin.providers.http import Clock, Response, Transport

AUDIENCE = "https://oauth2.googleapis.com/token"
"""Google wants this audience also where the token URL is another one."""

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME_S = 3600
RENEW_EARLY_S = 300
TIMEOUT_S = 10.0
"""A call that waits for a token has half of its own deadline for it, at most this."""


class ServiceAccount(BaseModel):
    """The fields of a service account's JSON key that are needed; the others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    project_id: str = Field(pattern=r"^[a-z0-9:.-]+$")
    client_email: str = Field(min_length=1)
    private_key_id: str = ""
    private_key: SecretStr

    @field_validator("private_key")
    @classmethod
    def _rsa(cls, value: SecretStr) -> SecretStr:
        rsa_key(value)
        return value


def rsa_key(pem: SecretStr) -> RSAPrivateKey:
    """Read an RSA private key.

    Raises:
        ValueError: it is not one; the text does not quote it.
    """
    key = _load(pem.get_secret_value())
    if key is None:
        msg = "is not an RSA private key in PEM"
        raise ValueError(msg)
    return key


@lru_cache(maxsize=8)  # checking an RSA key takes 0.2 s, and it is read for the check and for the use
def _load(pem: str) -> RSAPrivateKey | None:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


class GoogleTokens:
    """One access token at a time, renewed five minutes before it ends.

    One renewal runs at a time and all who need it share its end, good or bad. While the old token still
    holds, the others go on with it.

    Args:
        account: whose tokens.
        url: where assertions are traded for them.
        transport: calls it.
        clock: seconds since 1970.
        call_s: deadline of the calls that need a token. It would cut off a call that still waits for one,
            and the outcome would be unknown although nothing was sent.
    """

    def __init__(
        self, account: ServiceAccount, url: str, transport: Transport, clock: Clock, call_s: float
    ) -> None:
        self._account = account
        self._key = rsa_key(account.private_key)
        self._url = url
        self._transport = transport
        self._clock = clock
        self._timeout_s = min(TIMEOUT_S, call_s / 2)
        self._renewal: asyncio.Task[DeliveryError | None] | None = None
        self._token = ""
        self._ends_s = 0.0

    async def token(self, refused: str = "") -> str:
        """Return a token that holds, and is not the one that was `refused`.

        Raises:
            Transient: Google could not be asked; nothing was sent with the token, so nothing is in doubt.
            Misconfigured: Google does not accept the service account.
        """
        usable = self._token != refused and self._left_s() > 0
        if usable and (self._left_s() > RENEW_EARLY_S or self._renewal is not None):
            return self._token
        failure = await self._renewed()
        if failure is not None and not usable:
            raise type(failure)(str(failure), code=failure.code, retry_after_s=failure.retry_after_s)
        return self._token

    async def _renewed(self) -> DeliveryError | None:
        """Wait for the renewal under way, or start it; a caller that is cancelled does not stop it."""
        if self._renewal is None:
            self._renewal = asyncio.ensure_future(self._renew())
        return await asyncio.shield(self._renewal)

    async def _renew(self) -> DeliveryError | None:
        try:
            await self._fetch()
        except DeliveryError as error:
            return error
        finally:
            self._renewal = None
        return None

    def _left_s(self) -> float:
        return self._ends_s - self._clock()

    async def _fetch(self) -> None:
        now_s = self._clock()
        form = urlencode({"grant_type": GRANT, "assertion": self._assertion(int(now_s))}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        try:
            answer = await self._transport.request("POST", self._url, headers, form, self._timeout_s)
        except Unknown:
            text = "the token endpoint did not answer"
            raise Transient(text, code="token") from None
        if answer.status != 200:
            raise _refusal(answer, now_s)
        granted = read_json(answer.body, _Granted)
        if not granted.access_token:
            text = "the token endpoint answered without a token"
            raise Misconfigured(text, code="token")
        self._token, self._ends_s = granted.access_token, now_s + granted.expires_in

    def _assertion(self, now_s: int) -> str:
        claims: dict[str, Any] = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": AUDIENCE,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
        }
        return jwt.encode(claims, self._key, "RS256", headers={"kid": self._account.private_key_id})


class _Granted(msgspec.Struct):
    access_token: str = ""
    expires_in: int = LIFETIME_S
    error: str = ""
    error_description: str = ""


def _refusal(answer: Response, now_s: float) -> DeliveryError:
    said = read_json(answer.body, _Granted)
    text = clean(f"token endpoint: {said.error} {said.error_description}".strip())
    if answer.status == 429 or answer.status >= 500:
        seconds = wait_s(Transient, answer, now_s)
        return Transient(text, code=f"token {answer.status}", retry_after_s=seconds)
    return Misconfigured(text, code=f"token {answer.status}")
