"""One shard: opens everything a flow needs, runs it, and gives it back.

What must not start (a foreign state directory, a wrong setting, a catalog with mistakes) is said on stderr
and ends with `REFUSED`, so that a supervisor does not try again; anything else is a crash and is.
"""

import gc
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import bytewax.run
import msgspec
from bytewax.recovery import RecoveryConfig
from confluent_kafka import KafkaException
from redis.asyncio import Redis

from dashboards import store
from flows import wiring
from flows.content import CatalogInForce, provider_order
from flows.supervisor import REFUSED
from flows.timing import FlowTiming
from operators.decode import DecodePolicy, Decoder, Routed
from operators.delivery_channel import ChannelDelivery, ChannelPolicy
from operators.gate import GateParts
from sinks.channels import TIMEOUT_S, sink_policy
from sinks.clickhouse import WRITERS, OutcomeWriter
from sinks.clickhouse_store import ClickHouseLines
from sinks.fan_out import FanOutPublisher
from sinks.kafka import KafkaPublisher, PublisherPolicy
from sinks.outbox import OutboxSink
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer
from sources.decode_errors import DecodeErrorLimit, DecodeErrorPolicy
from sources.source import Item, ShardSource, Wake, wake_all
from sources.topics import TopicAdmin
from tocsin.app.health import Fact, HealthChecks, HealthServer
from tocsin.app.metrics import Meters, TimedEpochs, registry
from tocsin.app.settings import Settings, environment
from tocsin.decision.policy import GatePolicy
from tocsin.decision.record import RecordCodec, UserRecord
from tocsin.delivery.ledger import Ledger, LedgerPolicy
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.versions import VersionWriter
from tocsin.errors import CatalogError, SettingsError, StateError, TocsinError
from tocsin.formats.cloudevents import EventLimits
from tocsin.model import topics
from tocsin.model.raw import restored
from tocsin.model.statuses import Channel
from tocsin.providers.accounts import build, inbox_policies, load_accounts
from tocsin.providers.base import Provider
from tocsin.store.identity import Identity
from tocsin.store.outbox import Form
from tocsin.store.shard import Shard

_log = logging.getLogger("tocsin")
_HOUSEKEEPING_S = 1.0
GATE_FLOWS = ("pipeline", "decide")
DELIVER_FLOWS = ("pipeline", "deliver")
TRACK_FLOWS = ("pipeline", "track")


