"""What `headrace doctor` finds of Temporal: each sentence against a real cluster, or one that is not there."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from headrace.clock import SystemClock
from headrace.composition import doctor_temporal
from headrace.composition.doctor import examine
from headrace.composition.doctor_temporal import check_temporal
from headrace.composition.findings import Finding
from headrace.engine.temporal import client as clients
from headrace.settings import Settings
from tests.contract.test_engine import PATIENCE_S, Scripted
from tests.support import in_process
from tests.support.in_process import running
from tests.support.server import free_port
from tests.support.temporal import NAMESPACES, TemporalServer, missing, shared_server

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def server() -> TemporalServer:
    return shared_server().start_once()


def _settings(address: str, **settings: str) -> Settings:
    """`settings`: names without HEADRACE_TEMPORAL_, in lower case."""
    given = {"address": address, "namespace": NAMESPACES[0], **settings}
    environ = {f"HEADRACE_TEMPORAL_{name.upper()}": value for name, value in given.items()}
    return Settings.from_env({**environ, "HEADRACE_DATABASE_URL": "postgresql://127.0.0.1/none"}, engine="temporal")


def _only(findings: list[Finding], check: str) -> Finding:
    (found,) = [each for each in findings if each.check == check]
    return found


async def test_without_a_worker_it_warns_and_names_the_task_queue(server: TemporalServer) -> None:
    findings = await check_temporal(_settings(server.address, task_queue="nobody"), CLOCK)
    assert [(each.check, each.status) for each in findings] == [
        ("temporal", "ok"),
        ("namespace", "ok"),
        ("workers", "warning"),
    ]
    assert server.address in findings[0].text
    assert "'nobody'" in findings[2].text and "headrace worker" in findings[2].hint


async def test_a_worker_that_polls_is_seen_and_one_that_polled_long_ago_is_not(
    server: TemporalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_process, "engine_kind", "temporal-normal")
    services = Scripted()
    async with running(tmp_path / "j.db", services) as alive:
        options = alive.engine.nudger_options
        settings = _settings(server.address, namespace=options.namespace, task_queue=options.task_queue)

        async def workers() -> Finding:
            return _only(await check_temporal(settings, CLOCK), "workers")

        async with asyncio.timeout(PATIENCE_S):
            while (await workers()).status != "ok":
                await asyncio.sleep(0.05)
        assert "polled by 1 worker" in (await workers()).text

        class Later(SystemClock):
            def now_at(self) -> int:
                return super().now_at() + int(2 * doctor_temporal.POLLED_S * 1e6)

        assert _only(await check_temporal(settings, Later()), "workers").status == "warning"
    await services.close()


async def test_a_namespace_that_does_not_exist(server: TemporalServer) -> None:
    findings = await check_temporal(_settings(server.address, namespace="nope"), CLOCK)
    assert [each.status for each in findings] == ["ok", "failed"]
    assert "'nope'" in findings[1].text and "HEADRACE_TEMPORAL_NAMESPACE" in findings[1].hint


async def test_a_cluster_that_is_not_there() -> None:
    address = f"127.0.0.1:{free_port()}"
    (found,) = await check_temporal(_settings(address), CLOCK)
    assert (found.status, found.text) == ("failed", f"{address}: Connection refused")
    assert "HEADRACE_TEMPORAL_ADDRESS" in found.hint


async def test_a_cluster_without_tls(server: TemporalServer) -> None:
    (found,) = await check_temporal(_settings(server.address, tls="true"), CLOCK)
    assert (found.status, found.text) == ("failed", f"{server.address}: it does not speak TLS")


async def test_one_that_accepts_and_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_temporal, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (found,) = await check_temporal(_settings(f"127.0.0.1:{silent.getsockname()[1]}"), CLOCK)
    assert found.status == "failed" and "does not answer" in found.text


@pytest.mark.parametrize("status", [RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED])
async def test_credentials_that_are_refused(status: RPCStatusCode, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(*_: Any, **__: Any) -> None:
        raise RPCError("Request unauthorized.", status, b"")

    monkeypatch.setattr(clients, "connect", connect)
    (found,) = await check_temporal(_settings("127.0.0.1:9", api_key="wrong"), CLOCK)
    assert found.status == "failed" and "refuses the credentials" in found.text
    assert "HEADRACE_TEMPORAL_API_KEY" in found.hint and "wrong" not in found.text


async def test_a_certificate_that_cannot_be_read() -> None:
    (found,) = await check_temporal(_settings("127.0.0.1:9", ca="/nowhere/ca.pem"), CLOCK)
    assert (found.status, found.text.partition(":")[0]) == ("failed", "HEADRACE_TEMPORAL_CA")


@pytest.mark.parametrize("engine", ["temporal", "embedded"])
async def test_it_is_asked_with_this_engine_only(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.composition.doctor_database.TIMEOUT_S", 0.1)
    environ = {
        "HEADRACE_DATABASE_URL": f"postgresql://127.0.0.1:{free_port()}/none",
        "HEADRACE_TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
        "HEADRACE_STACK_URL": f"http://127.0.0.1:{free_port()}",
    }
    findings = await examine(Settings.from_env(environ, engine=engine), {}, tmp_path, CLOCK)
    assert any(each.check == "temporal" for each in findings) == (engine == "temporal")
