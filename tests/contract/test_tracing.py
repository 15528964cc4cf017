"""Traces: one for each instance, whatever process works on it, and nothing in them that was not asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from headrace.clock import RandomIds
from headrace.effects.port import NoResponse, Request, Response
from headrace.engine.embedded import EmbeddedEngine, EngineLimits
from headrace.errors import InvalidValue
from headrace.events.outbox import Outbox
from headrace.journal.port import Unit
from headrace.journal.records import Workflow
from headrace.journal.sqlite import SqliteJournal
from headrace.journal.writes import AddWorkflow
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.settings import Settings
from headrace.telemetry.tracing import CALLER, Tracing, is_wanted, open_tracing, outgoing_headers
from headrace.usecases import instances as usecases
from headrace.usecases.ports import Ports
from tests.contract.test_engine import CROSS, SEND, WAIT, Scripted
from tests.support.in_process import FastClock
from tests.support.ports import instance_ports, start

CALLER_TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{CALLER_TRACE}-b7ad6b7169203331-01"


class Carrying(Scripted):
    """Services that note the headers of each call."""

    def __init__(self, plan: Any = None) -> None:
        super().__init__(plan)
        self.headers: list[dict[str, str]] = []

    async def send(self, request: Request) -> Response:
        self.headers.append(outgoing_headers())
        return await super().send(request)


class Traced:
    """A server's engine, journal and traces."""

    def __init__(self, ports: Ports, journal: SqliteJournal) -> None:
        self.ports = ports
        self.engine = ports.engine
        self.journal = journal

    async def start(self, *stages: dict[str, Any]) -> str:
        config = msgspec.json.encode({"name": "w", "stages": stages}).decode()
        workflow = Workflow(RandomIds().new(), "w", config, 1, 1)
        unit = Unit()
        unit.add(AddWorkflow(workflow_id=workflow.id, name=workflow.name, config=config, created_at=1, updated_at=1))
        await self.journal.commit(unit)
        return (await start(self.ports, workflow, {})).id

    async def ended(self, instance_id: str) -> None:
        await self.engine.ended(instance_id, 20)
        instance = await self.journal.instance(instance_id)
        assert instance is not None and instance.is_terminal


@asynccontextmanager
async def process(
    path: Path,
    services: Scripted,
    exporter: InMemorySpanExporter,
    *,
    environ: dict[str, str] | None = None,
    **options: Any,
) -> AsyncIterator[Traced]:
    tracing = Tracing(SimpleSpanProcessor(exporter), environ or {}, **options)
    journal = await SqliteJournal.open(path)
    limits = EngineLimits(retry_base_s=0.5, stop_s=0.01)
    clock, ids, traced = FastClock(), RandomIds(), tracing.journal(journal)
    runners = Runners(clock.now_at, ids.new, Outbox().announce, Policy())
    engine = EmbeddedEngine(traced, tracing.downstream(services), clock, runners, limits, jitter=lambda: 1.0)
    await engine.start()
    try:
        yield Traced(instance_ports(traced, engine, runners, clock, ids), journal)
    finally:
        await engine.stop()
        await tracing.close()
        await journal.close()


def trace_of(instance_id: str) -> int:
    return int(instance_id.replace("-", ""), 16)


