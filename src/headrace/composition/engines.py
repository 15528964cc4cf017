"""The engine that the settings name."""

from __future__ import annotations

import random
from dataclasses import dataclass

from headrace.clock import Clock
from headrace.effects.port import Downstream
from headrace.engine.embedded import EmbeddedEngine
from headrace.engine.limits import EngineLimits
from headrace.engine.port import Engine
from headrace.journal.port import Journal
from headrace.runner.runners import Runners
from headrace.settings import Settings
from headrace.telemetry import Telemetry


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
    """Create the engine without starting it."""
    return _embedded(around)


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


def engine_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        concurrency=settings.concurrency,
        settle_s=settings.settle_s,
        retry_base_s=settings.retry_base_s,
        retry_cap_s=settings.retry_cap_s,
        stop_s=settings.stop_s,
        abort_s=settings.commit_timeout_s,
    )
