"""A real server sends its traces to a collector, goes on with them after a kill, and does not need the collector."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.server import Server, free_port

API = "/api/orchestration"
CALLER_TRACE = "0af7651916cd43dd8448eb211c80319c"
STAGES = [
    {
        "send": {
            "source": {"account": {"id": "world", "ledger": "shop"}},
            "destination": {"account": {"id": "users:1", "ledger": "shop"}},
            "amount": {"amount": 7, "asset": "USD/2"},
        }
    },
    {"wait_event": {"event": "go"}},
]
LIMIT_S = 60.0


class Collector:
    """Names, trace ids and links of the spans that came."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[tuple[str, str, list[str]]] = []
        self.services: set[str] = set()

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            for scope in resource.scope_spans:
                for span in scope.spans:
                    links = [link.trace_id.hex() for link in span.links]
                    self.spans.append((span.name, span.trace_id.hex(), links))

    def wait_for(self, name: str) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while name not in [span[0] for span in self.spans]:
            assert time.monotonic() < deadline_s, self.spans
            time.sleep(0.02)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("variable", ["HEADRACE_TRACES_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_one_trace_over_a_kill(tmp_path: Path, variable: str) -> None:
    with collecting() as collector:
        settings = {variable: collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with Server(tmp_path / "data", settings=settings) as server:
            server.post("/api/ledger/v2/shop", {})
            workflow_id = server.post(f"{API}/workflows", {"stages": STAGES}).json["data"]["id"]
            headers = {"traceparent": f"00-{CALLER_TRACE}-b7ad6b7169203331-01"}
            run = server.post(f"{API}/workflows/{workflow_id}/instances", {}, headers=headers)
            instance_id = run.json["data"]["id"]
            collector.wait_for("stage send")
            server.restart()
            server.post(f"{API}/instances/{instance_id}/events", {"name": "go"})
            collector.wait_for("instance")
            assert server.stop() == 0
    names = [name for name, _, _ in collector.spans]
    assert sorted(names) == ["instance", "ledger CreateTransaction", "stage send", "stage wait_event", "start"]
    assert {trace for _, trace, _ in collector.spans} == {instance_id.replace("-", "")}
    assert [links for name, _, links in collector.spans if name == "start"] == [[CALLER_TRACE]]
    assert collector.services == {"headrace"}


def test_a_collector_that_is_not_there_hurts_no_run_and_no_stop(tmp_path: Path) -> None:
    settings = {"HEADRACE_TRACES_URL": f"http://127.0.0.1:{free_port()}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    with Server(tmp_path / "data", settings=settings) as server:
        workflow_id = server.post(f"{API}/workflows", {"stages": [{"delay": {"duration": "1ms"}}]}).json["data"]["id"]
        run = server.post(f"{API}/workflows/{workflow_id}/instances?wait=true", {})
        assert run.json["data"]["terminated"] is True
        assert server.stop() == 0
        assert "attempt failed service='trace collector'" in server.log(), server.log()
        assert "Traceback" not in server.log() and "opentelemetry" not in server.log(), server.log()


def test_what_is_left_is_sent_at_the_stop(tmp_path: Path) -> None:
    with collecting() as collector:
        settings = {"HEADRACE_TRACES_URL": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        with Server(tmp_path / "data", settings=settings) as server:
            stages = [{"delay": {"duration": "1ms"}}]
            workflow_id = server.post(f"{API}/workflows", {"stages": stages}).json["data"]["id"]
            server.post(f"{API}/workflows/{workflow_id}/instances?wait=true", {})
            assert collector.spans == []
            assert server.stop() == 0
    assert sorted(name for name, _, _ in collector.spans) == ["instance", "stage delay", "start"]
