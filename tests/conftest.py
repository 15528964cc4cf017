"""What every suite shares: real servers as child processes, and a run under CI that skips nothing."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.hermetic import DEFAULT_PORT, DefaultPortWatch
from tests.support.engines import lacks
from tests.support.postgres import drop_databases
from tests.support.server import Server
from tests.support.temporal import shared_server as shared_temporal_server

IS_CI = os.environ.get("CI") == "true"
NOT_ALLOWED = "skipped, which CI=true does not allow (install in .ci/run what is missing)"

for name in ("HEADRACE_SERVER", "HEADRACE_PROFILE", "HEADRACE_TOKEN"):
    os.environ.pop(name, None)
os.environ["HEADRACE_CONFIG"] = os.devnull
"""Whatever server a developer's command line talks to: the tests never do."""


# How long an example takes says nothing on a machine that others use too. CI draws more examples than a laptop.
settings.register_profile(
    "headrace", deadline=None, max_examples=100 if IS_CI else 25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("headrace")


@pytest.fixture(scope="session", autouse=True)
def _default_port_is_left_alone() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    watch = DefaultPortWatch()
    yield
    watch.close()
    assert not watch.visitors, f"connected to port {DEFAULT_PORT}, which no test may talk to: {watch.visitors}"


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start `headrace dev` children: `start_server(faults=[...], settings={...})`; all are stopped at the end."""
    servers: list[Server] = []

    def start(name: str = "data", **options: object) -> Server:
        server = Server(tmp_path / name, **options)  # pyright: ignore[reportArgumentType]
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One `headrace dev` without faults for all tests of a module."""
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _databases_end_with_their_module(request: pytest.FixtureRequest) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Also clients of the official SDK: they close themselves when they are collected, which no other test expects."""
    yield
    drop_databases()
    if hasattr(request.module, "SDK") or request.module.__name__.endswith(("test_reference", "test_readme")):
        gc.collect()


LONGEST_FIRST = (
    "examples/test_docs.py",
    "contract/test_batches.py",
    "api/test_description.py",
    "crash/test_deliveries.py",
    "contract/test_redrive.py",
    "contract/test_bus_kafka.py",
    "contract/test_bus.py",
    "examples/test_kills.py",
    "crash/test_workers.py",
    "contract/test_standby.py",
    "crash/test_kills.py",
)
"""Files of a minute and more. Begun last, one of them would keep all others waiting for its worker."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an engine cannot do by its nature (`tests/support/engines.py`), and begin with long files."""
    left_out = [item for item in items if lacks(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    tests = Path(__file__).parent
    places = {tests / name: number for number, name in enumerate(LONGEST_FIRST)}
    kept = [item for item in items if not lacks(item)]
    items[:] = sorted(kept, key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session", autouse=True)
def _temporal_ends_with_the_session() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    yield
    if shared_temporal_server.cache_info().currsize:
        shared_temporal_server().kill()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IS_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"{NOT_ALLOWED}: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if IS_CI and report.skipped:
        report.outcome, report.longrepr = "failed", f"{NOT_ALLOWED}: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what this machine could not run, and why: a green line alone would hide it."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        return
    terminalreporter.write_sep("=", "NOT RUN ON THIS MACHINE", yellow=True, bold=True)
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"{report.nodeid}: {reason}", yellow=True)
