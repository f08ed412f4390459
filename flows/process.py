"""One shard's process: opens what its flow needs, runs the flow, and closes it in order.

A process that must not start writes why on stderr and exits with `REFUSED`, so that the supervisor does not
restart it: a wrong setting, a catalog with mistakes, a state directory of another shard. Any other error is a
crash.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta

import bytewax.run
from bytewax.recovery import RecoveryConfig
from confluent_kafka import KafkaException

from flows import wiring
from flows.assembly import Assembly, Signals
from flows.housekeeping import every, parent_watch
from flows.memory import COLLECT_S, collect_seldom, collect_young, keep_freed_memory
from flows.plan import REPORTS, ShardPlan
from flows.reports.process import run_reports
from flows.supervisor import REFUSED
from tocsin.app import logs
from tocsin.app.settings import Settings
from tocsin.errors import CatalogError, SettingsError, StateError, TocsinError

_PARENT_WATCH_S = 1.0


def run_shard(
    settings: Settings, plan: ShardPlan, parent: int = 0, ready: Callable[[], None] = lambda: None
) -> int:
    """Run one shard until SIGTERM or SIGINT, or until its supervisor is gone.

    Args:
        settings: as resolved at the edge.
        plan: which shard of which flow.
        parent: process id of the supervisor; 0 for the present parent.
        ready: called whenever an epoch became durable: this start worked.

    Returns:
        The exit code: 0 after an orderly end, `REFUSED` if it must not start, 1 after another error.
    """
    logs.configure(plan.name)
    for library in ("clickhouse_connect", "urllib3"):  # their errors are told in our words, once an outage
        logging.getLogger(library).setLevel(logging.CRITICAL)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        with ExitStack() as stack:
            stack.enter_context(every(_PARENT_WATCH_S, parent_watch(parent or os.getppid(), stop)))
            if plan.flow == REPORTS:
                run_reports(settings, plan, stop, ready)
            else:
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
    assembly = _open(settings, plan, signals, stack)
    flow = wiring.build(assembly.parts)
    collect_seldom()
    keep_freed_memory()
    stack.enter_context(every(COLLECT_S, collect_young))
    recovery = RecoveryConfig(str(assembly.shard.recovery_dir), timedelta(0))
    epoch = timedelta(milliseconds=settings.epoch_ms)
    bytewax.run.cli_main(flow, epoch_interval=epoch, recovery_config=recovery)
    assembly.shard.finish()


def _open(settings: Settings, plan: ShardPlan, signals: Signals, stack: ExitStack) -> Assembly:
    try:
        return Assembly(settings, plan, signals, stack)
    except KafkaException as failure:  # a client refused its options; other answers of Kafka have own errors
        msg = f"TOCSIN_KAFKA_OPTIONS: {failure.args[0].str()}; correct or remove that option"
        raise SettingsError(msg) from failure
