"""Serves the sandbox's own API in JSON: faults, the send log, people, health."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NoReturn, TypeVar

import msgspec

from tocsin.devkit.sandbox.faults import Order
from tocsin.devkit.sandbox.people import Person
from tocsin.devkit.sandbox.request_handler import RequestHandler
from tocsin.devkit.sandbox.sent import REFUSED, Entry
from tocsin.devkit.sandbox.wire import Refusal, Reply, Request, json_reply

MAX_LIMIT = 1000
DOUBLED_SHOWN = 100
ANY = "any"
Q = TypeVar("Q", "Search", "Filter")
_order = msgspec.json.Decoder(Order)
_people = msgspec.json.Decoder(list[Person])


class Search(msgspec.Struct, frozen=True):
    """Which users: those with `q` in id, name or an address."""

    q: str = ""
    limit: int = 50


class Filter(msgspec.Struct, frozen=True):
    """Which messages: empty fields match all. `since` in Unix milliseconds, `before` a sequence number."""

    user: str = ""
    channel: str = ""
    provider: str = ""
    status: str = ""
    recipient: str = ""
    message_id: str = ""
    since: int = 0
    before: int = 0
    limit: int = 100
    content: bool = False

    def takes(self, entry: Entry) -> bool:
        """Say whether a message matches (the user aside, who has an index)."""
        call = entry.call
        return (
            self.channel in ("", call.channel)
            and self.provider in ("", call.provider)
            and self._fits(entry.status)
            and self.recipient in ("", call.recipient)
            and self.message_id in ("", call.message_id)
            and entry.at_ms >= self.since
        )

    def _fits(self, status: str) -> bool:
        """Without a status asked for, what was refused does not count as sent."""
        return status != REFUSED if not self.status else self.status in (ANY, status)


def refuse(status: int, message: str) -> NoReturn:
    """Refuse a request to the console itself."""
    raise Refusal(json_reply({"error": message}, status), str(status))


def query_of(request: Request, shape: type[Q]) -> Q:
    """Read the query of a list."""
    try:
        found = msgspec.convert(request.parameters(), shape, strict=False)
    except msgspec.ValidationError as error:
        refuse(400, str(error))
    if not 1 <= found.limit <= MAX_LIMIT:
        refuse(400, f"limit must be between 1 and {MAX_LIMIT}")
    return found


class Console:
    """Routes of the API by method and path."""

    def __init__(self, handler: RequestHandler, on_clear: Callable[[], None]) -> None:
        self._handler = handler
        self._on_clear = on_clear
        self.routes: dict[tuple[str, str], Callable[[Request], Reply]] = {
            ("GET", "/healthz"): lambda _request: json_reply({"status": "ok"}),
            ("GET", "/sent"): self._sent,
            ("DELETE", "/sent"): self._clear,
            ("GET", "/count"): self._count,
            ("GET", "/users"): self._users,
            ("GET", "/faults"): self._faults,
            ("POST", "/faults"): self._order,
            ("DELETE", "/faults"): self._lift,
            ("PUT", "/people"): self._take_people,
            ("DELETE", "/people"): self._forget_people,
        }

    def _sent(self, request: Request) -> Reply:
        """One page, newest first; accepted calls only unless a status (or `any`) is asked for."""
        wanted = query_of(request, Filter)
        page = list(islice(self._matching(wanted), wanted.limit + 1))
        shown = page[: wanted.limit]
        more = shown[-1].seq if len(page) > wanted.limit else None
        describe = self._handler.full if wanted.content else self._handler.summary
        messages = [describe(entry) for entry in shown]
        return json_reply({"messages": messages, "before": more, "kept": len(self._handler.sent)})

    def _matching(self, wanted: Filter) -> Iterator[Entry]:
        for entry in self._handler.sent.newest(user=wanted.user, before=wanted.before):
            if entry.at_ms < wanted.since:
                return
            if wanted.takes(entry):
                yield entry

    def _clear(self, _request: Request) -> Reply:
        self._handler.sent.clear()
        self._handler.invalid.clear()
        self._on_clear()
        return Reply(204)

    def _count(self, request: Request) -> Reply:
        """Totals; with `messages=1` the file is counted by message id, to find what was sent twice."""
        invalid = [
            {"provider": provider, "code": code, "calls": calls}
            for (provider, code), calls in sorted(self._handler.invalid.items())
        ]
        body: dict[str, object] = {
            "accepted": self._handler.sent.accepted,
            "counts": self._handler.sent.counts(),
            "invalid": invalid,
        }
        if request.parameters().get("messages") == "1":
            body |= self._by_message()
        return json_reply(body)

    def _by_message(self) -> dict[str, object]:
        ids = Counter(record.message_id for record in self._handler.sent.send_log())
        unnamed = ids.pop("", 0)
        doubled = [{"message_id": name, "calls": calls} for name, calls in ids.items() if calls > 1]
        return {
            "messages": len(ids),
            "without_id": unnamed,
            "doubled": len(doubled),
            "doubled_ids": doubled[:DOUBLED_SHOWN],
        }

    def _users(self, request: Request) -> Reply:
        """Users with messages, the newest first; `q` looks in id, name and addresses."""
        asked = query_of(request, Search)
        needle = asked.q.casefold()
        found = (self._user(*found) for found in self._handler.sent.users() if self._is(found[0], needle))
        return json_reply(
            {"users": list(islice(found, asked.limit)), "kept": self._handler.sent.user_count()}
        )

    def _user(self, user: str, messages: int, newest: int) -> dict[str, object]:
        entry = self._handler.sent.get(newest)
        return {
            "user": user,
            "name": self._handler.people.name_of(user),
            "messages": messages,
            "at_ms": entry.at_ms if entry else 0,
        }

    def _is(self, user: str, needle: str) -> bool:
        people = self._handler.people
        places = (user, people.name_of(user), *people.addresses_of(user))
        return not needle or any(needle in place.casefold() for place in places)

    def _faults(self, _request: Request) -> Reply:
        return json_reply({"faults": self._handler.faults.list()})

    def _order(self, request: Request) -> Reply:
        try:
            order = _order.decode(request.body)
        except msgspec.DecodeError as error:
            refuse(400, str(error))
        return json_reply(self._handler.faults.order(order), 201)

    def _lift(self, request: Request) -> Reply:
        asked = request.parameters().get("id")
        if asked is not None and not asked.isdecimal():
            refuse(400, "id must be a number")
        return json_reply({"lifted": self._handler.faults.lift(int(asked) if asked else None)})

    def _forget_people(self, _request: Request) -> Reply:
        self._handler.people.clear()
        return Reply(204)

    def _take_people(self, request: Request) -> Reply:
        try:
            people = _people.decode(request.body)
        except msgspec.DecodeError as error:
            refuse(400, str(error))
        return json_reply({"new": self._handler.people.add(people)})
