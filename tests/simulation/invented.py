"""Invented histories: users of a catalog, with events, receipts and messages that come back."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.decision.gate_world import HOUR, MINUTE, NOON, SECOND
from tests.golden import wire
from tests.golden.driver import Machine, home_of
from tests.simulation.recorded import MemoryHistory, Outcomes
from tocsin.formats.codec import encode
from tocsin.model import topics
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

KINDS = ("delivered", "delivered", "opened", "clicked", "read", "bounced")
_IDLE_MS = 20 * MINUTE


class Invented:
    """Invents what happens to some users, and has a shard decide it.

    Args:
        folder: of the shard.
        catalog: in force.
        seed: of what is random.
        users: how many there are.
    """

    def __init__(self, folder: Path, catalog: Path, seed: int, users: int = 6) -> None:
        self._random = random.Random(seed)
        self.settings = wire.Settings(catalog=str(catalog), stream_clock=False, partitions=2, key_groups=2)
        self._machine = Machine(folder, self.settings)
        self._tenants = sorted(file.stem for file in (catalog / "tenants").iterdir())
        self._types = sorted(_types(catalog))
        self._users = [f"u{number}" for number in range(users)]
        self._offsets: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._due: list[tuple[int, int, str, str, Any]] = []
        self._number = 0
        self._seen = 0
        self._inputs: list[RawRecord] = []
        self._outcomes = Outcomes()

    def history(self, hours: int, events: int) -> MemoryHistory:
        """Let some hours pass."""
        for user in self._users:
            for tenant in self._tenants:
                self._at(0, topics.PROFILES, f"{tenant}/{user}", self._profile(1))
        self._invent(hours, events)
        now_ms = NOON
        while self._due:
            if now_ms + _IDLE_MS < self._due[0][0]:
                now_ms += _IDLE_MS
                self._epoch(now_ms)
                continue
            now_ms, _, topic, key, document = heappop(self._due)
            at_ms = now_ms
            self._write(topic, key, at_ms, document)
            self._epoch(at_ms)
        self._epoch(now_ms + 1)
        self._outcomes.take(self._machine.finish().records)
        return MemoryHistory([*self._inputs, *self._outcomes.records])

    def _invent(self, hours: int, events: int) -> None:
        for number in range(events):
            at = MINUTE + self._random.randrange(hours * HOUR)
            tenant, user = self._random.choice(self._tenants), self._random.choice(self._users)
            key = f"{tenant}/{user}"
            chance = self._random.random()
            if chance < 0.05:
                self._at(at, topics.PROFILES, key, self._profile(number + 2))
            elif chance < 0.17:
                data = {"cancel_key": self._random.choice("xyz")}
                self._event(at, key, "tocsin.cancel", data, number)
            else:
                for more in range(self._random.choice((1, 1, 1, 3))):
                    self._event(at + more * SECOND, key, self._random.choice(self._types), None, number)
        self._event((hours + 36) * HOUR, f"{self._tenants[0]}/u0", "nothing", None, events)

    def _profile(self, version: int) -> dict[str, Any]:
        found: dict[str, Any] = {"version": version, "email": "ann@mail.example", "phone": "+12125550100"}
        found |= {"push_tokens": [{"token": "t" * 20, "platform": "android"}], "timezone": "UTC"}
        if self._random.random() < 0.3:
            found["preferences"] = {"channels": {self._random.choice(("email", "sms", "push")): False}}
        return found

    def _event(self, at: int, key: str, kind: str, data: Any, number: int) -> None:
        tenant, _, user = key.partition("/")
        keyed = self._random.choice("xyz")
        starts = datetime.fromtimestamp((NOON + at + 2 * HOUR) / 1000, UTC).isoformat()
        known: dict[str, Any] = {
            "key": keyed,
            "room": keyed,
            "meeting": keyed,
            "flight": keyed,
            "starts": starts,
        }
        known |= {"delay": self._random.choice((5, 20, 90)), "n": number}
        time = datetime.fromtimestamp((NOON + at) / 1000, UTC).isoformat()
        fields = {"type": kind, "subject": user, "tenant": tenant, "time": time, "data": data or known}
        event = {"specversion": "1.0", "id": f"{kind}-{number}-{at}", "source": "/t", **fields}
        self._at(at, topics.EVENTS, key, event)

    def _at(self, at: int, topic: str, key: str, document: Any) -> None:
        self._number += 1
        heappush(self._due, (NOON + at, self._number, topic, key, document))

    def _write(self, topic: str, key: str, at_ms: int, document: Any) -> None:
        place = topic, home_of(key.encode(), self.settings.partitions)
        value = document if isinstance(document, bytes) else msgspec.json.encode(document)
        record = wire.Record(*place, self._offsets[place], at_ms, key.encode(), value)
        self._offsets[place] += 1
        self._machine.play(record)
        self._inputs.append(RawRecord(*record))

    def _epoch(self, now_ms: int) -> None:
        for wall_ms in (now_ms, now_ms):
            self._machine.play(wire.Epoch(wall_ms))
        self._outcomes.now_ms = max(self._outcomes.now_ms, now_ms)
        published = self._machine.published
        self._outcomes.take(published)
        for one in published[self._seen :]:
            if one.topic in topics.MESSAGES:
                self._answer(msgspec.json.decode(one.value or b"", type=Message), now_ms - NOON)
            elif one.topic in topics.GATE_INPUTS:
                self._number += 1
                key = (one.key or b"").decode()
                heappush(self._due, (now_ms + 50, self._number, one.topic, key, one.value))
        self._seen = len(published)

    def _answer(self, message: Message, at: int) -> None:
        """Invent what becomes of a message: a receipt, a return, or nothing."""
        key, chance = f"{message.tenant}/{message.user}", self._random.random()
        later = at + self._random.randrange(SECOND, 40 * MINUTE)
        if chance < 0.15 and message.attempt < 4:
            again = msgspec.structs.replace(message, attempt=message.attempt + 1)
            due_ms = NOON + later + self._random.choice((0, HOUR))
            self._at(
                later, topics.RETRIES, key, encode(Retry(message=again, reason="transient", due_ms=due_ms))
            )
        elif chance < 0.6:
            receipt = ReceiptEvent(
                tenant=message.tenant,
                user=message.user,
                kind=self._random.choice(KINDS),
                message_id=message.message_id,
                notification_id=message.notification_id,
                channel=message.channel,
                at_ms=NOON + later,
            )
            self._at(later, topics.RECEIPTS, key, encode(receipt))


def _types(catalog: Path) -> Iterator[str]:
    for file in (catalog / "notifications").iterdir():
        for one in yaml.safe_load(file.read_text()).values():
            yield one[True]["type"].replace("*", "any")  # YAML 1.1 takes `on` for a boolean
