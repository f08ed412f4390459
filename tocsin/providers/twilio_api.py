"""Twilio's REST API, as its adapters share it: the account, its requests, and the errors of all resources."""

from collections.abc import Awaitable, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import msgspec
from pydantic import Field, SecretStr

from tocsin.errors import (
    About,
    DeliveryError,
    LimitReached,
    Misconfigured,
    Rejected,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import Outgoing
from tocsin.providers.answers import read_json, wait_s
from tocsin.providers.base import Receipt
from tocsin.providers.basic import basic_login
from tocsin.providers.clean import clean
from tocsin.providers.form import form_text
from tocsin.providers.http import Clock, Response, Transport
from tocsin.providers.vendor import HttpAccount, Url, marked

COMMON: Mapping[int, type[DeliveryError]] = {
    20003: Misconfigured,
    20005: Misconfigured,
    20008: Misconfigured,
    20404: Misconfigured,
    20429: Throttled,
    20500: Transient,
    20503: Transient,
}
"""Codes of every resource: credentials, rights, a closed account; and what is to be tried again."""

DAY_LIMIT_WAIT_S = 14_400.0
"""Seven attempts under a daily limit span 24 hours."""

_NOTHING: Mapping[str, Iterable[str]] = MappingProxyType({})
_FORM = {"content-type": "application/x-www-form-urlencoded"}


class TwilioCredentials(HttpAccount):
    """Settings that Twilio's accounts share.

    Attributes:
        key_sid: sid of an API key; without it `auth_token` is the account's own token.
        status_callback: where Twilio reports delivery; the message's id and mark are added as a query.
        webhook_token: the account's own auth token, which signs reports; needed where an API key sends.
    """

    account_sid: Annotated[str, Field(pattern=r"^AC[0-9a-fA-F]{32}$")]
    auth_token: SecretStr
    key_sid: Annotated[str, Field(pattern=r"^(SK[0-9a-fA-F]{32})?$")] = ""
    status_callback: Url | Literal[""] = ""
    webhook_token: SecretStr = SecretStr("")
    base_url: Url = "https://api.twilio.com"


class Codes(NamedTuple):
    """How the errors of a resource are classed.

    Attributes:
        errors: Twilio's `code` to error.
        about: code to what it is about, where its error's class says otherwise.
    """

    errors: Mapping[int, type[DeliveryError]] = COMMON
    about: Mapping[int, About] = MappingProxyType({})


class Answer(msgspec.Struct):
    """What Twilio answers: a resource that was made, or a refusal. One that is not Twilio's has no fields."""

    sid: str = ""
    code: int | None = None
    message: str | None = None
    status: str | int = ""
    type: str = ""


class TwilioApi:
    """Requests to the resources of one account."""

    def __init__(
        self, account: TwilioCredentials, transport: Transport, clock: Clock, timeout_s: float
    ) -> None:
        self._account = account
        self._transport = transport
        self._clock = clock
        self._timeout_s = timeout_s
        self._base = f"{account.base_url}/2010-04-01/Accounts/{account.account_sid}"
        login = basic_login(account.key_sid or account.account_sid, account.auth_token.get_secret_value())
        self._headers = login | _FORM

    async def send(
        self,
        resource: str,
        form: Mapping[str, str],
        outgoing: Outgoing,
        codes: Codes,
        repeated: Mapping[str, Iterable[str]] = _NOTHING,
    ) -> Receipt:
        """Hand over a message by making a resource of it.

        Args:
            resource: `Messages` or `Calls`.
            form: its fields.
            outgoing: the message, which is struck out of the text of an error.
            codes: of the resource.
            repeated: fields with several values.

        Raises:
            DeliveryError: Twilio refuses it, or the transport failed (`Transport.request`).
        """
        body = form_text(form)
        for name, values in repeated.items():
            body += "".join([f"&{form_text({name: value})}" for value in values])
        answer = await self._request("POST", f"/{resource}.json", body.encode())
        if 200 <= answer.status < 300:
            return Receipt(read_json(answer.body, Answer).sid, str(answer.status))
        raise refusal(answer, outgoing, self._clock(), codes)

    async def get(self, path: str, outgoing: Outgoing | None = None) -> bytes:
        """Read what the path names, below the account.

        Raises:
            DeliveryError: as `send`; `outgoing` is struck out of its text.
        """
        answer = await self._request("GET", path, b"")
        if answer.status != 200:
            raise refusal(answer, outgoing, self._clock(), Codes())
        return answer.body

    def _request(self, method: str, path: str, body: bytes) -> Awaitable[Response]:
        url = f"{self._base}{path}"
        return self._transport.request(method, url, self._headers, body, self._timeout_s)

    async def verify(self) -> str:
        """Ask for the account; see `Verifiable.verify`.

        An API key may not read the account itself, so it asks for a message.
        """
        account = self._account
        found = read_json(await self.get("/Messages.json?PageSize=1" if account.key_sid else ".json"), Answer)
        if account.key_sid:
            return f"account {account.account_sid}, API key {account.key_sid}"
        if found.status != "active":
            msg = f"account {account.account_sid} is {found.status or 'of unknown state'}"
            raise Misconfigured(msg, code="20005")
        return f"account {account.account_sid}, {found.type or 'of unknown type'}, active"

    def callback(self, outgoing: Outgoing) -> dict[str, str]:
        """Build the field that says where reports of this message go; empty if the account names no place."""
        base = self._account.status_callback
        if not base:
            return {}
        return {"StatusCallback": f"{base}?{form_text(marked(outgoing.message, outgoing.mark))}"}

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()


def refusal(answer: Response, outgoing: Outgoing | None, now_s: float, codes: Codes) -> DeliveryError:
    """Class a refusal by its code, else by its HTTP status.

    Args:
        answer: the refusal.
        outgoing: what was sent; it is struck out of the text.
        now_s: wall time in seconds.
        codes: of the resource.
    """
    said = read_json(answer.body, Answer)
    number = said.code or 0
    kind = codes.errors.get(number) or _by_status(answer.status, refused=said.code is not None)
    text = clean(said.message or "", outgoing) or f"HTTP {answer.status}"
    seconds = DAY_LIMIT_WAIT_S if kind is LimitReached else wait_s(kind, answer, now_s)
    code = str(said.code or answer.status)
    return kind(text, code=code, retry_after_s=seconds, about=codes.about.get(number))


def _by_status(status: int, *, refused: bool) -> type[DeliveryError]:
    """Class what the table does not name. A 5xx that Twilio itself did not write leaves the outcome open."""
    if status >= 500:
        return Transient if refused else Unknown
    if status == 429:
        return Throttled
    if status == 408:
        return Transient
    if status in (401, 403, 404) or status < 400:
        return Misconfigured
    return Rejected
