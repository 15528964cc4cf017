"""What an engine reports to its meter when an instance, an attempt or a look-up has ended."""

from __future__ import annotations

from headrace.effects.port import Done, LookUp, Outcome, Refused, Unknown
from headrace.effects.protocol import EffectProtocol, Pause
from headrace.engine.meter import FailedCall, Meter
from headrace.engine.run import OpenActivity, Run
from headrace.workflows.activities import Activity
from headrace.workflows.interpreter import CANCELED


def report_end(meter: Meter, run: Run) -> None:
    outcome = "aborted" if run.error == CANCELED else "failed" if run.error else "succeeded"
    seconds = ((run.ended_at or run.created_at) - run.created_at) / 1e6
    meter.instance_ended(run.id, run.workflow_id, outcome, seconds)


def report_closed(meter: Meter, activity: Activity, outcome: str) -> None:
    if activity.is_effect:
        meter.effect_done(activity.service, outcome)


def report_attempt(
    meter: Meter, run: Run, opened: OpenActivity, result: Outcome, protocol: EffectProtocol, seconds: float
) -> None:
    """`protocol` knows the attempt's outcome already: the next call is the one that it plans now."""
    outcome = "done" if isinstance(result, Done) else "refused" if isinstance(result, Refused) else "unknown"
    meter.attempt_ended(opened.activity.service, outcome, seconds)
    report_call(meter, run, opened, result, protocol)


def report_call(
    meter: Meter,
    run: Run,
    opened: OpenActivity,
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
    failed = FailedCall(service, opened.activity.name, result.reason, opened.attempt, next_s, run.id, is_look_up)
    meter.call_failed(failed)
