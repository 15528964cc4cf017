"""Metrics and log lines of a running server. Neither holds a token, a secret or an amount.

Every method is called on the hot path, so label children are bound once and nothing is formatted here.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from importlib.metadata import version
from itertools import product
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from headrace.clock import Clock
from headrace.engine.meter import FailedCall
from headrace.telemetry.log_repeats import Repeats
from headrace.telemetry.operator_log import OperatorLog

SERVICES = ("ledger", "wallets", "payments")
ENDS = ("succeeded", "failed", "aborted")
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_DOWNSTREAM_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SECRET_WORDS = ("token", "secret", "password", "authorization", "amount", "cookie")


RUNNING, ABOUT_RUNNING = "headrace_instances_running", "Instances that have not ended."
ATTENTION = "headrace_activities_needing_attention"
ABOUT_ATTENTION = "Activities of running instances that only a person can decide."

MAX_WORKFLOWS = 100
"""Workflows with counters of their own; instances of later ones are counted under `OTHER`."""
OTHER = "other"

disable_created_metrics()  # a second series for each counter, which no query uses


class Telemetry:
    """The metrics and the log lines of one server; the metrics are in a registry of its own.

    `instances_per_s`: log lines of ended instances in a second; what is above is logged as one number.
    `is_journal_shared`: other servers run on the same journal, so gauges of what it holds are those that one of the
    servers reads from it (`journal_counts`), and no other server has them.
    """

    def __init__(self, clock: Clock, *, instances_per_s: int = 20, is_journal_shared: bool = False) -> None:
        self._clock = clock
        self._is_journal_shared = is_journal_shared
        self._log = OperatorLog(clock, instances_per_s)
        self._workflows: set[str] = set()
        self.registry = CollectorRegistry(auto_describe=True)
        self._unknown: dict[str, int] = {}
        self._running = 0
        self._instruments_of_runs()
        self._instruments_of_triggers()
        self._instruments_of_the_server()
        self._instruments_of_the_process()
        self.registry.register(_UnknownEffects(self._unknown, clock))

    def _instruments_of_runs(self) -> None:
        registry = self.registry
        own = None if self._is_journal_shared else registry
        running = Gauge(RUNNING, ABOUT_RUNNING, registry=own)
        running.set_function(lambda: self._running)
        self._started = _Counts(Counter("headrace_instances_started", "Instances accepted.", registry=registry))
        self._ended = _Counts(
            Counter("headrace_instances_ended", "Instances ended, by outcome.", ["outcome"], registry=registry)
        )
        self._workflow_started = _Counts(
            Counter("headrace_workflow_instances_started", "Instances accepted.", ["workflow"], registry=registry)
        )
        self._workflow_ended = _Counts(
            Counter("headrace_workflow_instances_ended", "Instances ended.", ["workflow", "outcome"], registry=registry)
        )
        self._effects = _Counts(
            Counter("headrace_effects", "Effects closed.", ["service", "outcome"], registry=registry)
        )
        self._attempts_begun = _Counts(
            Counter("headrace_attempts_begun", "Attempts begun.", ["service"], registry=registry)
        )
        self._attempts = _Counts(
            Counter("headrace_attempts", "Attempts ended, by outcome.", ["service", "outcome"], registry=registry)
        )
        self._attempt_s = _Children(
            Histogram(
                "headrace_attempt_seconds",
                "Time from sending an attempt to its response, or to giving it up.",
                ["service"],
                buckets=_DOWNSTREAM_BUCKETS,
                registry=registry,
            )
        )
        self._limits = _Children(
            Gauge(
                "headrace_concurrency_limit",
                "Requests to this service that may be under way at once, as adapted to its answers.",
                ["service"],
                registry=registry,
            )
        )
        self._in_flight = _Children(
            Gauge("headrace_attempts_in_flight", "Requests to this service under way.", ["service"], registry=registry)
        )
        self._attention = Gauge(ATTENTION, ABOUT_ATTENTION, registry=own)
        self._journal_counts = _JournalCounts()
        if self._is_journal_shared:
            registry.register(self._journal_counts)
        self.effects_closed, self.attempts_begun = self._effects.new, self._attempts_begun.new
        self._ended.expect(ENDS)
        self._workflow_started.expect([OTHER])
        self._workflow_ended.expect([OTHER], ENDS)
        self._effects.expect(SERVICES, ("done", "refused", "canceled", "undecided"))
        self._attempts_begun.expect(SERVICES)
        self._attempts.expect(SERVICES, ("done", "refused", "unknown"))
        self._attempt_s.expect(SERVICES)
        self._limits.expect(SERVICES)
        self._in_flight.expect(SERVICES)

    def _instruments_of_triggers(self) -> None:
        registry = self.registry
        self._accepted = Counter("headrace_events_accepted", "Events accepted into the inbox.", registry=registry)
        self._repeated = Counter(
            "headrace_events_repeated", "Deliveries of a known event: suppressed.", registry=registry
        )
        self._conflicting = Counter(
            "headrace_events_conflicting",
            "Events with a known identity and another payload: recorded, and nothing started.",
            registry=registry,
        )
        occurrences = Counter(
            "headrace_trigger_occurrences", "Matches of a trigger and an event.", ["outcome"], registry=registry
        )
        self._filter_failures = Counter(
            "headrace_trigger_filter_failures", "Filters that failed over an event.", registry=registry
        )
        self._occurrences = _Children(occurrences)
        self._occurrences.expect(("started", "failed"))

        self._deliveries = _Children(
            Counter("headrace_deliveries", "Deliveries of a bus, by outcome.", ["outcome"], registry=registry)
        )
        self._deliveries.expect(("taken", "set_aside"))
        self._published = _Children(
            Counter("headrace_events_published", "Published events acknowledged.", ["publisher"], registry=registry)
        )
        self._waiting_publications = _Children(
            Gauge(
                "headrace_events_waiting",
                "Events not acknowledged yet.",
                ["publisher"],
                registry=registry,
            )
        )

        self._set_aside = _Children(
            Counter(
                "headrace_events_set_aside",
                "Events dead-lettered: rejected repeatedly while others were accepted.",
                ["publisher"],
                registry=registry,
            )
        )
        self._dropped = _Children(
            Counter(
                "headrace_events_dropped",
                "Events that expired before they were accepted.",
                ["publisher"],
                registry=registry,
            )
        )

    def _instruments_of_the_server(self) -> None:
        registry = self.registry
        self._reachable: Gauge | None = None
        self._lag = Histogram(
            "headrace_timer_lag_seconds", "How late delays ended.", buckets=_LAG_BUCKETS, registry=registry
        )
        self._commit_s = Histogram(
            "headrace_commit_seconds", "Time of a durable commit.", buckets=_COMMIT_BUCKETS, registry=registry
        )
        self._commit_units = Histogram(
            "headrace_commit_units", "Units sharing one commit.", buckets=_BATCH_BUCKETS, registry=registry
        )
        requests = Counter(
            "headrace_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        latency = Histogram(
            "headrace_http_request_seconds",
            "Time to answer a request.",
            ["method", "route"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._requests = _Counts(requests)
        self._latency = _Children(latency)

    def _instruments_of_the_process(self) -> None:
        build = Info("headrace_build", "The release that is running.", registry=self.registry)
        build.info({"version": version("headrace")})
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    # what exists from the start

    def expect_requests(self, method: str, route: str, statuses: Iterable[int]) -> None:
        """Count from 0 the requests of this route: a rate over a series that begins at 1 misses the first."""
        self._requests.expect([method], [route], [str(status) for status in statuses])

    def expect_publisher(self, publisher: str) -> None:
        for metric in (self._published, self._waiting_publications, self._set_aside, self._dropped):
            metric.expect([publisher])

    # instances

    def instance_started(self, workflow_id: str) -> None:
        self._running += 1
        self._started.new[()] += 1
        self._workflow_started.new[(self._workflow(workflow_id),)] += 1

    def instance_ended(self, instance_id: str, workflow_id: str, outcome: str, seconds: float) -> None:
        """`outcome`: succeeded, failed or aborted."""
        self._running -= 1
        self._ended.new[(outcome,)] += 1
        self._workflow_ended.new[self._workflow(workflow_id), outcome] += 1
        self._log.instance_ended(instance_id, workflow_id, outcome, seconds)

    def _workflow(self, workflow_id: str) -> str:
        """The label of this workflow: its id, or `other` once the number of labels has reached its bound."""
        if workflow_id in self._workflows:
            return workflow_id
        if len(self._workflows) == MAX_WORKFLOWS:
            return OTHER
        self._workflows.add(workflow_id)
        self._workflow_started.expect([workflow_id])
        self._workflow_ended.expect([workflow_id], ENDS)
        return workflow_id

    def instances_recovered(self, running: int) -> None:
        """How many the journal holds that have not ended, at the start of the process."""
        self._running = running

    def journal_counts(self, counts: tuple[int, int] | None) -> None:
        """Instances running and activities needing attention, as one of several servers has read them.

        None: this server no longer reads them, and reports neither.
        """
        self._journal_counts.counts = counts

    # effects

    def attempt_ended(self, service: str, outcome: str, seconds: float) -> None:
        """`outcome`: done, refused or unknown."""
        self._attempts.new[service, outcome] += 1
        self._attempt_s.of(service).observe(seconds)
        if outcome != "unknown":
            self._log.call_answered(service)

    def call_failed(self, failed: FailedCall) -> None:
        self._log.call_failed(failed)

    def call_answered(self, service: str) -> None:
        self._log.call_answered(service)

    def watch_attempts(self, service: str, in_flight: Callable[[], int]) -> None:
        """Read `in_flight` whenever the metrics are read: setting a gauge at each attempt cost 2 % of a run's CPU."""
        self._in_flight.of(service).set_function(in_flight)

    def concurrency_limit(self, service: str, limit: int) -> None:
        self._limits.of(service).set(limit)

    def effect_unknown(self, key: str, since_at: int) -> None:
        """An attempt of this effect ended without proof; the first such moment counts."""
        self._unknown.setdefault(key, since_at)

    def effect_settled(self, key: str) -> None:
        self._unknown.pop(key, None)

    def needs_attention(self, change: int) -> None:
        self._attention.inc(change)

    # triggers

    def events_accepted(self, new: int, repeated: int, conflicting: int) -> None:
        self._accepted.inc(new)
        self._repeated.inc(repeated)
        self._conflicting.inc(conflicting)

    def occurrence(self, outcome: str) -> None:
        """A trigger matched an event. `outcome`: started or failed."""
        self._occurrences.of(outcome).inc()

    def filter_failed(self) -> None:
        self._filter_failures.inc()

    # buses

    def deliveries(self, outcome: str, count: int) -> None:
        """`outcome`: taken or set_aside."""
        self._deliveries.of(outcome).inc(count)

    def published(self, publisher: str, count: int) -> None:
        self._published.of(publisher).inc(count)

    def publications_waiting(self, publisher: str, count: int) -> None:
        self._waiting_publications.of(publisher).set(count)

    def publication_set_aside(self, publisher: str) -> None:
        self._set_aside.of(publisher).inc()

    def publications_dropped(self, publisher: str, count: int) -> None:
        self._dropped.of(publisher).inc(count)

    # the server

    def timer_lag(self, seconds: float) -> None:
        self._lag.observe(max(0.0, seconds))

    def engine_reachable(self, is_reachable: bool) -> None:
        """Report whether the cluster of a distributed engine answers; an embedded engine has no such metric."""
        if self._reachable is None:
            about = "1 while Temporal answers, else 0: accepted work waits."
            self._reachable = Gauge("headrace_engine_reachable", about, registry=self.registry)
        self._reachable.set(int(is_reachable))

    def commit(self, seconds: float, units: int) -> None:
        self._commit_s.observe(seconds)
        self._commit_units.observe(units)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is the template, never the path as it came: the number of series stays bounded."""
        self._requests.new[method, route, str(status)] += 1
        self._latency.of(method, route).observe(seconds)

    def flush_log(self) -> None:
        """Log what was held back to bound the number of lines."""
        self._log.flush()

    def render(self) -> bytes:
        """Body of `/metrics`, in the text format of `CONTENT_TYPE`."""
        self._hand_over()
        return generate_latest(self.registry)

    def value(self, name: str, **labels: str) -> float | None:
        """A sample as `/metrics` has it now; None: there is no such sample."""
        self._hand_over()
        return self.registry.get_sample_value(name, labels)

    def _hand_over(self) -> None:
        for counts in vars(self).values():
            if isinstance(counts, _Counts):
                counts.hand_over()


class _Children:
    """A metric's label children, looked up without its lock."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._known: dict[tuple[str, ...], Any] = {}

    def of(self, *labels: str) -> Any:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._metric.labels(*labels) if labels else self._metric
        return child

    def expect(self, *values: Iterable[str]) -> None:
        """Make every combination of these label values, so that it is reported as 0 before it is counted."""
        for labels in product(*values):
            self.of(*labels)


