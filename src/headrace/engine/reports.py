"""What an engine reports to its meter when an instance, an attempt or a look-up has ended."""

from __future__ import annotations

from headrace.effects.port import Done, LookUp, Outcome, Refused, Unknown
from headrace.effects.protocol import EffectProtocol, NotBooked, Pause
from headrace.engine.meter import FailedCall, Meter
from headrace.runner.activities import CurrentActivity
from headrace.runner.instance import InstanceRunner
from headrace.workflows.activities import Activity
from headrace.workflows.interpreter import CANCELED


def report_end(meter: Meter, runner: InstanceRunner) -> None:
    outcome = "aborted" if runner.error == CANCELED else "failed" if runner.error else "succeeded"
    seconds = ((runner.ended_at or runner.created_at) - runner.created_at) / 1e6
    meter.instance_ended(runner.id, runner.workflow_id, outcome, seconds)


def report_closed(meter: Meter, activity: Activity, outcome: Done | Refused | NotBooked) -> None:
    if activity.is_effect:
        label = "done" if isinstance(outcome, Done) else "refused" if isinstance(outcome, Refused) else "canceled"
        meter.effect_done(activity.service, label)


def report_attempt(
    meter: Meter,
    runner: InstanceRunner,
    opened: CurrentActivity,
    result: Outcome,
    protocol: EffectProtocol,
    seconds: float,
) -> None:
    """`protocol` knows the attempt's outcome already: the next call is the one that it plans now."""
    outcome = "done" if isinstance(result, Done) else "refused" if isinstance(result, Refused) else "unknown"
    meter.attempt_ended(opened.activity.service, outcome, seconds)
    report_call(meter, runner, opened, result, protocol)


def report_call(
    meter: Meter,
    runner: InstanceRunner,
    opened: CurrentActivity,
    result: Outcome | LookUp,
    protocol: EffectProtocol,
    *,
    is_look_up: bool = False,
) -> None:
    service, action = opened.activity.service, protocol.next()
    if not isinstance(result, Unknown):
        meter.call_answered(service)
        return
    next_s = action.seconds if isinstance(action, Pause) else None
    failed = FailedCall(service, opened.activity.name, result.reason, opened.attempt, next_s, runner.id, is_look_up)
    meter.call_failed(failed)
