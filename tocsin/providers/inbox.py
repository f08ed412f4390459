"""The in-app inbox in Redis: entries, their states, counts, a live feed, and reports that Kafka is owed.

Keys, with `<user>` for `tenant/user` (the braces keep a user's keys on one node of a cluster):

| key | type | holds |
|---|---|---|
| `<prefix>inbox:{<user>}:order` | sorted set | message ids by the time of the decision |
| `<prefix>inbox:{<user>}:entries` | hash | message id to `Entry` as JSON |
| `<prefix>inbox:{<user>}:unread` | set | message ids not read yet |
| `<prefix>inbox:{<user>}:unseen` | set | message ids not seen yet |
| `<prefix>inbox:{<user>}:archived` | set | message ids put aside; all of them are read |
| `<prefix>inbox:{<user>}:clicked` | set | message ids whose link was followed |
| `<prefix>inbox:{<user>}:expiring` | sorted set | message ids by the time at which they are over |
| `<prefix>inbox:{<user>}:changes` | stream | the newest changes, for clients that come back |
| `<prefix>inbox:{<user>}:owed` | hash | `kind/message id` to a report that is not in Kafka yet |
| `<prefix>inbox:{<user>}:live` | channel | `Change` as JSON, one a change |
| `<prefix>inbox:owing` | sorted set | users with owed reports, by time |

A count is the size of a set, and a set changes in the same step as its entry: no count can drift. All keys of
a user expire when nothing was added for `keep_s`. Only the newest `cap` entries are kept.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from redis.asyncio import Redis

from tocsin.providers import inbox_scripts as scripts

Action = Literal["seen", "read", "archive", "unarchive", "delete", "click"]
State = Literal["open", "unread", "unseen", "archived", "all"]
NEVER = "0-0"
"""Id of a change before the first."""
_UNREAD, _UNSEEN, _ARCHIVED = 1, 2, 4
_NAMES = ("order", "entries", "unread", "unseen", "archived", "clicked", "expiring", "changes", "owed")


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of an inbox. Texts are plain: whoever shows them escapes them."""

    message_id: str
    notification_id: str
    notification: str
    category: str
    title: str
    body: str
    at_ms: int
    url: str = ""
    expires_ms: int = 0


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the live channel says, with the counts after it.

    Attributes:
        kind: `added` with the entry; `read`, `seen`, `archived`, `unarchived` or `removed` with message ids;
            `reload` when too many entries changed; `erased` when the user was.
        unread: entries not read.
        unseen: entries not seen.
        id: its place in the stream of changes.
        entry: the entry that was added.
        message_ids: the entries that changed.
    """

    kind: str
    unread: int
    unseen: int = 0
    id: str = ""
    entry: Entry | None = None
    message_ids: list[str] = []


class Report(msgspec.Struct, frozen=True):
    """What a user did with an entry, to be written to the topic `receipts`."""

    kind: str
    at_ms: int
    message_id: str
    notification_id: str
    notification: str
    category: str

    @property
    def field(self) -> str:
        """Name its place among the owed reports."""
        return f"{self.kind}/{self.message_id}"


class InboxPolicy(msgspec.Struct, frozen=True):
    """How much an inbox keeps, and under which prefix.

    At most `at_once` commands are on their way to Redis: redis-py fails, and does not wait, when its pool of
    (by default 100) connections is used up. A client that missed more than `kept_changes` reads its list
    again.
    """

    prefix: str = "tocsin:"
    cap: int = 200
    keep_s: int = 90 * 86_400
    at_once: int = 32
    kept_changes: int = 100


class Shown(NamedTuple):
    """An entry as a reader sees it. An archived one is read, and a read one is seen."""

    entry: Entry
    unread: bool
    unseen: bool = False
    archived: bool = False


class Counts(NamedTuple):
    """How many entries are not read, and not seen."""

    unread: int
    unseen: int


class Place(NamedTuple):
    """Where a page ends: the time and message id of the last entry that was looked at."""

    at_ms: int
    message_id: str


class Page(NamedTuple):
    """A part of an inbox, newest first.

    Attributes:
        shown: the entries; a page may be shorter than was asked for, or empty, and still have a `rest`.
        rest: where the next page begins; None at the end.
        counts: of the whole inbox.
        last: id of the newest change: what comes after it is not in here.
    """

    shown: list[Shown]
    rest: Place | None
    counts: Counts
    last: str


class Acted(NamedTuple):
    """What an action did.

    Attributes:
        counts: afterwards.
        changed: the entries that it changed.
        reports: reports of these entries that Kafka is owed; also those that an earlier call left behind.
    """

    counts: Counts
    changed: list[str]
    reports: list[Report]


class Missed(NamedTuple):
    """What a client missed.

    Attributes:
        counts: now.
        last: id of the newest change.
        is_too_much: it must read its list again.
        changes: id and JSON of each change since, oldest first.
    """

    counts: Counts
    last: str
    is_too_much: bool
    changes: list[tuple[str, bytes]]


_report = msgspec.json.Decoder(Report).decode
_entry = msgspec.json.Decoder(Entry).decode


class Inbox:
    """The inboxes of all users in one Redis. Every call is one round trip; errors are redis-py's own.

    Args:
        redis: the client; its answers are bytes.
        policy: what is kept, and where.
        clock_ms: the time; by default Redis's own, which is one for all processes.
    """

    def __init__(self, redis: Redis, policy: InboxPolicy, clock_ms: Callable[[], int] | None = None) -> None:
        self._redis = redis
        self._policy = policy
        self._clock_ms = clock_ms
        self._slots = asyncio.Semaphore(policy.at_once)
        self._add, self._act, self._page, self._resume, self._settle, self._erase = (
            redis.register_script(script)
            for script in (
                scripts.ADD,
                scripts.ACT,
                scripts.PAGE,
                scripts.RESUME,
                scripts.SETTLE,
                scripts.ERASE,
            )
        )
        self._overdue = redis.register_script(scripts.OVERDUE)

    async def add(self, user_key: str, entry: Entry) -> bool:
        """Put an entry in; False if an entry of that message id is there already, and nothing is changed."""
        about = (
            entry.message_id,
            msgspec.json.encode(entry),
            entry.at_ms,
            self._policy.cap,
            entry.expires_ms,
        )
        return bool(await self._run(self._add, user_key, *about))

    async def page(
        self, user_key: str, *, state: State = "open", count: int = 50, after: Place | None = None
    ) -> Page:
        """Read entries, newest first.

        New entries do not move a page that begins `after` a place.

        Args:
            user_key: the user.
            state: `open` leaves out what is archived.
            count: entries at most.
            after: the `rest` of the page before.
        """
        place = (after.at_ms, after.message_id) if after else ("+inf", "")
        unread, unseen, last, next_at, next_id, rows = await self._run(
            self._page, user_key, count, state, *place
        )
        shown = [_shown(text, int(flags)) for _, flags, text in rows]
        rest = Place(int(float(next_at)), _text(next_id)) if next_at else None
        return Page(shown, rest, Counts(unread, unseen), _text(last))

    async def newest(self, user_key: str, *, count: int = 50) -> list[Shown]:
        """Read the newest entries, archived ones too."""
        return (await self.page(user_key, state="all", count=count)).shown

    async def counts(self, user_key: str) -> Counts:
        """Count the entries not read and not seen."""
        return (await self.page(user_key, count=0)).counts

    async def act(
        self,
        user_key: str,
        action: Action,
        message_ids: Sequence[str] | None = None,
        *,
        until_ms: int | None = None,
    ) -> Acted:
        """Change the state of entries, and note what must be reported, in one step.

        A report stays noted until `settle`: if the process ends in between, `overdue` finds it. A repeat
        changes nothing, and returns the reports of its entries that are still owed.

        Args:
            user_key: the user.
            action: what the user does. Whoever reads has seen; who clicks, archives or deletes has read.
            message_ids: the entries; unknown ones are passed over. None for all: those that are open, or for
                `unarchive` those that are archived.
            until_ms: of all, only those that were decided until then.
        """
        until = "+inf" if until_ms is None else until_ms
        about = (action, int(message_ids is None), until, *(message_ids or ()))
        unread, unseen, changed, reports = await self._run(self._act, user_key, *about)
        return Acted(Counts(unread, unseen), list(map(_text, changed)), _in_order(reports))

    async def missed(self, user_key: str, known: str = "") -> Missed:
        """Read the changes after one that a client knows; none where it knows none."""
        unread, unseen, last, is_too_much, changes = await self._run(self._resume, user_key, known)
        found = [(_text(change_id), text) for change_id, text in changes]
        return Missed(Counts(unread, unseen), _text(last), bool(is_too_much), found)

    async def settle(self, user_key: str, reports: Sequence[Report]) -> None:
        """Forget reports that Kafka has acknowledged."""
        await self._run(self._settle, user_key, *(report.field for report in reports))

    async def owed(self, user_key: str) -> list[Report]:
        """Read the reports of a user that are not settled."""
        return _in_order(await self._redis.hvals(self._key(user_key, "owed")))

    async def overdue(self, now_ms: int, *, age_ms: int, most: int = 100) -> list[str]:
        """Take users whose reports have been owed for `age_ms`; no process gets them again for as long."""
        found = await self._overdue(keys=[self._owing], args=[now_ms - age_ms, now_ms, most])
        return list(map(_text, found))

    async def sample(self, most: int = 2_000) -> list[tuple[int, str]]:
        """Find some inboxes: their sizes, and whose they are. It looks at many keys: for demos only."""
        before, after = self._key("*", "order").split("*")
        keys = [key async for key in self._redis.scan_iter(f"{before}*{after}", 1_000)][:most]
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.zcard(key)
            sizes = await pipeline.execute()
        names = [_text(key).removeprefix(before).removesuffix(after) for key in keys]
        return list(zip(sizes, names, strict=True))

    async def erase(self, user_key: str) -> None:
        """Forget a user, and the reports that are owed."""
        await self._run(self._erase, user_key)

    def live_channel(self, user_key: str) -> str:
        """Name the channel that carries a user's `Change`s."""
        return live_channel(self._policy.prefix, user_key)

    async def _run(self, script: Any, user_key: str, *arguments: object) -> Any:
        policy = self._policy
        now = self._clock_ms() if self._clock_ms else ""
        common = (self.live_channel(user_key), user_key, policy.keep_s, policy.kept_changes, now)
        keys = [*user_keys(policy.prefix, user_key), self._owing]
        async with self._slots:
            return await script(keys=keys, args=[*common, *arguments])

    def _key(self, user_key: str, name: str) -> str:
        return f"{self._policy.prefix}inbox:{{{user_key}}}:{name}"

    @property
    def _owing(self) -> str:
        return owing_key(self._policy.prefix)


def _in_order(reports: Iterable[bytes | str]) -> list[Report]:
    """Read reports in the order in which they happened: a hash of Redis has none."""
    return sorted(map(_report, reports), key=lambda report: (report.at_ms, report.kind))


def live_channel(prefix: str, user_key: str) -> str:
    """Name the channel that carries a user's `Change`s."""
    return f"{prefix}inbox:{{{user_key}}}:live"


def owing_key(prefix: str) -> str:
    """Name the key of the users whose reports are owed."""
    return f"{prefix}inbox:owing"


def user_keys(prefix: str, user_key: str) -> tuple[str, ...]:
    """Name the keys of a user's inbox, in the order of the scripts."""
    return tuple([f"{prefix}inbox:{{{user_key}}}:{name}" for name in _NAMES])


def _shown(text: bytes, flags: int) -> Shown:
    return Shown(_entry(text), bool(flags & _UNREAD), bool(flags & _UNSEEN), bool(flags & _ARCHIVED))


def _text(found: bytes | str) -> str:
    return found.decode() if isinstance(found, bytes) else found