class _Counts(_Children):
    """A counter that is incremented often: `new[labels] += 1`. The metric gets the counts when the metrics are read.

    `Counter.inc` takes six Python calls and a lock for each event.
    """

    def __init__(self, metric: Counter) -> None:
        super().__init__(metric)
        self.new: Counts[Any] = Counts()

    def hand_over(self) -> None:
        for labels, count in self.new.items():
            self.of(*labels).inc(count)
        self.new.clear()


class _JournalCounts:
    """Gauges of what the journal holds, while this server reads it for all servers."""

    def __init__(self) -> None:
        self.counts: tuple[int, int] | None = None

    def collect(self) -> Iterator[Metric]:
        if self.counts is not None:
            yield GaugeMetricFamily(RUNNING, ABOUT_RUNNING, self.counts[0])
            yield GaugeMetricFamily(ATTENTION, ABOUT_ATTENTION, self.counts[1])

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(RUNNING, ABOUT_RUNNING)
        yield GaugeMetricFamily(ATTENTION, ABOUT_ATTENTION)


class _UnknownEffects:
    """Computed when the metrics are read, so that the age is current."""

    def __init__(self, unknown: dict[str, int], clock: Clock) -> None:
        self._unknown = unknown
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        oldest_at = min(self._unknown.values(), default=None)
        age_s = 0.0 if oldest_at is None else max(0, self._clock.now_at() - oldest_at) / 1_000_000
        yield GaugeMetricFamily("headrace_effects_unknown", "Effects that may have happened.", len(self._unknown))
        yield GaugeMetricFamily(
            "headrace_effects_unknown_oldest_age_seconds", "Age of the oldest of these effects.", age_s
        )

    def describe(self) -> Iterator[Metric]:
        return self.collect()


# log lines


def configure_logging(clock: Clock, log_format: str = "console", level: str = "info") -> None:
    """Configure log lines of Headrace and of libraries, to standard error. `log_format`: console or json."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso" if log_format == "json" else "%Y-%m-%d %H:%M:%SZ", utc=True),
        _without_secrets,
    ]
    structlog.configure(
        processors=[Repeats(clock), *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    renderers: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=True)]
    if log_format != "json":
        # A traceback without its variables: among them are tokens, secrets and amounts.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=0,
            pad_level=False,
            sort_keys=False,
        )
        renderers = [_without_logger_name, renderer]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("alembic").setLevel(logging.WARNING)  # each first start would log every migration


def _without_logger_name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Lines of this package name no logger: what happened says enough, and a terminal is narrow."""
    if str(event.get("logger", "")).partition(".")[0] == "headrace":
        del event["logger"]
    return event


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "[hidden]"
    return event
