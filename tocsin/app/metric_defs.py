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
    "tocsin_store_memory_bytes": MetricDef(
        "gauge",
        "bytes",
        ("part",),
        "memory of the state store: write buffers (48 MB at most), block cache (32 MB), indexes of files",
    ),
    "tocsin_provider_calls_total": MetricDef(
        "counter", "", ("channel", "provider", "result"), "provider calls"
    ),
    "tocsin_dead_letters_total": MetricDef(
        "counter", "", ("channel", "reason"), "messages that delivery ended as dead"
    ),
    "tocsin_alerts_total": MetricDef(
        "counter",
        "",
        ("result",),
        "alerts to operators: sent, failed, skipped because the account is down, told by another process",
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
    "tocsin_drain_seconds": MetricDef(
        "gauge",
        "s",
        ("topic",),
        "time until nothing of the topic's partitions of this process waits, at the rates of the last minute;"
        " `+Inf` while it does not shrink, and missing at the first look",
    ),
    "tocsin_paused_partitions": MetricDef("gauge", "", (), "partitions that decode errors paused"),
    "tocsin_in_flight": MetricDef("gauge", "messages", ("channel",), "messages at a provider now"),
    "tocsin_buffered": MetricDef(
        "gauge", "messages", ("channel",), "messages in the operator, waiting or in flight"
    ),
    "tocsin_oldest_waiting_seconds": MetricDef(
        "gauge", "s", ("channel",), "age of the oldest message in the operator since the gate admitted it"
    ),
    "tocsin_account_in_flight": MetricDef("gauge", "messages", ("provider",), "messages at an account now"),
    "tocsin_account_waiting": MetricDef(
        "gauge",
        "messages",
        ("provider",),
        "messages in the operator that wait for an account and have this one as their first choice",
    ),
    "tocsin_account_oldest_seconds": MetricDef(
        "gauge", "s", ("provider",), "age of the oldest of them since the gate admitted it; 0 without one"
    ),
    "tocsin_account_drain_seconds": MetricDef(
        "gauge",
        "s",
        ("provider",),
        "time until the account has taken what waits for it now, at the rate of the last minute; `+Inf` while"
        " it takes nothing",
    ),
    "tocsin_recovery_limit_per_s": MetricDef(
        "gauge",
        "calls/s",
        ("provider",),
        "limit of an account that recovers (of this process) or answers 429 (of all); 0 for none",
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


BOUNCE_METRICS: Mapping[str, MetricDef] = {
    "tocsin_bounces_total": MetricDef("counter", "", ("result",), "mails that came back and were read"),
    "tocsin_bounces_waiting": MetricDef(
        "gauge", "mails", (), "mails that came back and are not read yet, of a Maildir or IMAP folder"
    ),
}
"""What `tocsin bounces` serves."""


GATEWAY_METRICS: Mapping[str, MetricDef] = {
    "tocsin_gateway_requests_total": MetricDef(
        "counter",
        "",
        ("endpoint", "status"),
        "requests answered; the endpoint is `other` for pages and files",
    ),
    "tocsin_gateway_request_seconds": MetricDef(
        "histogram", "s", ("endpoint",), "head of a request until its answer is ready"
    ),
    "tocsin_gateway_shed_total": MetricDef(
        "counter",
        "",
        ("reason",),
        "what was refused before it cost: connections (too many), slow, head (too large), no_http, or bodies"
        " (of all requests together)",
    ),
    "tocsin_gateway_records_total": MetricDef(
        "counter", "", ("result",), "records that Kafka acknowledged (written), or did not (failed)"
    ),
    "tocsin_gateway_producers_replaced_total": MetricDef(
        "counter", "", (), "producers that librdkafka ended for good, and that were replaced"
    ),
    "tocsin_gateway_reports_total": MetricDef(
        "counter",
        "",
        ("vendor", "result"),
        "events of providers, by what became of them: `receipt`, `ignored`, `foreign`, `forged` and others",
    ),
    "tocsin_gateway_engagement_total": MetricDef(
        "counter",
        "",
        ("kind", "result"),
        "openings and clicks, by who did them: `person`, `machine`; or `lost`",
    ),
    "tocsin_gateway_keys": MetricDef("gauge", "", (), "API keys in the local copy, revoked ones too"),
    "tocsin_gateway_keys_age_seconds": MetricDef(
        "gauge", "s", (), "time since the local copy was known to be that of Redis; -1 if it never was"
    ),
    "tocsin_gateway_healthy": MetricDef("gauge", "", (), "1 while Kafka takes records"),
}
"""What `tocsin gateway` serves."""


REPORT_METRICS: Mapping[str, MetricDef] = {
    "tocsin_reports_total": MetricDef(
        "counter", "", ("result",), "posts of delivery reports: `taken`, `failed`, or `dropped` for good"
    ),
    "tocsin_report_endpoints_behind": MetricDef(
        "gauge", "endpoints", (), "endpoints that do not keep up with the reports of their tenant"
    ),
}
"""What `tocsin run --flow reports` serves, beside `tocsin_alerts_total`."""

_SERVED = (METRICS, AUDIT_METRICS, BOUNCE_METRICS, GATEWAY_METRICS, REPORT_METRICS)
ALL_METRICS: Mapping[str, MetricDef] = {name: each for some in _SERVED for name, each in some.items()}


def metrics_table() -> str:
    """Build the table of metrics of `docs/operations.md`."""
    rows = ["| metric | type | labels | what |", "|---|---|---|---|"]
    for name, each in ALL_METRICS.items():
        kind = f"{each.kind}, {each.unit}" if each.unit else each.kind
        labels = ", ".join(f"`{label}`" for label in each.labels)
        rows.append(f"| `{name}` | {kind} | {labels} | {each.meaning} |")
    return "\n".join(rows)
