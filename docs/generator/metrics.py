"""The page of metrics, from the registry of a server."""

from __future__ import annotations

from typing import Any

from docs.generator.markdown import code, page, table
from headrace.clock import SystemClock
from headrace.settings import BROKER_EXAMPLES
from headrace.telemetry import Telemetry

INTRODUCTION = """`GET /metrics` answers in Prometheus' text format, without authentication and without a token, secret or amount
in it. Counters end in `_total`; histograms have `_bucket`, `_sum` and `_count`. Every labelled counter exists from the
start, at 0. Dashboard and alert rules: [monitoring](../how-to/monitoring.md). What to do about an alert: [on
call](../how-to/on-call.md)."""
LABELS: dict[str, str] = {
    "service": "`ledger`, `wallets` or `payments`",
    "headrace_instances_ended": "`succeeded`, `failed` or `aborted`",
    "headrace_effects": "`done`, `refused`, `canceled` (aborted, not booked) or `undecided` (aborted, without proof)",
    "headrace_attempts": "`done`, `refused` or `unknown` (no usable answer: it is tried again)",
    "headrace_workflow_instances_ended": "`succeeded`, `failed` or `aborted`",
    "workflow": "the workflow's id; `other` for those beyond the first hundred since the start",
    "headrace_trigger_occurrences": "`started` or `failed`",
    "headrace_deliveries": "`taken` or `set_aside`",
    "publisher": (
        f"`own` (triggers of this server), {', '.join(f'`{scheme}:TOPIC`' for scheme in BROKER_EXAMPLES)}"
        " or `webhook:NAME:HASH`"
    ),
    "method": "the HTTP method",
    "route": "the route's template, such as `/instances/{instanceID}`",
    "status": "the HTTP status; 499 where the caller went away",
}
WATCH = (
    (
        "headrace_activities_needing_attention",
        "rising",
        "a person must decide: [needs attention](../how-to/attention.md)",
    ),
    (
        "headrace_attempts_total",
        "outcome `unknown` rising and no other",
        "a service is unreachable or returns unusable responses",
    ),
    (
        "headrace_effects_unknown_oldest_age_seconds",
        "growing",
        "a service is unreachable or returns unusable responses",
    ),
    (
        "headrace_concurrency_limit",
        "at 1 for minutes",
        "[a service stands still](../how-to/on-call.md#a-service-stands-still) or is down",
    ),
    ("headrace_events_waiting", "growing", "a broker or a webhook does not acknowledge events"),
    ("headrace_deliveries_total", "outcome `set_aside` rising", "deliveries that are no events are published"),
    ("headrace_trigger_filter_failures_total", "rising", "a filter does not fit what events hold"),
    ("headrace_http_requests_total", "status `503` rising", "the journal cannot commit: disk full or slow"),
    ("headrace_commit_seconds", "above 0.1 s", "the disk is slow"),
    ("headrace_timer_lag_seconds", "above 1 s", "the machine is too busy"),
)


def metrics_page() -> str:
    """Raises AssertionError where an alarm is on a metric that is no more."""
    collectors: Any = Telemetry(SystemClock()).registry._collector_to_names  # pyright: ignore[reportPrivateUsage]
    rows = [row for collector in collectors for row in _rows(collector)]
    assert {code(name) for name, _, _ in WATCH} <= {row[0] for row in rows}
    watch = [(code(name), when, why) for name, when, why in WATCH]
    return page(
        "Metrics",
        INTRODUCTION,
        "## All",
        table(("Metric", "Type", "Labels", "Meaning"), sorted(rows, key=lambda row: row[0].strip("`"))),
        "## Worth an alarm",
        table(("Metric", "When", "Means"), watch),
    )


def _rows(collector: Any) -> list[tuple[str, str, str, str]]:
    labels: tuple[str, ...] = getattr(collector, "_labelnames", ())
    return [
        (code(_name(metric)), metric.type, _labels(metric.name, labels), metric.documentation)
        for metric in (collector.describe() if hasattr(collector, "describe") else collector.collect())
    ]


def _name(metric: Any) -> str:
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


def _labels(name: str, labels: tuple[str, ...]) -> str:
    """Raises AssertionError for a label that LABELS lacks."""
    keys = {label: name if label == "outcome" else label for label in labels}
    lacking = [key for key in keys.values() if key not in LABELS]
    assert not lacking, f"add {', '.join(lacking)} to LABELS of docs/generator/metrics.py"
    return "<br>".join(f"`{label}`: {LABELS[key]}" for label, key in keys.items())
