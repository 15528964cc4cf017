"""OpenTelemetry traces: one for each instance, across restarts. Off by default; they need the extra `headrace[otel]`.

The trace id is the instance id, and the ids of the spans of the instance and its stages follow from it: a server that
resumes an instance continues its trace without anything stored. A span is reported when what it stands for has ended:
those of an instance and its stages after the commit that ended them, that of a call with the call.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

import structlog

from headrace.clock import Clock
from headrace.effects.port import Downstream, NoResponse, Request, Response
from headrace.engine.control import DRIVEN
from headrace.errors import InvalidValue
from headrace.journal.port import Journal, Results, Unit
from headrace.journal.writes import AddClosedStage, AddInstance, CloseStage, EndInstance, OpenStage
from headrace.runner.activities import CurrentActivity
from headrace.runner.instance import InstanceRunner
from headrace.settings import Settings
from headrace.telemetry.outages import Outage
from headrace.workflows.activities import Activity, CreateTransaction
from headrace.workflows.interpreter import CANCELED

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Link, Span, SpanContext
    from starlette.types import ASGIApp, Receive, Scope, Send

log = structlog.get_logger("headrace")

_End = CloseStage | AddClosedStage | EndInstance

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
MISSING = "traces need the extra: pip install 'headrace[otel]'"
MAX_REMEMBERED = 20_000
FLUSH_S = 3.0

CALLER: ContextVar[tuple[str, str]] = ContextVar("headrace_caller")
"""`traceparent` and `tracestate` of the HTTP request that is answered."""
OUTGOING: ContextVar[dict[str, str] | None] = ContextVar("headrace_outgoing", default=None)
"""Headers of the call that is under way."""


def is_wanted(settings: Settings, environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return settings.traces_url is not None or any(environ.get(name) for name in ENDPOINTS)


def open_tracing(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Tracing | None:
    """Return None if traces are off. Raises InvalidValue if HEADRACE_TRACES_URL is set and the extra is missing.

    An OTEL_ variable that is set for a whole machine stops no server: without the extra it is a warning.
    """
    if not is_wanted(settings, environ):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        if settings.traces_url is not None:
            raise InvalidValue("HEADRACE_TRACES_URL", MISSING) from None
        log.warning("no traces are sent", reason=MISSING)
        return None
    url = settings.traces_url
    exporter = OTLPSpanExporter() if url is None else OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs each retry; `_Reporting` logs outages
    reporting = cast("SpanExporter", _Reporting(exporter, clock))
    return Tracing(BatchSpanProcessor(reporting), environ, has_amounts=settings.trace_amounts)


def outgoing_headers() -> dict[str, str]:
    """`traceparent` of the call under way: a fresh mapping, empty outside of a call."""
    return dict(OUTGOING.get() or {})


@dataclass(slots=True)
class _Known:
    """State that later spans of an instance need; read from the journal if it is not cached."""

    workflow_id: str
    created_at: int
    stages: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    """By number: keyword and start."""


class Tracing:
    """Makes spans from what is committed and called. It never raises: money comes before traces."""

    def __init__(self, processor: SpanProcessor, environ: Mapping[str, str], *, has_amounts: bool = False) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        attributes = {"service.version": version("headrace")} | ({} if named else {"service.name": "headrace"})
        self._ids = _ids()
        self._provider = TracerProvider(resource=Resource.create(attributes), id_generator=self._ids)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("headrace", version("headrace"))
        self._has_amounts = has_amounts
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._reading: set[asyncio.Task[None]] = set()

    def journal(self, journal: Journal) -> Journal:
        return cast("Journal", _TracedJournal(journal, self))

    def downstream(self, downstream: Downstream) -> Downstream:
        return _TracedDownstream(downstream, self)

    def app(self, app: ASGIApp) -> ASGIApp:
        return _TracedApp(app)

    async def close(self) -> None:
        """Send what is finished. Bounded: a collector that does not answer delays no stop for long."""
        if self._reading:
            await asyncio.wait(self._reading, timeout=FLUSH_S)
        loop = asyncio.get_running_loop()
        flushed = loop.run_in_executor(None, self._provider.force_flush, int(FLUSH_S * 1_000))
        await asyncio.wait((flushed,), timeout=FLUSH_S + 1)
        loop.run_in_executor(None, self._provider.shutdown)

    # what is committed

    def committed(self, unit: Unit, journal: Journal) -> None:
        try:
            unread = self._record(unit)
        except Exception:
            log.exception("a trace is incomplete")
            return
        if unread:
            task = asyncio.create_task(self._record_read(journal, unread))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    def _record(self, unit: Unit) -> list[_End]:
        """Report what this unit has ended; gives back the ends of instances that are not remembered."""
        unread: list[_End] = []
        for write in sorted(unit.writes, key=lambda write: isinstance(write, EndInstance)):
            if isinstance(write, AddInstance):
                self._began(write.instance_id, write.workflow_id, write.created_at)
            elif isinstance(write, OpenStage):
                if (known := self._known.get(write.instance_id)) is not None:
                    known.stages[write.number] = (write.keyword, write.started_at)
            elif isinstance(write, CloseStage | AddClosedStage | EndInstance) and not self._ended(write):
                unread.append(write)
        return unread

    async def _record_read(self, journal: Journal, ends: list[_End]) -> None:
        """The ends of an instance that an earlier process began."""
        try:
            for end in ends:
                instance = await journal.instance(end.instance_id)
                if instance is not None:
                    stages = {stage.number: (stage.keyword, stage.started_at) for stage in instance.stages}
                    self._put(instance.id, _Known(instance.workflow_id, instance.created_at, stages))
                    self._ended(end)
        except Exception:
            log.exception("a trace is incomplete")

    def _put(self, instance_id: str, known: _Known) -> None:
        self._known[instance_id] = known
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def _began(self, instance_id: str, workflow_id: str, created_at: int) -> None:
        """A span of its own for the start: it carries the link to the caller, whatever process ends the instance."""
        self._put(instance_id, _Known(workflow_id, created_at))
        caller = _link(*CALLER.get(("", "")))
        attributes = {"headrace.instance.id": instance_id, "headrace.workflow.id": workflow_id}
        self._span("start", instance_id, None, created_at, created_at, attributes, links=[caller] if caller else [])

    def _ended(self, end: _End) -> bool:
        """False where the instance, or its stage, is not remembered."""
        known = self._known.get(end.instance_id)
        if isinstance(end, AddClosedStage):
            self._stage_ended(end.instance_id, end.number, end.keyword, end.started_at, end.terminated_at, end.error)
        elif known is None:
            return False
        elif isinstance(end, CloseStage):
            if end.number not in known.stages:
                return False
            stage = known.stages.pop(end.number)
            self._stage_ended(end.instance_id, end.number, *stage, end.terminated_at, end.error)
        else:
            outcome = "aborted" if end.error == CANCELED else "failed" if end.error else "succeeded"
            if outcome != "aborted":  # the stage of an aborted instance may end later
                self._known.pop(end.instance_id, None)
            attributes = {
                "headrace.instance.id": end.instance_id,
                "headrace.workflow.id": known.workflow_id,
                "headrace.outcome": outcome,
            }
            self._span("instance", end.instance_id, _ROOT, known.created_at, end.at, attributes, error=end.error)
        return True

    def _stage_ended(
        self, instance_id: str, number: int, keyword: str, started_at: int, ended_at: int, error: str | None
    ) -> None:
        attributes = {"headrace.instance.id": instance_id, "headrace.stage": number}
        span_id = _span_id(instance_id, number)
        self._span(f"stage {keyword}", instance_id, span_id, started_at, ended_at, attributes, error=error)

    def _span(
        self,
        name: str,
        instance_id: str,
        span_id: int | None,
        started_at: int,
        ended_at: int,
        attributes: dict[str, Any],
        *,
        error: str | None = None,
        links: list[Link] | None = None,
    ) -> None:
        """`span_id` _ROOT: the span of the instance; None: any id. The text of an error may quote amounts."""
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context
        from opentelemetry.trace.status import Status, StatusCode

        root = self._root(instance_id)
        if not root.trace_flags.sampled:
            return
        self._ids.next_span_id = root.span_id if span_id == _ROOT else span_id
        self._ids.next_trace_id = root.trace_id if span_id == _ROOT else None
        parent = Context() if span_id == _ROOT else set_span_in_context(NonRecordingSpan(root), Context())
        span = self._tracer.start_span(name, parent, start_time=started_at * 1_000, attributes=attributes, links=links)
        if error:
            span.set_status(Status(StatusCode.ERROR, error if self._has_amounts else None))
        span.end(end_time=ended_at * 1_000)

    def _root(self, instance_id: str) -> SpanContext:
        """Context of the instance's span, with the sampler's decision: the same in every process."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanContext, TraceFlags

        digits = instance_id.replace("-", "")
        if len(digits) == 32 and all(digit in "0123456789abcdef" for digit in digits) and digits.strip("0"):
            trace_id = int(digits, 16)
        else:
            trace_id = int.from_bytes(hashlib.blake2b(instance_id.encode(), digest_size=16).digest())
        decision = self._provider.sampler.should_sample(Context(), trace_id, "instance").decision
        flags = TraceFlags(TraceFlags.SAMPLED if decision.is_sampled() else TraceFlags.DEFAULT)
        return SpanContext(trace_id, _span_id(instance_id), is_remote=False, trace_flags=flags)

    # what is called

    async def called(self, downstream: Downstream, request: Request, runner: InstanceRunner) -> Response:
        """Send a request within a span of the instance's trace."""
        span = self._begin_call(request, runner)
        if span is None:
            return await downstream.send(request)
        made = span.get_span_context()
        OUTGOING.set({"traceparent": f"00-{made.trace_id:032x}-{made.span_id:016x}-{int(made.trace_flags):02x}"})
        status, failure = None, ""
        try:
            response = await downstream.send(request)
            status = response.status
            return response
        except NoResponse as error:
            failure = str(error)
            raise
        finally:
            OUTGOING.set(None)
            _end_call(span, status, failure)

    def _begin_call(self, request: Request, runner: InstanceRunner) -> Span | None:
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, set_span_in_context

        try:
            root = self._root(runner.id)
            stage = SpanContext(root.trace_id, _span_id(runner.id, runner.stage.number), False, root.trace_flags)
            context = set_span_in_context(NonRecordingSpan(stage), Context())
            name, attributes = self._about_call(request, runner, runner.open)
            return self._tracer.start_span(name, context, SpanKind.CLIENT, attributes)
        except Exception:
            log.exception("a trace is incomplete")
            return None

    def _about_call(
        self, request: Request, runner: InstanceRunner, opened: CurrentActivity | None
    ) -> tuple[str, dict[str, Any]]:
        attributes: dict[str, Any] = {
            "headrace.instance.id": runner.id,
            "headrace.stage": runner.stage.number,
            "headrace.service": request.service,
            "http.request.method": request.method,
        }
        if opened is None:
            return request.service, attributes
        activity = opened.activity
        attributes |= {"headrace.activity": activity.name, "headrace.attempt": opened.attempt}
        if self._has_amounts:
            attributes |= _amount_of(activity)
        if request is opened.request:
            return f"{request.service} {activity.name}", attributes
        kind = "look-up of" if request.method == "GET" else "ledger for"
        return f"{request.service} {kind} {activity.name}", attributes


