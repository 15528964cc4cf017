"""The lines of services and instances: what they say, how many there are, and what they never hold."""

from __future__ import annotations

from typing import Any

import structlog

from headrace.effects.port import Request, Response, Unknown
from headrace.effects.services import outcome
from headrace.engine.meter import FailedCall
from headrace.telemetry.operator_log import OperatorLog
from tests.unit.test_telemetry import FixedClock


def failed(reason: str, **changes: Any) -> FailedCall:
    values: dict[str, Any] = {"service": "ledger", "operation": "CreateTransaction", "attempt": 2, "instance_id": "i"}
    return FailedCall(**{**values, "reason": reason, "next_s": 1.25, **changes})


def test_a_failed_attempt_names_service_operation_reason_attempt_and_next_try() -> None:
    lines = OperatorLog(FixedClock(), 20)
    with structlog.testing.capture_logs() as told:
        lines.call_failed(failed("HTTP 503"))
        lines.call_failed(failed("payments: cannot connect", service="payments", is_look_up=True, next_s=None))
    assert told[0] == {
        "event": "attempt failed",
        "log_level": "warning",
        "service": "ledger",
        "operation": "CreateTransaction",
        "reason": "HTTP 503",
        "attempt": 2,
        "next_try_s": 1.2,
        "instance_id": "i",
    }
    assert (told[1]["operation"], told[1]["next_try_s"]) == ("look-up of CreateTransaction", None)
    assert told[1]["reason"] == "cannot connect", "the service has a field of its own"


def test_services_fail_and_come_back_each_for_itself() -> None:
    clock = FixedClock()
    lines = OperatorLog(clock, 20)
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            clock.at += 5_000_000
            lines.call_failed(failed("HTTP 503"))
            lines.call_answered("wallets")
        lines.call_answered("ledger")
        lines.call_answered("ledger")
    assert [line["event"] for line in told[2:]] == ["ledger is failing", "ledger is back"]


def test_the_reason_quotes_nothing_of_an_answer() -> None:
    body = b'{"errorCode":"INTERNAL","errorMessage":"account alice has 987654321 left"}'
    request = Request("ledger", "POST", "/v2/main/transactions", b"{}")
    proved = outcome("CreateTransaction", request, Response(500, body))
    assert isinstance(proved, Unknown) and "987654321" in proved.message
    assert proved.reason == "HTTP 500"
    assert Unknown("ledger: cannot connect (Connection refused)").reason.endswith("(Connection refused)")


def test_ended_instances_are_logged_one_by_one_up_to_a_bound_and_then_counted() -> None:
    clock = FixedClock()
    lines = OperatorLog(clock, 3)
    with structlog.testing.capture_logs() as told:
        for number in range(10):
            lines.instance_ended(f"s{number}", "w", "succeeded", 0.1234)
        lines.instance_ended("f", "w", "failed", 1)
        lines.instance_ended("a", "w", "aborted", 1)
        clock.at += 1_000_000
        lines.instance_ended("later", "w", "succeeded", 1)
        lines.flush()
    ended = {"event": "instance ended", "log_level": "info", "workflow_id": "w"}
    assert told[0] == {**ended, "instance_id": "s0", "outcome": "succeeded", "seconds": 0.123}
    assert [line.get("instance_id") for line in told] == ["s0", "s1", "s2", "f", "a", None, "later"]
    assert told[5] == {"event": "more instances ended", "log_level": "info", "succeeded": 7}


def test_what_was_held_back_is_logged_without_waiting_for_another_instance() -> None:
    lines = OperatorLog(FixedClock(), 0)
    with structlog.testing.capture_logs() as told:
        lines.instance_ended("i", "w", "succeeded", 0.1)
        lines.flush()
        lines.flush()
    assert told == [{"event": "more instances ended", "log_level": "info", "succeeded": 1}]
