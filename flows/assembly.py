"""Assembly of a shard: opens every part that its flow needs, by the settings."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from dashboards import store
from flows import wiring
from flows.alerting import start_alerts
from flows.channels import channels_of_accounts, check_topics, delivered_channels, of_catalog
from flows.content import CatalogInForce, no_note
from flows.decoding import decoder, emitter
from flows.delivery import ledger_policy, open_channels, open_ledger
from flows.health import shard_checks
from flows.housekeeping import every
from flows.kept_catalog import KeptCatalog, kept_folder
from flows.load_audit import LoadAudit
from flows.plan import ShardPlan
from flows.timing import FlowTiming
from operators.fan_out_parts import EpochQuota, FanOutParts
from operators.gate_parts import GateParts
from operators.pace import broadcast_pace, timer_pace
from sinks.clickhouse import WRITERS, OutcomeWriter
from sinks.clickhouse_late import LateRows
from sinks.clickhouse_store import ClickHouseLines
from sinks.fan_out import FanOutPublisher
from sinks.kafka import KafkaPublisher, PublisherPolicy
from sinks.outbox import OutboxSink
from sources.client import ConsumerPolicy
from sources.consumer import KafkaConsumer, unlimited
from sources.source import ShardSource, wake_all
from sources.topic_watch import TopicWatch
from sources.topics import TopicAdmin
from tocsin.app.health import HealthServer
from tocsin.app.metrics import Meters, TimedEpochs, registry
from tocsin.app.settings import Settings, environment
from tocsin.decision.fan_out import FanOutPolicy
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import RecordCodec, UserRecord
from tocsin.delivery.runtime import Runtime
from tocsin.delivery.versions import VersionWriter
from tocsin.model import topics
from tocsin.model.raw import packed, unpacked, unpacked_1
from tocsin.providers.inapp import inbox_policies
from tocsin.store.identity import Identity
from tocsin.store.outbox import Form
from tocsin.store.shard import Shard

_HOUSEKEEPING_S = 1.0
_TOPIC_WATCH_S = 5.0
_SWEEP_S = 60.0
_CLOSE_S = 5.0
# A batch of events is waiting: the fan-out leaves them the time.
_BEHIND = 500


class Signals(NamedTuple):
    """Connects a shard with the process around it.

    Attributes:
        stop: ends the flow in order when set.
        ready: called whenever an epoch became durable.
    """

    stop: threading.Event
    ready: Callable[[], None]


class Assembly:
    """Opens all parts of a shard in order; the stack closes them in reverse.

    Args:
        settings: as resolved at the edge.
        plan: which shard of which flow.
        signals: connects the shard with its process.
        stack: closes what was opened, also after an error in between.

    Attributes:
        parts: the parts that the dataflow is wired from.
        shard: the exact store.

    Raises:
        SettingsError: a setting or a provider account is wrong, or a topic is missing.
        CatalogError: the catalog or a template has mistakes.
        StateError: the state directory belongs to another shard or layout.
        SourceError: Kafka does not answer or refuses.
        KafkaException: librdkafka refuses an option.
    """

    def __init__(self, settings: Settings, plan: ShardPlan, signals: Signals, stack: ExitStack) -> None:
        self._settings = settings
        self._plan = plan
        self._stack = stack
        kept = KeptCatalog(kept_folder(settings.state_dir, plan.name))
        self.runtime = Runtime()
        self._loads = LoadAudit(plan.name, plan.number, self.runtime.now_ms)
        note = self._loads.note if plan.has_gate else no_note
        admin = TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options)
        self.content = CatalogInForce(
            settings.catalog,
            gate_policy(settings),
            settings.secret_bytes(),
            kept,
            note,
            check_topics(admin) if plan.has_gate else None,
            settings.gateway_url,
        )
        self.runtime.start()
        stack.callback(self.runtime.stop)
        plan = self._plan = self._planned(admin)
        admin.check(settings.partitions, topics.needed(plan.own_channels))
        # Read once: a process subscribes to its topics when it starts.
        sources = self.content.catalog.sources if plan.has_gate else {}
        self._declared = admin.declared([topics.declared(topic) for topic in sources])
        topic_ids = admin.topic_ids((*plan.topics, *self._declared))
        self.shard = self._open_shard(admin.cluster_id(), topic_ids)
        self.meters = Meters()
        self.ledger = open_ledger(settings, self.runtime, stack)
        self.channels = open_channels(
            settings,
            plan.own_channels,
            runtime=self.runtime,
            ledger=self.ledger,
            content=self.content,
            meters=self.meters,
            stack=stack,
            note=self._loads.note,
        )
        self.writer = open_writer(settings, stack) if plan.has_tracker else None
        self.consumer = self._open_consumer()
        self._watch = TopicWatch(admin, topic_ids, self.consumer.refuse)
        self.decoder = decoder(settings, self.consumer, sources, stack)
        self._pace = timer_pace(time.monotonic, settings.epoch_ms)
        self.epochs = TimedEpochs(
            self.shard, self.runtime.monotonic_ms, signals.ready, on_end=self._pace.ended
        )
        self.checks = shard_checks(
            self.consumer, self.content, self.writer, self.ledger, self.channels, self.epochs.still_s
        )
        self.parts = self._parts(signals.stop)
        self._serve()

    def _planned(self, admin: TopicAdmin) -> ShardPlan:
        """Say which channels there are to deliver: those in use, and those that have messages."""
        accounts = channels_of_accounts(self._settings.providers)
        used = {*of_catalog(self.content.catalog), *accounts.values()}
        return self._plan._replace(there=delivered_channels(used, admin.partitions()))

    def _open_shard(self, cluster: str, topic_ids: dict[str, str]) -> Shard[UserRecord]:
        settings, plan = self._settings, self._plan
        number, shards = plan.state_share
        identity = Identity(
            cluster=cluster,
            topics=topic_ids,
            partitions=settings.partitions,
            key_groups=settings.key_groups,
            shard=number,
            shards=shards,
        )
        kafka = KafkaPublisher(PublisherPolicy(settings.kafka, settings.topic_prefix, settings.kafka_options))
        kafka.connect()
        inboxes = inbox_policies(settings.providers, environment())
        versions = VersionWriter(self.runtime, ledger_policy(settings), inboxes)
        self._stack.callback(lambda: self.runtime.run(versions.close(), _CLOSE_S))
        shard = Shard.open(
            settings.state_dir / plan.name,
            identity=identity,
            codec=RecordCodec(),
            cache_users=settings.cache_users,
            publish=FanOutPublisher(kafka, versions),
            form=Form(packed, unpacked, unpacked_1),
        )
        self._stack.callback(shard.close)
        return shard

    def _open_consumer(self) -> KafkaConsumer:
        settings, plan = self._settings, self._plan
        policy = ConsumerPolicy(
            bootstrap=settings.kafka,
            prefix=settings.topic_prefix,
            topics=(*plan.topics, *self._declared),
            partitions=plan.partitions(settings.partitions),
            acked=plan.acked,
            declared={name: plan.partitions(count) for name, count in self._declared.items()},
            options=settings.kafka_options,
        )
        return KafkaConsumer(policy, allowance=self._allowance)

    def _allowance(self, topic: str) -> int:
        """Return how many records of a topic its step can take now."""
        if topic in topics.TRACKED and self.writer is not None:
            return self.writer.room()
        channel = self.channels.get(topics.channel_of(topic))
        return channel.allowance(topic) if channel else unlimited(topic)

    def _parts(self, stop: threading.Event) -> wiring.FlowParts:
        settings, plan, consumer = self._settings, self._plan, self.consumer
        stream = settings.clock == "stream"
        timing = FlowTiming(
            self.shard, consumer.clocks, consumer.caught_up, self.runtime.utc_now, stream=stream
        )
        key_groups = wake_all(plan.partitions(settings.partitions), settings.key_groups)
        source = ShardSource(
            consumer,
            self.epochs,
            stop=stop,
            wake=key_groups if plan.has_gate else None,
            accept_bad=settings.accept_bad,
            emit=emitter(self.decoder, self._loads.take),
        )
        gate = GateParts(
            self.shard.key_group,
            self.content.gate,
            timing,
            self.meters.decisions,
            self._pace,
            broadcast_pace(time.monotonic),
        )
        return wiring.FlowParts(
            source,
            OutboxSink(self.shard),
            gate if plan.has_gate else None,
            self.channels,
            self.writer,
            consumer.acks.done,
            timing,
            self._fan_out(timing) if plan.has_gate else None,
        )

    def _fan_out(self, timing: FlowTiming) -> FanOutParts:
        settings, content, queues = self._settings, self.content, self.consumer.queues
        gate = gate_policy(settings)
        return FanOutParts(
            self.shard.rows,
            content.gate,
            FanOutPolicy(settings.partitions, gate.dedup_window_ms, gate.dedup_window_ms + gate.late_ms),
            timing,
            EpochQuota(lambda: queues.waiting(topics.EVENTS) >= _BEHIND, an_epoch=settings.fan_out_per_epoch),
            self.meters.fan_out,
            self.meters.decisions,
        )

    def _serve(self) -> None:
        settings, plan = self._settings, self._plan
        port = settings.http_port + plan.number if settings.http_port else 0
        server = HealthServer(settings.http_host, port, registry(self), self.checks)
        self._stack.callback(server.close)
        self._stack.enter_context(every(_HOUSEKEEPING_S, self._keep_house))
        self._stack.enter_context(every(_TOPIC_WATCH_S, self._watch.look))
        if self.channels:
            start_alerts(settings, self.channels, self.runtime, self.meters, self._stack)
        if plan.has_tracker and plan.number == 0:
            self._stack.enter_context(
                every(_SWEEP_S, LateRows(lambda: store.connect(settings.clickhouse)).sweep)
            )

    def _keep_house(self) -> None:
        self.content.poll(self.runtime.now_ms())
        self.consumer.monitor.refresh()


def gate_policy(settings: Settings) -> GatePolicy:
    """Make the gate's policy."""
    return GatePolicy(
        dedup_window_ms=settings.dedup_window_s * 1000,
        late_ms=settings.max_past_s * 1000,
        profile_wait_ms=round(settings.profile_wait_s * 1000),
        partitions=settings.partitions,
        key_groups=settings.key_groups,
        stream_clock=settings.clock == "stream",
    )


def open_writer(settings: Settings, stack: ExitStack) -> OutcomeWriter:
    """Start the writer of outcomes to ClickHouse; the stack stops it.

    Raises:
        SettingsError: TOCSIN_CLICKHOUSE is not an address.
    """
    url = settings.clickhouse
    store.address(url)  # refuse a wrong address now, not at the first outcome
    writer = OutcomeWriter(*[ClickHouseLines(lambda: store.connect(url)) for _ in range(WRITERS)])
    stack.callback(writer.close)
    return writer