class _Reporting:
    """An exporter whose failures are log lines as those of a service are: since when, and when it is over.

    It is called in the thread that sends spans.
    """

    def __init__(self, exporter: SpanExporter, clock: Clock) -> None:
        self._exporter = exporter
        self._clock = clock
        self._outage = Outage("trace collector")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        from opentelemetry.sdk.trace.export import SpanExportResult

        result = self._exporter.export(spans)
        now_s, now_at = self._clock.monotonic_s(), self._clock.now_at()
        if result is SpanExportResult.SUCCESS:
            line = self._outage.answered(now_s)
        else:
            line = self._outage.failed(now_s, now_at, "it does not accept spans", {"lost_spans": len(spans)})
        if line is not None:
            log.warning(line.event, **line.fields)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class _TracedJournal:
    """A journal whose commits are reported once they are durable."""

    def __init__(self, journal: Journal, tracing: Tracing) -> None:
        self._journal = journal
        self._tracing = tracing

    async def commit(self, unit: Unit) -> Results:
        results = await self._journal.commit(unit)
        self._tracing.committed(unit, self._journal)
        return results

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class _TracedDownstream:
    """Services whose calls for an instance are spans of its trace."""

    def __init__(self, downstream: Downstream, tracing: Tracing) -> None:
        self._downstream = downstream
        self._tracing = tracing

    async def send(self, request: Request) -> Response:
        driven = DRIVEN.get(None)
        if driven is None:
            return await self._downstream.send(request)
        return await self._tracing.called(self._downstream, request, driven.runner)

    async def close(self) -> None:
        await self._downstream.close()