class ShardPlan(NamedTuple):
    """Which part of which flow a process is."""

    number: int
    shards: int
    flow: str
    channels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of its state directory. `pipeline` and `decide` share the gate's state."""
        if self.flow in GATE_FLOWS:
            return f"gate-{self.number}"
        which = "" if set(self.channels) >= set(TIMEOUT_S) else "-" + "-".join(sorted(self.channels))
        return f"{self.flow}{which}-{self.number}"

    @property
    def own_channels(self) -> tuple[str, ...]:
        """Channels it delivers."""
        wanted = self.channels if self.flow in DELIVER_FLOWS else ()
        return tuple(name for name in TIMEOUT_S if name in wanted)

    @property
    def acked(self) -> frozenset[str]:
        """Topics whose records are finished later than they are read."""
        messages = [topics.messages(name, bulk=bulk) for name in self.own_channels for bulk in (False, True)]
        return frozenset(messages + ([topics.OUTCOMES] if self.flow in TRACK_FLOWS else []))

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics it reads."""
        gate = topics.GATE_INPUTS if self.flow in GATE_FLOWS else ()
        return (*gate, *[name for name in topics.KEYED if name in self.acked])

    def partitions(self, of: int) -> tuple[int, ...]:
        """Partitions it owns."""
        return tuple(range(self.number, of, self.shards))


class Signals(NamedTuple):
    """How a shard and whoever runs it talk.

    Attributes:
        stop: set to end the flow in order.
        ready: called whenever an epoch became durable.
    """

    stop: threading.Event
    ready: Callable[[], None]


def run_shard(
    settings: Settings, plan: ShardPlan, parent: int = 0, ready: Callable[[], None] = lambda: None
) -> int:
    """Run one shard until SIGTERM, or until its parent is gone; returns its exit code.

    Args:
        settings: as resolved at the edge.
        plan: which shard.
        parent: process id of the supervisor; 0 for whoever is the parent now.
        ready: called whenever an epoch became durable: this start worked.
    """
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {plan.name} %(name)s: %(message)s")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        with ExitStack() as stack:
            stack.enter_context(_every(_HOUSEKEEPING_S, _parent_watch(parent or os.getppid(), stop)))
            _run(settings, plan, Signals(stop, ready), stack)
    except (StateError, SettingsError, CatalogError) as error:
        return _refuse(error)
    except TocsinError as error:
        print(f"{plan.name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except BaseException as error:
        refusal = _refusal_within(error)
        if refusal is None:
            raise
        return _refuse(refusal)
    return 0


def _refuse(error: BaseException) -> int:
    print(f"✗ {error}", file=sys.stderr)  # noqa: T201
    return REFUSED


def _refusal_within(error: BaseException | None) -> BaseException | None:
    """Find the refusal that Bytewax wrapped."""
    while error is not None:
        if isinstance(error, StateError | SettingsError | CatalogError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _run(settings: Settings, plan: ShardPlan, signals: Signals, stack: ExitStack) -> None:
    opened = _open(settings, plan, signals, stack)
    flow = wiring.build(opened.parts)
    _calm_collector()
    recovery = RecoveryConfig(str(opened.shard.recovery_dir), timedelta(0))
    epoch = timedelta(milliseconds=settings.epoch_ms)
    bytewax.run.cli_main(flow, epoch_interval=epoch, recovery_config=recovery)
    opened.shard.finish()


def _open(settings: Settings, plan: ShardPlan, signals: Signals, stack: ExitStack) -> "Opened":
    try:
        return Opened(settings, plan, signals, stack)
    except KafkaException as failure:  # a client refused its options; all else Kafka says has its own error
        msg = f"TOCSIN_KAFKA_OPTIONS: {failure.args[0].str()}; correct or remove that option"
        raise SettingsError(msg) from failure


def _calm_collector() -> None:
    """Look for cycles seldom, and never among what lives as long as the process.

    Decisions make no cycles, but a thousand records an epoch that outlive Python's default threshold of 700:
    the collector walked them all, a tenth of a decision's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class Opened:
    """Everything a flow needs, opened in order; the stack closes it in reverse."""

    def __init__(self, settings: Settings, plan: ShardPlan, signals: Signals, stack: ExitStack) -> None:
        self._settings = settings
        self._plan = plan
        self._stack = stack
        self.content = CatalogInForce(settings.catalog, gate_policy(settings), settings.secret_bytes())
        self.runtime = Runtime()
        self.runtime.start()
        stack.callback(self.runtime.stop)
        self._ledger_policy = LedgerPolicy(
            settings.redis, settings.topic_prefix, settings.ledger_ttl_s, settings.without_redis
        )
        self.shard = self._shard()
        self.meters = Meters()
        self.ledger = self._ledger()
        self.channels = self._channels()
        self.writer = self._writer()
        self.hub = self._hub()
        self.decoder = decoder(settings, self.hub)
        self.epochs = TimedEpochs(self.shard, self.runtime.monotonic_ms, signals.ready)
        self.checks = self._health_checks()
        self.parts = self._parts(signals.stop)
        self._serve()

    def _shard(self) -> Shard[UserRecord]:
        settings, plan = self._settings, self._plan
        admin = TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options)
        admin.check(settings.partitions)
        identity = Identity(
            cluster=admin.cluster_id(),
            topics=admin.topic_ids(plan.topics),
            partitions=settings.partitions,
            lanes=settings.key_groups,
            shard=plan.number,
            shards=plan.shards,
        )
        kafka = KafkaPublisher(PublisherPolicy(settings.kafka, settings.topic_prefix, settings.kafka_options))
        inboxes = inbox_policies(settings.providers, environment())
        versions = VersionWriter(self.runtime, self._ledger_policy, inboxes)
        self._stack.callback(lambda: self.runtime.run(versions.close(), 5))
        shard = Shard.open(
            settings.state_dir / plan.name,
            identity=identity,
            codec=RecordCodec(),
            cache_users=settings.cache_users,
            publish=FanOutPublisher(kafka, versions),
            form=Form(plain=tuple, restored=restored),
        )
        self._stack.callback(shard.close)
        return shard

    def _ledger(self) -> Ledger:
        ledger = Ledger(self._ledger_policy, incarnation())
        self._stack.callback(lambda: self.runtime.run(ledger.close(), 5))
        return ledger

    def _channels(self) -> dict[str, ChannelDelivery]:
        if not self._plan.own_channels:
            return {}
        providers = self._providers()
        order = provider_order(lambda: self.content.catalog, providers)
        return {
            name: ChannelDelivery(
                self._policy(Channel(name)),
                runtime=self.runtime,
                ledger=self.ledger,
                render=self.content.render,
                providers_for=order,
                stats=self.meters,
                known_providers=[each.name for each in providers.values() if each.channel == name],
            )
            for name in self._plan.own_channels
        }

    def _policy(self, channel: Channel) -> ChannelPolicy:
        settings = self._settings
        policy = sink_policy(channel, in_flight=settings.in_flight, on_unknown=settings.on_unknown)
        return msgspec.structs.replace(policy, stream_clock=settings.clock == "stream")

    def _providers(self) -> dict[str, Provider]:
        settings = self._settings
        accounts = load_accounts(settings.providers, environment())
        redis = Redis.from_url(settings.redis)
        providers = build(accounts, clock=lambda: self.runtime.now_ms() / 1000, redis=redis)

        async def close() -> None:
            for provider in providers.values():
                await provider.close()
            await redis.aclose()

        self._stack.callback(lambda: self.runtime.run(close(), 5))
        return providers

    def _writer(self) -> OutcomeWriter | None:
        if self._plan.flow not in TRACK_FLOWS:
            return None
        url = self._settings.clickhouse
        store.address(url)  # a wrong one is refused now, not at the first outcome
        writer = OutcomeWriter(*[ClickHouseLines(lambda: store.connect(url)) for _ in range(WRITERS)])
        self._stack.callback(writer.close)
        return writer

    def _hub(self) -> KafkaConsumer:
        settings, plan = self._settings, self._plan
        policy = ConsumerPolicy(
            bootstrap=settings.kafka,
            prefix=settings.topic_prefix,
            topics=plan.topics,
            partitions=plan.partitions(settings.partitions),
            acked=plan.acked,
            options=settings.kafka_options,
        )
        return KafkaConsumer(policy, allowance=self._allowance)

    def _allowance(self, topic: str) -> int:
        if topic == topics.OUTCOMES and self.writer is not None:
            return self.writer.room()
        channel = self.channels.get(topic.split(".")[1]) if topic.startswith("messages.") else None
        return channel.allowance(topic) if channel else 1 << 30

    def _parts(self, stop: threading.Event) -> wiring.FlowParts:
        settings, plan, hub = self._settings, self._plan, self.hub
        stream = settings.clock == "stream"
        timing = FlowTiming(self.shard, hub.clocks, hub.caught_up, self.runtime.utc_now, stream=stream)
        gated = plan.flow in GATE_FLOWS
        source = ShardSource(
            hub,
            self.epochs,
            stop=stop,
            wake=wake_all(plan.partitions(settings.partitions), settings.key_groups) if gated else None,
            accept_bad=settings.accept_bad,
            emit=emitter(self.decoder),
        )
        gate = GateParts(self.shard.lane, self.content.gate, timing, self.meters.decisions) if gated else None
        outbox = OutboxSink(self.shard)
        return wiring.FlowParts(source, outbox, gate, self.channels, self.writer, hub.acks.done, timing)

    def _serve(self) -> None:
        settings, plan = self._settings, self._plan
        port = settings.http_port + plan.number if settings.http_port else 0
        served = HealthServer(settings.http_host, port, registry(self), self.checks)
        self._stack.callback(served.close)
        self._stack.enter_context(_every(_HOUSEKEEPING_S, self._look_after))

    def _look_after(self) -> None:
        """Poll the catalog, and ask Kafka what no record tells."""
        self.content.poll(self.runtime.now_ms())
        self.hub.monitor.refresh()

    def _health_checks(self) -> HealthChecks:
        checks = HealthChecks()
        checks.register("kafka", self._kafka_facts)
        checks.register("catalog", self._catalog_facts)
        checks.register("clickhouse", self._clickhouse_facts)
        checks.register("redis", self._redis_facts)
        return checks

    def _kafka_facts(self) -> list[Fact]:
        hub = self.hub
        sentences = [*hub.paused.values(), *hub.health.sentences.values(), *hub.gaps.sentences.values()]
        return [Fact(sentence) for sentence in sentences]

    def _catalog_facts(self) -> list[Fact]:
        return [Fact(f"catalog: {self.content.problem}")] if self.content.problem else []

    def _clickhouse_facts(self) -> list[Fact]:
        return [Fact(self.writer.problem)] if self.writer is not None and self.writer.problem else []

    def _redis_facts(self) -> list[Fact]:
        return [] if self.ledger.up else [Fact("Redis is away: the send ledger cannot be read")]


