"""Takes a webhook of a vendor: checks it, writes its receipts, and answers once Kafka has them."""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence

from tocsin.decision.receipts import UNKNOWN_KIND
from tocsin.errors import ReportError
from tocsin.formats.codec import dead_letter, encode, profile_key
from tocsin.formats.marks import Marks
from tocsin.gateway.call import Call
from tocsin.gateway.callbacks.accounts import Reporting, ReportingAccounts, tenants_of
from tocsin.gateway.callbacks.amazon import Amazon
from tocsin.gateway.callbacks.memory import CallbackMemory
from tocsin.gateway.callbacks.owners import Owned, Result, changes_twice, named_by_id, owned
from tocsin.gateway.endpoints import Answer
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.problems import Problem, of_field
from tocsin.gateway.writer import Failure, Record
from tocsin.model import topics
from tocsin.model.ids import digest
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason
from tocsin.providers.reports import Posted, Reported
from tocsin.providers.vendor import Account

_log = logging.getLogger("tocsin.gateway.callbacks")
_THREADS_BYTES = 1 << 15
"""Larger bodies are checked on a thread: a forger's megabytes must not hold up other requests."""
_THREADS = 2
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
NOWHERE = -1
"""Offset of what never was in a topic."""
_CHUNK = 100
"""Receipts that are made between two looks at other requests."""
_REFUSED: Mapping[str, tuple[int, str]] = {
    "forged": (403, "the signature does not fit: sign these bytes, for this address, with the right key"),
    "stale": (403, "the webhook is too old to be believed"),
    "unreadable": (400, "the body cannot be read; post it as the vendor does"),
}
"""Why a webhook is refused to status and text."""


def _nowhere() -> Problem:
    """Answer the same for an unknown account and for one that takes no reports: nobody learns names here."""
    return Problem(404, "no account takes reports at this address; look at the vendor's page in the docs")


