"""Apprise: its services (Telegram, Teams, Discord, ntfy, PagerDuty and a hundred more), each as a channel.

Apprise is synchronous, so each call has a thread. It answers yes or no; why not stands in its log only. So
the class of a failure is as good as what a plugin logs: an HTTP status, or that no connection was made.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, field_validator

from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    SettingsError,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.channels import OPEN, is_channel_name, spec_of
from tocsin.model.content import ChatContent, Outgoing
from tocsin.model.message import ACCOUNT, Message
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.registry import Parts, provider
from tocsin.providers.vendor import Account, check_size, content_of

LIMITS = Limits(timeout_s=20)

TO = "{to}"
"""Stands in the URL of an account for the recipient's address."""

ERRORS: Mapping[int, type[DeliveryError]] = {
    401: Misconfigured,
    404: Rejected,
    408: Transient,
    410: RecipientGone,
    429: Throttled,
    500: Transient,
    502: Transient,
    503: Transient,
    504: Transient,
}
"""HTTP status in the log to error; other 4xx refuse the message, other 5xx are `Transient`."""

WAIT_S: Mapping[type[DeliveryError], float] = {Throttled: 60.0}
"""How long to wait: Apprise passes on no `Retry-After`."""

_STATUS = re.compile(r"error\s*[=:]\s*(\d{3})\b")
_NOT_SENT = re.compile(
    r"refused|name resolution|NameResolutionError|NewConnectionError|ConnectTimeout|No route to host"
    r"|Network is unreachable|getaddrinfo",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(r"connection error|timed? ?out|Socket Exception", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s,;|<>\"'`\\{}]{1,512}")
_NAMED_URL = re.compile(r"with url: \S*")
_WHY = "Socket Exception"
"""Begins the line of the debug level that says why a call had no answer."""
_FAILED_ITSELF = "raised an exception."
_LOG = "apprise"


def _channel(value: str) -> str:
    if not is_channel_name(value) or spec_of(value).content != OPEN.content:
        msg = (
            "must be a name of a channel for short texts, such as telegram: a-z, digits, dash and underscore"
        )
        raise ValueError(msg)
    return value


class AppriseAccount(Account):
    """Settings of one service of Apprise, which is the channel of its name.

    Attributes:
        channel: the channel it carries, by the name that tenants declare.
        url: Apprise's URL of the service; `{to}` stands for the recipient's address.
        to: the address for channels with `contact: account`, if the URL has `{to}`.
        threads: calls at once.
    """

    vendor: Literal["apprise"]
    channel: Annotated[str, AfterValidator(_channel)]
    url: SecretStr
    to: str = ""
    threads: int = Field(8, ge=1, le=128)

    @field_validator("url")
    @classmethod
    def _addressed(cls, value: SecretStr) -> SecretStr:
        schema, found, rest = value.get_secret_value().partition("://")
        if not found or not schema:
            msg = "must be a URL of Apprise, such as tgram://token/{to}"
            raise ValueError(msg)
        if TO in schema + rest.split("/")[0].split("?")[0]:
            msg = "has {to} as its host, so recipients would choose the server: write it behind the host"
            raise ValueError(msg)
        return value


class _Log(logging.Handler):
    """Keeps what Apprise logs of failures during one call, for the thread that makes it; prints nothing.

    Other lines hold the message itself: the words of a text are no failure.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._of_thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line about a failure, if a call is made in this thread."""
        lines: list[str] | None = getattr(self._of_thread, "lines", None)
        if lines is None:
            return
        line = record.getMessage()
        if record.levelno >= logging.WARNING or line.startswith(_WHY):
            lines.append(line)

    @contextmanager
    def kept(self) -> Iterator[list[str]]:
        """Collect the lines of this thread."""
        lines: list[str] = []
        self._of_thread.lines = lines
        try:
            yield lines
        finally:
            self._of_thread.lines = None


_log = _Log()


def _apprise() -> Any:
    """Import Apprise, and take its log over: at its lowest level it holds addresses and texts."""
    found = import_module("apprise")
    logger = logging.getLogger(_LOG)
    if _log not in logger.handlers:
        logger.addHandler(_log)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    return found


def _build(name: str, account: AppriseAccount, _: Parts) -> "AppriseService":
    try:
        apprise = _apprise()
    except ImportError:
        msg = f"account {name}: apprise is not installed: pip install '.[apprise]' in Tocsin's folder"
        raise SettingsError(msg) from None
    url = account.url.get_secret_value()
    with _log.kept():
        known = url.partition("://")[0].lower() in apprise.manager_plugins.NotificationManager()
        is_fine = known and (TO in url or apprise.Apprise.instantiate(url) is not None)
    if not is_fine:
        what = "is no URL that Apprise understands" if known else "names a service that Apprise does not know"
        msg = f"account {name}: url {what}; see https://appriseit.com/services/"
        raise SettingsError(msg)
    return AppriseService(name, account, _opener(apprise))


class _Service(NamedTuple):
    """One service at one address."""

    body_maxlen: int
    notify: Callable[..., Any]


def _opener(apprise: Any) -> Callable[[str], _Service | None]:
    """Make the function that opens a URL; it returns None if the URL is wrong.

    Only `Apprise.notify` turns plain text into the service's markup: the `notify` of Telegram's own plugin
    does not. Without a timeout of its own, Apprise calls in our thread. With one it calls in a pool that all
    accounts would share, and its log would be another thread's.
    """
    asset = apprise.AppriseAsset(service_timeout=0)

    def opened(url: str) -> _Service | None:
        plugin = apprise.Apprise.instantiate(url, asset=asset)
        return plugin and _Service(plugin.body_maxlen, apprise.Apprise(plugin, asset=asset).notify)

    return opened


@provider("apprise", "", AppriseAccount, build=_build)
class AppriseService:
    """Sends over one service of Apprise. A yes means that the service has it.

    A call that is out of time goes on in its thread, so its outcome is unknown; one that had no thread yet is
    given up, and was certainly not sent.
    """

    def __init__(self, name: str, account: AppriseAccount, opened: Callable[[str], Any]) -> None:
        self.name = name
        self.channel = account.channel
        self.limits = account.limits(LIMITS)
        self._account = account
        self._opened = opened
        self._turns = asyncio.Semaphore(account.threads)
        self._threads = ThreadPoolExecutor(account.threads, thread_name_prefix=f"apprise-{name}")

    def accepts(self, message: Message) -> bool:
        """Carry every message of its channel."""
        return message.channel == self.channel

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hand over one message; see `Provider.send`."""
        url, content = self._url(outgoing.message), content_of(outgoing, ChatContent)
        async with self._turns:
            call = self._threads.submit(self._notify, url, content)
            failure: DeliveryError | None
            try:
                async with asyncio.timeout(self.limits.timeout_s):
                    failure = await asyncio.wrap_future(call)
            except TimeoutError:
                failure = _late(never_began=call.cancel())
        if isinstance(failure, RecipientGone) and outgoing.message.target.platform == ACCOUNT:
            failure = Misconfigured(f"{failure}: correct the url or `to` of the account", code=failure.code)
        if failure is not None:
            raise failure
        return Receipt("", "sent")

    async def close(self) -> None:
        """Let no further call begin; those in flight end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _url(self, message: Message) -> str:
        """Fill in the recipient's address.

        Raises:
            Misconfigured: the message goes to the account's own address, and the account has none.
            Declined: the URL has no place for the recipient's address.
            Rejected: the address has characters that Apprise reads as several addresses.
        """
        url, shared = self._account.url.get_secret_value(), message.target.platform == ACCOUNT
        if TO not in url:
            if shared:
                return url
            msg = "the URL of the account has no {to}: it reaches one address, whoever the recipient is"
            raise Declined(msg, code="no_place")
        address = self._account.to if shared else message.target.address
        if not address:
            msg = "the channel has `contact: account`, and the account has no `to`"
            raise Misconfigured(msg, code="no_address")
        if not _ADDRESS.fullmatch(address):
            msg = "the address has characters that no address of a chat has"
            raise Rejected(msg, code="bad_address", about=About.RECIPIENT)
        return url.replace(TO, quote(address, safe=""))

    def _notify(self, url: str, content: ChatContent) -> DeliveryError | None:
        """Call Apprise, in a thread."""
        with _log.kept() as lines:
            service = self._opened(url)
            if service is None:
                return Rejected(
                    "the service takes no such address", code="bad_address", about=About.RECIPIENT
                )
            body = "\n".join(filter(None, (content.text, content.url)))
            check_size(len(body), service.body_maxlen, "the text in characters")
            kind = "warning" if content.urgent else "info"
            sent = service.notify(body=body, title=content.title, notify_type=kind, body_format="text")
        return None if sent else failure_of(lines)


def failure_of(lines: list[str]) -> DeliveryError:
    """Class a no of Apprise by what it logged of it; no line of it is passed on.

    A line ends with the status; before it may stand words of the service. An address may hold any word.

    >>> type(failure_of(["Failed to send Telegram notification to 1: error=429."])).__name__
    'Throttled'
    """
    if any(line.endswith(_FAILED_ITSELF) for line in lines):
        return Unknown("Apprise's plugin failed, perhaps at the service's answer", code="plugin")
    if code := next((found[-1] for line in lines if (found := _STATUS.findall(line))), ""):
        return _answered(code)
    text = _NAMED_URL.sub("", "\n".join(lines))
    if _NOT_SENT.search(text):
        return Transient("no connection to the service", code="no_connection")
    if _NO_ANSWER.search(text):
        return Unknown("the connection to the service broke", code="no_answer")
    return Rejected("Apprise could not send it, and does not say why", code="failed")


def _answered(code: str) -> DeliveryError:
    kind = ERRORS.get(int(code)) or (Transient if int(code) >= 500 else Rejected)
    about = None if kind in (Misconfigured, Throttled, Transient) else About.RECIPIENT
    return kind(f"the service answers HTTP {code}", code=code, retry_after_s=WAIT_S.get(kind), about=about)


def _late(*, never_began: bool) -> DeliveryError:
    if never_began:
        return Transient("no thread was free in time; raise `threads`", code="no_thread")
    return Unknown("the service did not answer in time", code="timeout")