def _parent_watch(parent: int, stop: threading.Event) -> Callable[[], None]:
    """End in order once the supervisor is gone; asked from before anything is opened."""

    def look() -> None:
        if os.getppid() != parent:
            stop.set()

    return look


def gate_policy(settings: Settings) -> GatePolicy:
    """Give the gate its windows."""
    return GatePolicy(
        dedup_window_ms=settings.dedup_window_s * 1000,
        profile_wait_ms=round(settings.profile_wait_s * 1000),
    )


def decoder(settings: Settings, hub: KafkaConsumer) -> Decoder:
    """Make the decoder over a hub's clocks."""
    stream = settings.clock == "stream"
    limits = EventLimits(settings.max_record_bytes, settings.max_past_s, settings.max_future_s, not stream)
    policy = DecodePolicy(settings.partitions, settings.key_groups, limits, stream)
    badness = DecodeErrorLimit(DecodeErrorPolicy(settings.bad_run, settings.bad_ratio), hub.pause)
    if stream:
        return Decoder(policy, hub.clocks, badness)
    return Decoder(policy, hub.clocks, badness, lambda: time.time_ns() // 1_000_000)


def emitter(decode: Decoder) -> Callable[[Item], list[Any]]:
    """Decode in the source, so that the clocks it snapshots have seen all it handed out."""

    def emit(item: Item) -> list[Routed]:
        return decode.wake(iter(item.partitions)) if isinstance(item, Wake) else decode(item)

    return emit


def incarnation() -> str:
    """Name this start of the process: 16 characters that no other start has."""
    return os.urandom(8).hex()


@contextmanager
def _every(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """Call `do` again and again on a thread of its own, whatever becomes of one call."""
    done = threading.Event()

    def loop() -> None:
        while not done.wait(seconds):
            try:
                do()
            except Exception as error:  # the flow's edge: nobody else looks after catalog, Kafka and parent
                place = traceback.extract_tb(error.__traceback__)[-1]
                name = type(error).__name__
                _log.error("housekeeping: %s at %s:%s", name, Path(place.filename).name, place.lineno)

    thread = threading.Thread(target=loop, name="housekeeping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(5)
