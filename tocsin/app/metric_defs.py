"""Definitions of all metrics. `docs/operations.md` includes them as a table."""

from collections.abc import Mapping
from typing import Literal, NamedTuple


class MetricDef(NamedTuple):
    """Defines one metric.

    Attributes:
        kind: Prometheus's type.
        unit: unit of the value; empty for a plain count.
        labels: names of the labels.
        meaning: what the value says, without labels and unit.
    """

    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def help(self) -> str:
        """The help text in `/metrics`."""
        return f"{self.meaning} ({self.unit})" if self.unit else self.meaning


METRICS: Mapping[str, MetricDef] = {
    "tocsin_decisions_total": MetricDef(
        "counter", "", ("status", "channel", "reason"), "outcomes that the gate decided"
    ),
    "tocsin_records_total": MetricDef("counter", "", ("topic",), "records read"),
    "tocsin_forwarded_total": MetricDef(
        "counter",
        "",
        ("topic",),
        "records forwarded because their partition was not their user's",
    ),
    "tocsin_tombstones_total": MetricDef(
        "counter", "", ("topic",), "records of declared topics without a value, which are no events"
    ),
    "tocsin_subscribers": MetricDef("gauge", "", (), "subscriptions to topics that the process keeps"),
    "tocsin_fan_outs_open": MetricDef(
        "gauge", "", (), "events that are not handed to all subscribers of their topic yet, by partition"
    ),
    "tocsin_fan_out_behind_seconds": MetricDef(
        "gauge", "s", (), "age of the oldest event that is being handed to subscribers; 0 without one"
    ),
    "tocsin_fanned_out_total": MetricDef("counter", "", (), "events handed to subscribers of topics"),
    "tocsin_epoch_close_ms": MetricDef(
        "gauge",
        "ms",
        ("quantile",),
        "end of an epoch until it is durable, over the last 2,000 epochs; quantile 1.0 is the longest",
    ),
    "tocsin_provider_calls_total": MetricDef(
        "counter", "", ("channel", "provider", "result"), "provider calls"
    ),
    "tocsin_provider_seconds": MetricDef(
        "histogram", "s", ("channel", "provider"), "duration of provider calls"
    ),
    "tocsin_lag_records": MetricDef(
        "gauge",
        "offsets",
        ("topic", "partition"),
        "offsets to the end of a topic; where producers use transactions, their markers and aborted records"
        " count until they are passed, and open transactions until they end",
    ),
    "tocsin_paused_partitions": MetricDef("gauge", "", (), "partitions that decode errors paused"),
    "tocsin_in_flight": MetricDef("gauge", "messages", ("channel",), "messages at a provider now"),
    "tocsin_buffered": MetricDef(
        "gauge", "messages", ("channel",), "messages in the operator, waiting or in flight"
    ),
    "tocsin_oldest_waiting_seconds": MetricDef(
        "gauge", "s", ("channel",), "age of the oldest message in the operator since the gate admitted it"
    ),
    "tocsin_recovery_limit_per_s": MetricDef(
        "gauge", "calls/s", ("provider",), "limit of an account that recovers or answers 429; 0 for none"
    ),
    "tocsin_breaker_open": MetricDef("gauge", "0 or 1", ("provider",), "whether a provider counts as down"),
    "tocsin_clickhouse_rows_total": MetricDef("counter", "", (), "outcomes inserted into ClickHouse"),
    "tocsin_clickhouse_waiting": MetricDef(
        "gauge", "records", (), "outcomes handed to the inserter and not stored yet"
    ),
    "tocsin_healthy": MetricDef("gauge", "0 or 1", (), "whether `/readyz` answers 200"),
}

AUDIT_METRICS: Mapping[str, MetricDef] = {
    "tocsin_balance_error": MetricDef(
        "gauge", "items", (), "missing or doubled items that the last audit found"
    ),
    "tocsin_balance_oldest_unexplained_seconds": MetricDef(
        "gauge", "s", (), "age of the oldest of them; 0 without one"
    ),
    "tocsin_balance_events": MetricDef(
        "gauge", "events", ("state",), "events of the audited range: settled, held, in_flight or unread"
    ),
    "tocsin_balance_last_run_timestamp_seconds": MetricDef(
        "gauge", "s since 1970", (), "start of the last audit that came to its end; 0 before the first"
    ),
    "tocsin_balance_run_seconds": MetricDef("gauge", "s", (), "duration of that audit"),
    "tocsin_balance_failed_runs_total": MetricDef(
        "counter", "", (), "audits that did not come to their end: Kafka or ClickHouse was away"
    ),
}
"""What `tocsin balance --watch` serves."""


def metrics_table() -> str:
    """Build the table of metrics of `docs/operations.md`."""
    rows = ["| metric | type | labels | what |", "|---|---|---|---|"]
    for name, each in {**METRICS, **AUDIT_METRICS}.items():
        kind = f"{each.kind}, {each.unit}" if each.unit else each.kind
        labels = ", ".join(f"`{label}`" for label in each.labels)
        rows.append(f"| `{name}` | {kind} | {labels} | {each.meaning} |")
    return "\n".join(rows)