class _TracedApp:
    """Notes the trace that an HTTP request belongs to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope.get("headers") or ())
        parent = headers.get(b"traceparent")
        if parent is not None:
            CALLER.set((parent.decode("latin-1"), headers.get(b"tracestate", b"").decode("latin-1")))
        await self._app(scope, receive, send)


_ROOT = -1


def _end_call(span: Span, status: int | None, failure: str) -> None:
    from opentelemetry.trace.status import Status, StatusCode

    try:
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= 400:
            span.set_status(Status(StatusCode.ERROR, failure or None))
        span.end()
    except Exception:
        log.exception("a trace is incomplete")


def _ids() -> Any:
    """An id generator that gives the ids set on it first; made here, as its base class is of the extra."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        next_span_id: int | None = None
        next_trace_id: int | None = None

        def generate_span_id(self) -> int:
            span_id, self.next_span_id = self.next_span_id, None
            return span_id or super().generate_span_id()

        def generate_trace_id(self) -> int:
            trace_id, self.next_trace_id = self.next_trace_id, None
            return trace_id or super().generate_trace_id()

    return Ids()


def _span_id(instance_id: str, stage: int | None = None) -> int:
    name = instance_id if stage is None else f"{instance_id}/{stage}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) or 1


def _link(traceparent: str, tracestate: str) -> Link | None:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent, "tracestate": tracestate}
    context = get_current_span(TraceContextTextMapPropagator().extract(carrier, Context())).get_span_context()
    return Link(context) if context.is_valid else None


def _amount_of(activity: Activity) -> dict[str, Any]:
    """Amounts are text: a span's numbers have 64 bits."""
    if isinstance(activity, CreateTransaction):
        return {"headrace.amount": str(activity.posting["amount"]), "headrace.asset": activity.posting["asset"]}
    amount, asset = getattr(activity, "amount", None), getattr(activity, "asset", None)
    return {} if amount is None else {"headrace.amount": str(amount), "headrace.asset": str(asset)}
