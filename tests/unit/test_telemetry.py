"""Metrics count what they say, and log lines hide what must not be read."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from importlib.metadata import version

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from headrace.clock import SystemClock
from headrace.telemetry import MAX_WORKFLOWS, Telemetry, configure_logging


class FixedClock:
    def __init__(self) -> None:
        self.at = 10_000_000

    def now_at(self) -> int:
        return self.at

    def monotonic_s(self) -> float:
        return self.at / 1_000_000

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def samples(telemetry: Telemetry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(telemetry.render().decode())
        for sample in family.samples
    }


def test_instances_by_state_and_outcome() -> None:
    telemetry = Telemetry(FixedClock())
    telemetry.instances_recovered(5)
    telemetry.instance_started("w")
    telemetry.instance_ended("i", "w", "succeeded", 0.1)
    telemetry.instance_ended("j", "w", "failed", 0.1)
    found = samples(telemetry)
    assert found["headrace_instances_running", ()] == 4
    assert found["headrace_instances_started_total", ()] == 1
    assert found["headrace_instances_ended_total", (("outcome", "succeeded"),)] == 1
    assert found["headrace_instances_ended_total", (("outcome", "failed"),)] == 1
    assert found["headrace_instances_ended_total", (("outcome", "aborted"),)] == 0


def test_unknown_effects_and_the_age_of_the_oldest() -> None:
    clock = FixedClock()
    telemetry = Telemetry(clock)
    telemetry.effect_unknown("a", 4_000_000)
    telemetry.effect_unknown("a", 9_000_000)
    telemetry.effect_unknown("b", 8_000_000)
    assert samples(telemetry)["headrace_effects_unknown", ()] == 2
    assert samples(telemetry)["headrace_effects_unknown_oldest_age_seconds", ()] == 6
    telemetry.effect_settled("a")
    telemetry.effect_settled("never seen")
    clock.at += 1_000_000
    assert samples(telemetry)["headrace_effects_unknown_oldest_age_seconds", ()] == 3
    telemetry.effect_settled("b")
    assert samples(telemetry)["headrace_effects_unknown_oldest_age_seconds", ()] == 0


def test_effects_attempts_and_the_house() -> None:
    telemetry = Telemetry(FixedClock())
    telemetry.attempts_begun[("ledger",)] += 1
    telemetry.attempts_begun[("ledger",)] += 1
    telemetry.attempt_ended("ledger", "unknown", 0.5)
    telemetry.attempt_ended("ledger", "done", 0.25)
    telemetry.effects_closed["ledger", "done"] += 1
    telemetry.needs_attention(+2)
    telemetry.needs_attention(-1)
    telemetry.timer_lag(0.2)
    telemetry.commit(0.003, 40)
    telemetry.request("POST", "/workflows", 201, 0.004)
    found = samples(telemetry)
    assert found["headrace_attempts_begun_total", (("service", "ledger"),)] == 2
    assert found["headrace_attempts_total", (("outcome", "unknown"), ("service", "ledger"))] == 1
    assert found["headrace_attempts_total", (("outcome", "done"), ("service", "ledger"))] == 1
    assert found["headrace_attempt_seconds_sum", (("service", "ledger"),)] == 0.75
    assert found["headrace_effects_total", (("outcome", "done"), ("service", "ledger"))] == 1
    assert found["headrace_activities_needing_attention", ()] == 1
    assert found["headrace_timer_lag_seconds_sum", ()] == 0.2
    assert found["headrace_commit_units_sum", ()] == 40
    assert found["headrace_commit_seconds_count", ()] == 1
    labels = (("method", "POST"), ("route", "/workflows"), ("status", "201"))
    assert found["headrace_http_requests_total", labels] == 1


def test_requests_under_way_are_counted_when_the_metrics_are_read() -> None:
    telemetry = Telemetry(FixedClock())
    under_way = [3]
    label = (("service", "ledger"),)
    assert samples(telemetry)["headrace_attempts_in_flight", label] == 0
    telemetry.watch_attempts("ledger", lambda: under_way[0])
    assert samples(telemetry)["headrace_attempts_in_flight", label] == 3
    under_way[0] = 7
    assert samples(telemetry)["headrace_attempts_in_flight", label] == 7
    assert samples(telemetry)["headrace_attempts_in_flight", (("service", "wallets"),)] == 0


def test_two_servers_do_not_share_their_figures() -> None:
    one, other = Telemetry(FixedClock()), Telemetry(FixedClock())
    one.instance_started("w")
    assert samples(other)["headrace_instances_started_total", ()] == 0


def test_each_workflow_is_counted_until_there_are_too_many_labels() -> None:
    telemetry = Telemetry(FixedClock())
    for number in range(MAX_WORKFLOWS + 2):
        telemetry.instance_started(f"w{number}")
        telemetry.instance_ended(f"i{number}", f"w{number}", "failed", 0.1)
    found = samples(telemetry)
    workflows = {
        dict(labels)["workflow"] for name, labels in found if name == "headrace_workflow_instances_ended_total"
    }
    assert len(workflows) == MAX_WORKFLOWS + 1
    assert found["headrace_workflow_instances_started_total", (("workflow", "w0"),)] == 1
    assert found["headrace_workflow_instances_ended_total", (("outcome", "failed"), ("workflow", "w0"))] == 1
    assert found["headrace_workflow_instances_ended_total", (("outcome", "succeeded"), ("workflow", "w0"))] == 0
    assert found["headrace_workflow_instances_started_total", (("workflow", "other"),)] == 2


def test_what_is_counted_is_reported_once_however_often_it_is_read() -> None:
    telemetry = Telemetry(FixedClock())
    for read in range(1, 4):
        telemetry.instance_started("w")
        telemetry.request("GET", "/info", 200, 0.1)
        found = samples(telemetry)
        assert found["headrace_instances_started_total", ()] == read
        assert found["headrace_instances_running", ()] == read
        labels = (("method", "GET"), ("route", "/info"), ("status", "200"))
        assert found["headrace_http_requests_total", labels] == read


def test_labelled_counters_exist_from_the_start() -> None:
    """A rate over a series that begins at 1 misses its first event."""
    telemetry = Telemetry(FixedClock())
    reported = {name for name, _ in samples(telemetry)}
    counters = {
        f"{metric.name}_total"
        for collector in telemetry.registry._collector_to_names  # pyright: ignore[reportPrivateUsage]
        for metric in collector.collect()
        if metric.type == "counter" and metric.name.startswith("headrace_")
    }
    assert len(counters) > 10
    assert counters - reported == {f"headrace_{name}_total" for name in OF_A_ROUTE_OR_PUBLISHER}


OF_A_ROUTE_OR_PUBLISHER = ("http_requests", "events_published", "events_set_aside", "events_dropped")
"""Their labels are known once routes and publishers are: a server's own test looks at these."""


