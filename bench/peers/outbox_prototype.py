"""The decision job of workload.py in a prototype of our own engine: what its design could reach, one shard.

`python -m bench.peers.outbox_prototype BOOTSTRAP PROFILES EVENTS OUTPUT SHARD SHARDS PARTITIONS DIR EPOCH_S`
is Bytewax, 64 key groups, a RocksDB store with the change of one epoch in Bytewax's recovery store, and an
outbox as sink: records go to Kafka once their epoch is durable, and are acknowledged before the next.
It writes no outcomes, has no catalog, and decides what is compiled into it.
"""

import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

import bytewax.operators as op
import msgspec
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main
from confluent_kafka import Consumer, Producer, TopicPartition
from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from bench.peers.workload import DAY_MS, MARKETING_A_DAY, MINUTE_MS, ROUTES

_GROUPS = [f"g{number:02d}" for number in range(64)]
_BATCH, _WAIT_S = 500, 0.005
_PROFILES_END_S = 3.0
_CATEGORY = {"marketing": 1, "social": 2, "transactional": 4}
_CHANNEL = {"email": 8, "push": 16, "inapp": 32}


class Event(msgspec.Struct, gc=False):
    id: str
    source: str
    type: str
    subject: str
    time: str
    data: msgspec.Raw


class Preferences(msgspec.Struct, gc=False):
    channels: dict[str, bool]
    categories: dict[str, bool]


class Profile(msgspec.Struct, gc=False):
    user_id: str
    preferences: Preferences


class User(msgspec.Struct, gc=False, array_like=True):
    """A user's record: what is switched off as bits, ids seen as (hash, ms), times of admissions."""

    profile: bytes = b""
    off: int = 0
    seen: list[tuple[int, int]] = []
    marketing: list[int] = []
    last: int = -(10**18)


class Message(msgspec.Struct, gc=False):
    event: str
    user: str
    channel: str
    data: msgspec.Raw


Read = tuple[bytes, Event | Profile, bytes]
Change = list[tuple[bytes, bytes]]
Out = tuple[bytes, bytes]
_event = msgspec.json.Decoder(Event).decode
_profile = msgspec.json.Decoder(Profile).decode
_json = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(User).decode


class Store:
    """RocksDB with every durable change; changes of the last epoch are written by a thread."""

    def __init__(self, folder: Path) -> None:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(128 << 20)
        options.set_max_background_jobs(2)
        self._db = Rdict(str(folder), options)
        self.get: Callable[[bytes], bytes | None] = self._db.get
        self.closing: list[Change] = []
        self._thread: threading.Thread | None = None
        self.release: Callable[[], None] = lambda: None

    def apply(self, changes: list[Change]) -> None:
        batch, synced = WriteBatch(raw_mode=True), WriteOptions()
        for change in changes:
            for key, value in change:
                batch.put(key, value)
        synced.sync = True
        self._db.write(batch, synced)

    def durable(self) -> None:
        """The epoch that closed is durable: store its changes, publish its records."""
        if self.closing:
            changes, self.closing = self.closing, []
            self._thread = threading.Thread(target=self.apply, args=(changes,))
            self._thread.start()
        self.release()

    def settle(self) -> None:
        """Wait until the changes of the epoch before are stored."""
        if self._thread:
            self._thread.join()
            self._thread = None


class Reader(StatefulSourcePartition[tuple[str, list[Read]], dict[Any, int]]):
    """Reads the profiles to their end, then events."""

    def __init__(self, topics: tuple[str, str], partitions: list[int], bootstrap: str, store: Store) -> None:
        self._topics, self._partitions, self._store = topics, partitions, store
        options = {"bootstrap.servers": bootstrap, "group.id": "prototype", "enable.auto.commit": False}
        self._consumer = Consumer({**options, "auto.offset.reset": "earliest"})
        self._offsets: dict[Any, int] = {}
        self._snapped, self._quiet_since = False, time.monotonic()
        self._read(topics[0])

    def _read(self, topic: str) -> None:
        self._topic = topic
        self._consumer.assign([TopicPartition(topic, number, 0) for number in self._partitions])

    def next_batch(self) -> list[tuple[str, list[Read]]]:
        if self._snapped:
            self._snapped = False
            self._store.durable()
        messages = self._consumer.consume(_BATCH, _WAIT_S)
        if messages:
            self._quiet_since = time.monotonic()
            return self._grouped(messages)
        quiet_s = time.monotonic() - self._quiet_since
        if self._topic == self._topics[0] and quiet_s > _PROFILES_END_S:
            self._read(self._topics[1])
        return []

    def _grouped(self, messages: list[Any]) -> list[tuple[str, list[Read]]]:
        groups: dict[int, list[Read]] = {}
        events = self._topic == self._topics[1]
        for message in messages:
            value = message.value()
            item = _event(value) if events else _profile(value)
            user = (item.subject if isinstance(item, Event) else item.user_id).encode()
            group = crc32(user) & 63
            if group in groups:
                groups[group].append((user, item, value))
            else:
                groups[group] = [(user, item, value)]
            self._offsets[message.topic(), message.partition()] = message.offset() + 1
        return [(_GROUPS[group], read) for group, read in groups.items()]

    def snapshot(self) -> dict[Any, int]:
        self._snapped = True
        return dict(self._offsets)


