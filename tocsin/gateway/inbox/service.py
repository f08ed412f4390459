"""What the endpoints and live connections of a process share: inboxes by tenant, and reports to Kafka."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from weakref import WeakKeyDictionary

import msgspec
from redis.exceptions import RedisError

from tocsin.app.settings import environment
from tocsin.errors import SettingsError
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.inbox.bounds import LivePolicy
from tocsin.gateway.inbox.hub import Hub
from tocsin.gateway.inbox.rates import UserRates
from tocsin.gateway.inbox.tokens import EXAMPLE, BadToken, InboxUser, example_key, verify
from tocsin.gateway.keys import Key
from tocsin.gateway.people.people import changes_of
from tocsin.gateway.problems import Problem, not_ready
from tocsin.gateway.writer import Failure, Record
from tocsin.model import topics
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.statuses import Channel
from tocsin.providers.inapp import inboxes_by_name
from tocsin.providers.inbox import Acted, Action, Inbox, InboxPolicy, Report, live_channel

_log = logging.getLogger("tocsin.gateway.inbox")
_encode = msgspec.json.Encoder().encode
_OVERDUE_MS = 10_000
_SWEEP_S = 5.0
_CHALLENGE = {"www-authenticate": 'Bearer realm="tocsin inbox"'}
_OWED = "it is done; Kafka has not acknowledged the report of it, which is sent as soon as it does"


class InboxService:
    """The inboxes of one gateway process.

    A user's action changes Redis, and is reported to Kafka. The report is noted in Redis in the same step,
    and is forgotten once Kafka has acknowledged it. If a process ends in between, another one writes it.
    A report that is written twice has one outcome, for its id is that of the message and kind.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._policies = inboxes_by_name(gateway.settings.providers, environment())
        self._profiles = changes_of(gateway).view
        self._inboxes: dict[InboxPolicy, Inbox] = {}
        self.rates = UserRates()
        self.bounds = LivePolicy()
        usual = next(iter(self._policies.values()), InboxPolicy())
        self.hub = Hub(gateway.settings.redis, live_channel(usual.prefix, "nobody"))
        for policy in self._policies.values():
            self._inbox(policy)

    def inbox(self, tenant: str) -> Inbox:
        """Find the inbox of a tenant: that of its first in-app account."""
        spec = self._gateway.catalog().tenant(tenant)
        names = spec.providers.get(Channel.INAPP, []) if spec else []
        found = next((self._policies[name] for name in names if name in self._policies), None)
        return self._inbox(found or InboxPolicy())

    def _inbox(self, policy: InboxPolicy) -> Inbox:
        return self._inboxes.setdefault(policy, Inbox(self._gateway.redis, policy))

    def user(self, token: str, now_ms: int) -> InboxUser:
        """Tell whose inbox a token opens.

        Raises:
            Problem: 401 with the reason.
        """
        try:
            return verify(token, self._find, self._gateway.keys.secrets, self._gateway.secret, now_ms)
        except BadToken as error:
            text = f"the inbox token opens nothing: {error}"
        raise Problem(401, text, headers=_CHALLENGE)

    async def admitted(self, token: str, now_ms: int) -> InboxUser:
        """Tell whose inbox a token opens, unless the user was erased after it was made.

        Raises:
            Problem: 401 with the reason, or 503 where Redis is away.
        """
        user = self.user(token, now_ms)
        self.rates.take(user.key, now_ms)
        await self.refuse_erased(user)
        return user

    async def refuse_erased(self, user: InboxUser) -> None:
        """Refuse a token whose user was erased.

        Raises:
            Problem: 401, or 503 where Redis is away.
        """
        with redis_needed():
            is_erased = await self.is_erased(user)
        if is_erased:
            raise Problem(401, "the inbox token opens nothing: its user was erased", headers=_CHALLENGE)

    async def is_erased(self, user: InboxUser) -> bool:
        """Return whether a user was erased after the token was made, or in the same second.

        Raises:
            RedisError: Redis is away.
        """
        return user.since_ms <= await self._profiles.erased_ms(user.key)

    def _find(self, key_id: str) -> Key | None:
        is_example = self._gateway.settings.gateway_example and key_id.startswith(EXAMPLE)
        return example_key(key_id) if is_example else self._gateway.keys.find(key_id)

    async def act(
        self,
        user: InboxUser,
        action: Action,
        message_ids: Sequence[str] | None = None,
        until_ms: int | None = None,
    ) -> Acted:
        """Do what a user asks, and report it to Kafka before it is answered.

        Raises:
            Problem: 503; after it a repeat is right.
        """
        inbox = self.inbox(user.tenant)
        with redis_needed():
            acted = await inbox.act(user.key, action, message_ids, until_ms=until_ms)
        if not await self._report(inbox, user.key, acted.reports):
            raise not_ready(_OWED, 2)
        return acted

    async def _report(self, inbox: Inbox, user_key: str, reports: Sequence[Report]) -> bool:
        """Write reports to Kafka and forget them; tell whether it has all of them."""
        results = await self._gateway.writer.write_all([_record(user_key, report) for report in reports])
        failed = [isinstance(each, Failure) and not each.final for each in results]
        done = [report for report, is_failed in zip(reports, failed, strict=True) if not is_failed]
        if done:
            # Without Redis they are written once more, which changes nothing.
            with contextlib.suppress(RedisError, OSError):
                await inbox.settle(user_key, done)
        return not any(failed)

    async def sweep(self, age_ms: int = _OVERDUE_MS) -> int:
        """Write the reports that a process left behind; return how many Kafka has taken."""
        written = 0
        for inbox in list(self._inboxes.values()):
            now_ms = self._gateway.clock_ms()
            for user_key in await inbox.overdue(now_ms, age_ms=age_ms):
                reports = await inbox.owed(user_key)
                written += len(reports) if await self._report(inbox, user_key, reports) else 0
        return written

    async def fullest(self, most: int) -> list[str]:
        """Name the users of some inboxes, as `tenant/user`, those with the most entries first."""
        found: list[tuple[int, str]] = []
        for inbox in list(self._inboxes.values()):
            found += await inbox.sample()
        return [user_key for _, user_key in sorted(found, reverse=True)[:most]]

    async def end_with(self, stopping: asyncio.Event) -> None:
        """End the live connections when the server begins to stop."""
        await stopping.wait()
        self.hub.stop()

    async def keep_sweeping(self) -> None:
        """Sweep every few seconds, whatever is away."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            with contextlib.suppress(RedisError, OSError):
                if written := await self.sweep():
                    _log.warning("wrote %d reports of inboxes that another process had left", written)


@contextlib.contextmanager
def redis_needed() -> Iterator[None]:
    """Answer 503 where Redis is away."""
    try:
        yield
    except (RedisError, OSError) as error:
        kind = type(error).__name__
    else:
        return
    _log.warning("an inbox could not be read (%s)", kind)
    raise not_ready("the inbox does not answer now: send the request again", 2)


def _record(user_key: str, report: Report) -> Record:
    tenant, _, user = user_key.partition("/")
    receipt = ReceiptEvent(
        tenant=tenant,
        user=user,
        kind=report.kind,
        message_id=report.message_id,
        notification_id=report.notification_id,
        channel=Channel.INAPP,
        at_ms=report.at_ms,
        provider="inapp",
        notification=report.notification,
        category=report.category,
    )
    return Record(topics.RECEIPTS, user_key.encode(), _encode(receipt))


_SERVICES: WeakKeyDictionary[Gateway, InboxService] = WeakKeyDictionary()


def service_of(gateway: Gateway) -> InboxService:
    """Return the service of a gateway.

    Raises:
        Problem: 503; the file of provider accounts is wrong.
    """
    found = _SERVICES.get(gateway)
    if found is None:
        try:
            found = _SERVICES[gateway] = InboxService(gateway)
        except SettingsError:
            text = "the accounts of inboxes cannot be read: `tocsin check` says why"
            raise not_ready(text, 30) from None
    return found


@contextlib.asynccontextmanager
async def lifespan(gateway: Gateway) -> AsyncIterator[None]:
    """Run what serves the inboxes of a gateway."""
    service = InboxService(gateway)
    _SERVICES[gateway] = service
    gateway.run(service.keep_sweeping())
    gateway.run(service.end_with(gateway.stopping))
    async with service.hub:
        yield