def test_build_process_and_no_series_of_creation_times() -> None:
    found = samples(Telemetry(FixedClock()))
    names = {name for name, _ in found}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "python_info"} <= names
    assert not [name for name in names if name.endswith("_created")]
    assert found["headrace_build_info", (("version", version("headrace")),)] == 1


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_as_it_was")
def test_lines_of_ours_and_of_libraries_are_json_and_hide_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(SystemClock(), "json", "info")
    structlog.stdlib.get_logger("headrace.test").info("paid", access_token="t0ps3cret", amount=42, effects=1)
    logging.getLogger("library").warning("odd %s", "thing")
    logging.getLogger("library").debug("unwanted")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["access_token"], ours["amount"], ours["effects"]) == ("paid", "[hidden]", "[hidden]", 1)
    assert (theirs["event"], theirs["level"]) == ("odd thing", "warning")


@pytest.mark.usefixtures("_logging_as_it_was")
def test_a_fault_that_every_instance_meets_fills_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(SystemClock(), "json", "info")
    for number in range(100):
        structlog.stdlib.get_logger("headrace.test").warning("cannot commit", reason="disk full", instance_id=number)
    assert len(capsys.readouterr().err.splitlines()) == 5


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.usefixtures("_logging_as_it_was")
def test_a_traceback_shows_no_variables(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging(SystemClock(), log_format, "info")

    def fail(authorization: str) -> None:
        raise RuntimeError(f"a defect at {len(authorization)}")

    try:
        fail("t0ps" + "3cret")
    except RuntimeError as error:
        structlog.stdlib.get_logger("headrace.test").error("request failed", exc_info=error)
        logging.getLogger("library").error("task failed", exc_info=error)
    shown = capsys.readouterr().err
    assert "t0ps3cret" not in shown
    assert shown.count("RuntimeError: a defect at 9") == 2
    assert shown.count("in fail") == 2, "where it happened is told"
