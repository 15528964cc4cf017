"""The engine that the settings name, and the steps that a worker takes for it."""

from __future__ import annotations

import importlib.util
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.clock import Clock
from headrace.effects.port import Downstream
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.engine.port import Engine
from headrace.errors import InvalidValue
from headrace.journal.port import Journal
from headrace.runner.runners import Runners
from headrace.settings import Settings
from headrace.telemetry import Telemetry

if TYPE_CHECKING:
    from headrace.engine.temporal.client import TemporalOptions
    from headrace.engine.temporal.engine import TemporalEngine
    from headrace.engine.temporal.steps import Steps

STEP_MARGIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Parts that an engine works with."""

    settings: Settings
    journal: Journal
    downstream: Downstream
    clock: Clock
    runners: Runners
    telemetry: Telemetry


def engine_of(around: Surroundings) -> Engine:
    """Create the engine without starting it. Raises InvalidValue where what it needs is not installed."""
    return _temporal(around) if around.settings.engine == "temporal" else _embedded(around)


def _embedded(around: Surroundings) -> EmbeddedEngine:
    return EmbeddedEngine(
        around.journal,
        around.downstream,
        around.clock,
        around.runners,
        engine_limits(around.settings),
        meter=around.telemetry,
        jitter=random.random,
    )


def _temporal(around: Surroundings) -> TemporalEngine:
    options = temporal_options(around.settings)
    from headrace.engine.temporal.engine import TemporalEngine
    from headrace.engine.temporal.nudger import Nudger

    settings = around.settings
    step_s = 2 * settings.settle_s + settings.timeout_s + STEP_MARGIN_S
    return TemporalEngine(
        around.journal,
        Nudger(options, around.telemetry, step_s=step_s),
        around.clock,
        around.runners,
        begin_within_s=settings.begin_within_s,
        meter=around.telemetry,
    )


def steps_of(around: Surroundings) -> Steps:
    """The activity of a worker."""
    from headrace.effects.settlement import Backoff
    from headrace.engine.temporal.steps import StepLimits, Steps

    settings = around.settings
    return Steps(
        around.journal,
        around.downstream,
        around.clock,
        around.runners,
        engine_limits(settings),
        StepLimits(hold_s=settings.hold_s, begin_within_s=settings.begin_within_s),
        meter=around.telemetry,
        backoff=Backoff(settings.retry_base_s, settings.retry_cap_s, random.random),
    )


def temporal_options(settings: Settings) -> TemporalOptions:
    """Address and credentials of the cluster. Raises InvalidValue where Temporal's SDK is not installed."""
    if importlib.util.find_spec("temporalio") is None:
        raise InvalidValue("HEADRACE_ENGINE", "temporal needs the temporal extra: pip install 'headrace[temporal]'")
    from headrace.engine.temporal.client import TemporalOptions

    return TemporalOptions(
        address=settings.temporal_address,
        namespace=settings.temporal_namespace,
        task_queue=settings.temporal_task_queue,
        tls=settings.temporal_tls,
        ca=settings.temporal_ca,
        cert=settings.temporal_cert,
        key=settings.temporal_key,
        api_key=settings.temporal_api_key,
        local=settings.temporal_local,
        heartbeat_s=settings.temporal_heartbeat_s,
    )


def engine_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        concurrency=settings.concurrency,
        settle_s=settings.settle_s,
        retry_base_s=settings.retry_base_s,
        retry_cap_s=settings.retry_cap_s,
        stop_s=settings.stop_s,
        abort_s=settings.commit_timeout_s,
    )