def by_name(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


async def test_an_instance_its_stages_and_its_attempts_are_one_trace(tmp_path: Path) -> None:
    services, exporter = Carrying(lambda _, count: {1: "lose", 2: Response(503)}.get(count)), InMemorySpanExporter()
    async with process(tmp_path / "j.db", services, exporter) as server:
        instance_id = await server.start(SEND, {"delay": {"duration": "1ms"}})
        await server.ended(instance_id)
    spans = by_name(exporter)
    assert {name: len(found) for name, found in spans.items()} == {
        "start": 1,
        "ledger CreateTransaction": 3,
        "stage send": 1,
        "stage delay": 1,
        "instance": 1,
    }
    assert {context_of(span).trace_id for found in spans.values() for span in found} == {trace_of(instance_id)}
    (root,), (send,), (delay,) = spans["instance"], spans["stage send"], spans["stage delay"]
    assert root.parent is None and attributes(root)["headrace.outcome"] == "succeeded"
    for stage in (send, delay, spans["start"][0]):
        assert stage.parent is not None and stage.parent.span_id == context_of(root).span_id
    assert [attributes(call)["headrace.attempt"] for call in spans["ledger CreateTransaction"]] == [1, 2, 3]
    for call in spans["ledger CreateTransaction"]:
        assert call.parent is not None and call.parent.span_id == context_of(send).span_id
    lost, refused, done = spans["ledger CreateTransaction"]
    assert (lost.status.description, refused.status.is_ok, done.status.is_ok) == ("lost before it arrived", False, True)
    assert attributes(refused)["http.response.status_code"] == 503
    assert root.start_time and root.end_time and send.start_time and send.end_time and delay.end_time
    assert root.start_time <= send.start_time <= send.end_time <= delay.end_time <= root.end_time
    await services.close()


async def test_every_call_carries_the_traceparent_of_its_span_and_the_stored_request_stays(tmp_path: Path) -> None:
    services, exporter = Carrying(lambda _, count: "drop" if count == 1 else None), InMemorySpanExporter()
    async with process(tmp_path / "j.db", services, exporter) as server:
        instance_id = await server.start(CROSS)
        await server.ended(instance_id)
    calls = [span for name, found in by_name(exporter).items() if name.startswith("ledger ") for span in found]
    calls.sort(key=lambda span: span.start_time or 0)
    expected = [f"00-{trace_of(instance_id):032x}-{context_of(span).span_id:016x}-01" for span in calls]
    assert [headers["traceparent"] for headers in services.headers] == expected and len(expected) == 3
    assert services.sent[0] == services.sent[1], "the same bytes under the same key"
    assert outgoing_headers() == {}
    await services.close()


async def test_a_restart_continues_the_trace(tmp_path: Path) -> None:
    """The first process ends during an attempt; the second one ends the instance, and knows its start."""
    services, first = Carrying(lambda _, count: "hold" if count == 1 else None), InMemorySpanExporter()
    async with process(tmp_path / "j.db", services, first) as server:
        instance_id = await server.start(WAIT, SEND, WAIT)
        await usecases.send_event(server.ports, None, instance_id, {"name": "go"})
        await services.under_way.wait()
    assert set(by_name(first)) == {"start", "stage wait_event", "ledger CreateTransaction"}
    second = InMemorySpanExporter()
    async with process(tmp_path / "j.db", services, second) as server:
        await usecases.send_event(server.ports, None, instance_id, {"name": "go"})
        await server.ended(instance_id)
        instance = await server.journal.instance(instance_id)
    spans = by_name(second)
    assert {name: len(found) for name, found in spans.items()} == {
        "ledger CreateTransaction": 1,
        "stage send": 1,
        "stage wait_event": 1,
        "instance": 1,
    }
    assert {context_of(span).trace_id for found in spans.values() for span in found} == {trace_of(instance_id)}
    (root,), (send,) = spans["instance"], spans["stage send"]
    assert instance is not None and root.start_time == instance.created_at * 1_000
    assert send.start_time == instance.stages[1].started_at * 1_000
    (started,) = by_name(first)["start"]
    assert started.parent is not None and started.parent.span_id == context_of(root).span_id
    for call in (*by_name(first)["ledger CreateTransaction"], *spans["ledger CreateTransaction"]):
        assert call.parent is not None and call.parent.span_id == context_of(send).span_id, "of either process"
    await services.close()


async def test_the_callers_trace_is_a_link_and_no_parent(tmp_path: Path) -> None:
    services, exporter = Carrying(), InMemorySpanExporter()
    async with process(tmp_path / "j.db", services, exporter) as server:
        token = CALLER.set((TRACEPARENT, ""))
        await server.ended(await server.start(SEND))
        CALLER.set(("nonsense", "\x00"))
        await server.ended(await server.start(SEND))
        CALLER.reset(token)
    linked, other = by_name(exporter)["start"]
    (link,) = linked.links
    assert f"{link.context.trace_id:032x}" == CALLER_TRACE
    assert context_of(linked).trace_id != link.context.trace_id and not other.links
    await services.close()


@pytest.mark.parametrize("has_amounts", [False, True])
async def test_amounts_are_in_a_trace_only_if_they_are_asked_for(tmp_path: Path, has_amounts: bool) -> None:
    services, exporter = Carrying(), InMemorySpanExporter()
    rich = {"send": {**SEND["send"], "amount": {"asset": "USD/2", "amount": 987_654_321}}}
    async with process(tmp_path / "j.db", services, exporter, has_amounts=has_amounts) as server:
        await server.ended(await server.start(rich))
    text = " ".join(span.to_json() for span in exporter.get_finished_spans())
    assert '"failed"' in text, "INSUFFICIENT_FUND"
    assert ("987654321" in text, "INSUFFICIENT_FUND" in text) == (has_amounts, has_amounts)
    await services.close()


async def test_an_aborted_instance_whose_effect_is_unknown_ends_and_its_stage_later(tmp_path: Path) -> None:
    services, exporter = (
        Carrying(lambda request, _: "drop" if request.method == "POST" else None),
        InMemorySpanExporter(),
    )
    async with process(tmp_path / "j.db", services, exporter) as server:
        instance_id = await server.start(SEND)
        await services.under_way.wait()
        await usecases.abort_instance(server.ports, None, instance_id)
        async with asyncio.timeout(20):
            while "stage send" not in by_name(exporter):
                await asyncio.sleep(0.002)
    spans = by_name(exporter)
    assert attributes(spans["instance"][0])["headrace.outcome"] == "aborted"
    assert "ledger look-up of CreateTransaction" in spans
    await services.close()


async def test_a_trace_that_is_not_sampled_costs_no_span_and_says_so_downstream(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    services, exporter = Carrying(), InMemorySpanExporter()
    async with process(tmp_path / "j.db", services, exporter) as server:
        await server.ended(await server.start(SEND))
    assert exporter.get_finished_spans() == ()
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", services.headers[0]["traceparent"])
    await services.close()


async def test_a_fault_of_traces_hurts_no_run(tmp_path: Path, monkeypatch: Any) -> None:
    services, exporter = Carrying(), InMemorySpanExporter()
    async with process(tmp_path / "j.db", services, exporter) as server:
        monkeypatch.setattr(Tracing, "_root", lambda *_: 1 / 0)
        instance_id = await server.start(SEND)
        await server.ended(instance_id)
        instance = await server.journal.instance(instance_id)
    assert instance is not None and instance.error is None
    assert len(services.writes) == 1
    await services.close()


async def test_a_failed_call_raises_what_it_raised(tmp_path: Path) -> None:
    class Away(Scripted):
        async def send(self, request: Request) -> Response:
            raise NoResponse("away")

    tracing = Tracing(SimpleSpanProcessor(InMemorySpanExporter()), {})
    services = Away()
    with pytest.raises(NoResponse, match="away"):
        await tracing.downstream(services).send(Request("ledger", "GET", "/v2"))
    await services.close()


# on and off


@pytest.mark.parametrize(
    ("environ", "settings", "wanted"),
    [
        ({}, {}, False),
        ({}, {"traces_url": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, {}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, {}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {}, False),
        ({"OTEL_SDK_DISABLED": "true"}, {"traces_url": "http://127.0.0.1:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, {}, False),
    ],
)
def test_traces_are_off_unless_a_collector_is_named(
    environ: dict[str, str], settings: dict[str, Any], wanted: bool
) -> None:
    assert is_wanted(Settings(**settings), environ) is wanted


def test_without_the_extra_a_setting_is_an_error_and_a_machines_variable_a_warning(monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InvalidValue, match=r"HEADRACE_TRACES_URL.*headrace\[otel\]"):
        open_tracing(Settings(traces_url="http://127.0.0.1:4318"), {}, FastClock())
    with structlog.testing.capture_logs() as lines:
        assert open_tracing(Settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, FastClock()) is None
        assert open_tracing(Settings(), {}, FastClock()) is None
    assert [(line["event"], line["log_level"]) for line in lines] == [("no traces are sent", "warning")]