class Callbacks:
    """Takes the webhooks of all accounts of one gateway.

    Attributes:
        counts: events by vendor and what became of them.
    """

    def __init__(self, gateway: Gateway, accounts: Mapping[str, Account], amazon: Amazon) -> None:
        self._gateway = gateway
        self._accounts = ReportingAccounts(accounts)
        self._amazon = amazon
        self._marks = Marks(gateway.secret)
        self._memory = CallbackMemory(gateway.redis, gateway.settings.topic_prefix)
        self._threads = asyncio.Semaphore(_THREADS)
        self.counts = gateway.meters.reports

    def use_accounts(self, accounts: Mapping[str, Account]) -> None:
        """Take the webhooks of these accounts from now on."""
        self._accounts = ReportingAccounts(accounts)

    async def take(self, vendor: str, call: Call) -> Answer:
        """Take one webhook.

        Raises:
            Problem: it is not believed (403), its account is not there (404), its body cannot be read (400),
                or Kafka does not have all of it (503): then the vendor sends it again.
        """
        found = self.account(vendor, call)
        reported, body = await self._read(found, call)
        if reported.once:
            await self._use(found, reported.once, body)
        if reported.confirm:
            await self._amazon.confirm(reported.confirm)
        self.counts[vendor, Result.IGNORED] += reported.ignored
        if reported.receipts:
            await self._write(found, reported.receipts)
        return Answer(200)

    def account(self, vendor: str, call: Call) -> Reporting:
        """Find the account that a webhook is for.

        Raises:
            Problem: 404.
        """
        found = self._accounts.find(vendor, call.path["account"])
        if found is None:
            raise _nowhere()
        return found

    async def _read(self, found: Reporting, call: Call) -> tuple[Reported, bytes]:
        body = await call.raw_body()
        posted = _posted(call, body)
        try:
            if found.reader.certificate_url:
                url = found.reader.certificate_url(found.account, posted)
                pem = await self._amazon.certificate(url) if url else b""
                posted = posted._replace(certificate=pem)
            return await self._checked(found, posted), body
        except ReportError as error:
            raise self._refused(found, error) from None

    async def _checked(self, found: Reporting, posted: Posted) -> Reported:
        if len(posted.body) <= _THREADS_BYTES:
            return found.reader.read(found.account, posted)
        async with self._threads:
            return await asyncio.to_thread(found.reader.read, found.account, posted)

    def _refused(self, found: Reporting, error: ReportError) -> Problem:
        self.counts[found.account.vendor, error.why] += 1
        _log.warning("a webhook for the account %s is refused (%s): %s", found.name, error.why, error)
        told = _REFUSED.get(error.why)
        return Problem(*told) if told else _nowhere()

    async def _use(self, found: Reporting, token: str, body: bytes) -> None:
        if not await self._memory.use(digest(found.name, token), body):
            msg = "its token was used for another body"
            raise self._refused(found, ReportError(msg, "forged"))

    async def _write(self, found: Reporting, receipts: Sequence[ReceiptEvent]) -> None:
        """Write receipts, and wait until Kafka has all of them."""
        ours = await self._owned(found, receipts)
        kept = [each.receipt for each in ours if each.receipt is not None]
        names = [_name(found, each) if changes_twice(each) else "" for each in kept]
        came = await self._memory.came([name for name in names if name])
        fresh = [(each, name) for each, name in zip(kept, names, strict=True) if name not in came]
        self._count(found, ours, len(kept) - len(fresh))
        now_ms = self._gateway.clock_ms()
        results = await self._gateway.writer.write_all([_record(each, now_ms) for each, _ in fresh])
        if failures := [each for each in results if isinstance(each, Failure)]:
            raise failures[0].problem
        await self._memory.note([name for _, name in fresh if name])

    async def _owned(self, found: Reporting, receipts: Sequence[ReceiptEvent]) -> list[Owned]:
        known = await self._memory.messages(named_by_id(receipts, self._marks))
        tenants = tenants_of(found.name, self._gateway.catalog())
        made: list[Owned] = []
        for start in range(0, len(receipts), _CHUNK):
            for each in receipts[start : start + _CHUNK]:
                made += owned(each, marks=self._marks, known=known, tenants=tenants, channel=found.channel)
            await asyncio.sleep(0)
        return made

    def _count(self, found: Reporting, ours: Sequence[Owned], repeated: int) -> None:
        vendor = found.account.vendor
        self.counts.update((vendor, each.result) for each in ours)
        self.counts[vendor, Result.REPEATED] += repeated


def _posted(call: Call, body: bytes) -> Posted:
    scope = call.scope
    url = f"{call.gateway.settings.gateway_url or _asked(call)}{scope['path']}"
    query = scope["query_string"].decode("latin-1")
    return Posted(call.method, url, query, call.headers, body, call.now_ms / 1_000)


def _asked(call: Call) -> str:
    """Return the server that a caller asked for.

    Raises:
        Problem: 400, what it says is the name of none.
    """
    host = call.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise of_field("Host", "no name of a server", "call the gateway by its own name", status=400)
    return f"{call.scope['scheme']}://{host}"


def _name(found: Reporting, receipt: ReceiptEvent) -> str:
    return digest(found.name, receipt.tenant, receipt.receipt_id, receipt.kind)


def _record(receipt: ReceiptEvent, now_ms: int) -> Record:
    owner = receipt.user or receipt.address
    key, value = profile_key(receipt.tenant, owner), encode(receipt)
    return Record(topics.RECEIPTS, key, value) if owner else _letter(key, value, now_ms)


def _letter(key: bytes, value: bytes, now_ms: int) -> Record:
    """Keep an event that nobody knows and that is nobody's: the gate could not route it to a user."""
    raw = RawRecord(topics.RECEIPTS, 0, NOWHERE, now_ms, key, value, ())
    made = dead_letter(raw, "callback", Reason.BAD_FIELD, UNKNOWN_KIND)
    return Record(made.topic, key, value, made.headers)