class Gate(StatefulBatchLogic[list[Read], list[Out], Change]):
    """Decides for the users of one key group; its snapshot is what one epoch changed."""

    def __init__(self, change: Change | None, store: Store) -> None:
        self._store, self._change = store, change or []
        self._users: dict[bytes, User] = {}
        self._touched: set[bytes] = set()
        if change:
            store.apply([change])

    def on_batch(self, values: list[list[Read]]) -> tuple[list[list[Out]], bool]:
        out: list[Out] = []
        for read in values:
            for name, item, value in read:
                user = self._users.get(name)
                if user is None:
                    user = self._users[name] = self._stored(name)
                self._touched.add(name)
                if type(item) is Profile:
                    _know(user, item, value)
                else:
                    _decide(user, name, item, out)  # type: ignore[arg-type]  # `type() is` narrows nothing
        return ([out] if out else [], False)

    def _stored(self, name: bytes) -> User:
        stored = self._store.get(name)
        return _unpack(stored) if stored else User()

    def snapshot(self) -> Change:
        self._store.settle()
        if self._touched:
            users = self._users
            self._change = [(name, _pack(users[name])) for name in self._touched]
            self._touched = set()
            self._store.closing.append(self._change)
        return self._change


def _know(user: User, profile: Profile, value: bytes) -> None:
    off = [_CATEGORY[name] for name, on in profile.preferences.categories.items() if not on]
    off += [_CHANNEL[name] for name, on in profile.preferences.channels.items() if not on]
    user.profile, user.off = value, sum(off)


def _decide(user: User, name: bytes, event: Event, out: list[Out]) -> None:
    now = int(datetime.fromisoformat(event.time).timestamp() * 1000)
    identity = _hash(event.source + event.id)
    for seen, at in user.seen:
        if seen == identity and now - at < DAY_MS:
            return
    if user.seen and now - user.seen[0][1] >= DAY_MS:
        user.seen = [(seen, at) for seen, at in user.seen if now - at < DAY_MS]
    user.seen.append((identity, now))
    category, routed = ROUTES[event.type]
    channels = [channel for channel in routed if not user.off & _CHANNEL[channel]]
    if not channels or user.off & _CATEGORY[category]:
        return
    if category == "transactional" or _has_room(user, category, now):
        out += [(name, _json(Message(event.id, event.subject, each, event.data))) for each in channels]


def _has_room(user: User, category: str, now: int) -> bool:
    if now - user.last < MINUTE_MS:
        return False
    if category == "marketing":
        user.marketing = [at for at in user.marketing if now - at < DAY_MS]
        if len(user.marketing) >= MARKETING_A_DAY:
            return False
        user.marketing.append(now)
    user.last = now
    return True


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest(), "little")


class Outbox(StatefulSinkPartition[list[Out], list[Out]]):
    """Publishes an epoch's records once it is durable; the next snapshot waits for their acknowledgements."""

    def __init__(self, bootstrap: str, topic: str, closing: list[Out], store: Store) -> None:
        options: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "linger.ms": 1,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
            "enable.idempotence": True,
        }
        self._producer, self._topic = Producer(options), topic
        self._open: list[Out] = []
        self._closing = closing
        store.release = self._release

    def write_batch(self, values: list[list[Out]]) -> None:
        for records in values:
            self._open += records
        self._producer.poll(0)

    def _release(self) -> None:
        records, self._closing = self._closing, []
        if records:
            batch = [{"key": key, "value": value} for key, value in records]
            queued = self._producer.produce_batch(self._topic, batch, on_delivery=_delivered)
            assert queued == len(batch)

    def snapshot(self) -> list[Out]:
        self._producer.flush()
        self._closing, self._open = self._open, []
        return self._closing


def _delivered(error: Any, message: Any) -> None:
    if error:
        sys.exit(f"not delivered: {error}")


class Source(FixedPartitionedSource[Any, Any]):
    def __init__(self, build: Callable[[], Reader]) -> None:
        self._build = build

    def list_parts(self) -> list[str]:
        return ["reader"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Reader:
        return self._build()


class Sink(FixedPartitionedSink[Any, Any]):
    def __init__(self, build: Callable[[list[Out]], Outbox]) -> None:
        self._build = build

    def list_parts(self) -> list[str]:
        return ["outbox"]

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> Outbox:
        return self._build(resume_state or [])


def main(bootstrap: str, profiles: str, events: str, output: str, *more: str) -> None:
    shard, shards, partitions = map(int, more[:3])
    folder, epoch_s = Path(more[3]), float(more[4])
    (folder / "recovery").mkdir(parents=True)
    init_db_dir(folder / "recovery", 1)
    store, own = Store(folder / "store"), list(range(shard, partitions, shards))
    flow = Dataflow("prototype")
    up: Any = op.input("in", flow, Source(lambda: Reader((profiles, events), own, bootstrap, store)))
    decided: Any = op.stateful_batch("gate", up, lambda change: Gate(change, store))
    keyed = op.map("key", decided, lambda item: ("outbox", item[1]))
    op.output("out", keyed, Sink(lambda closing: Outbox(bootstrap, output, closing, store)))
    epoch, config = timedelta(seconds=epoch_s), RecoveryConfig(str(folder / "recovery"))
    cli_main(flow, epoch_interval=epoch, recovery_config=config)


if __name__ == "__main__":
    main(*sys.argv[1:])
