"""The figures of `tocsin bounces`, served as metrics."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tocsin.app.metric_defs import BOUNCE_METRICS
from tocsin.bounces.reader import BounceReader
from tocsin.bounces.returned import Result
from tocsin.cli.output import errors, fail


class BounceMetrics:
    """Serves what a reader has counted, until the stack closes; port 0 serves nothing."""

    def __init__(self, reader: BounceReader, port: int, stack: ExitStack) -> None:
        self._reader = reader
        self._waiting: Callable[[], int] = int
        if not port:
            return
        registry = CollectorRegistry()
        registry.register(self)
        try:
            server, thread = start_http_server(port, registry=registry)
        except OSError as error:
            fail(f"--metrics-port {port}: {error.strerror}; choose another one", code=2)
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        errors.print(f"metrics at http://127.0.0.1:{server.server_port}/metrics", soft_wrap=True)

    def watch(self, waiting: Callable[[], int]) -> None:
        """Count the mails that wait by this."""
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        """Give the figures of now."""
        read = CounterMetricFamily(
            "tocsin_bounces", BOUNCE_METRICS["tocsin_bounces_total"].help, labels=("result",)
        )
        for result in Result:
            read.add_metric((result.value,), self._reader.counts[result.value])
        yield read
        name = "tocsin_bounces_waiting"
        yield GaugeMetricFamily(name, BOUNCE_METRICS[name].help, self._waiting())
