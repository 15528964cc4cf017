"""`delay`: go on after a duration, or at a moment; at once where that has passed."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.errors import Problem
from headrace.workflows.activities import Json
from headrace.workflows.commands import SleepUntil
from headrace.workflows.durations import duration_us, moment_us
from headrace.workflows.stages.kinds import DURATION, MOMENT
from headrace.workflows.stages.shape import Leaf, Object, exactly_one
from headrace.workflows.stages.stage import StageContext, StageRun

DELAY = Object(
    "Go on after a `duration`, or at a moment (`until`): exactly one of them. It never ends early, and a restart does "
    "not begin it anew.",
    {
        "duration": Leaf(
            DURATION,
            "How long, from the start of the stage: numbers with the units `w d h m s ms us ns`.",
            examples=("5s", "1h30m", "7d", "${pause}"),
        ),
        "until": Leaf(
            MOMENT,
            "The moment to go on at, with its offset; at once where it has passed.",
            examples=("2030-01-01T00:00:00Z", "${day}T09:00:00+01:00"),
        ),
    },
    rules=(exactly_one("duration", "until"),),
)


class DelayStage:
    keyword = "delay"
    shape = DELAY

    def problems(self, body: object, path: str) -> Iterator[Problem]:
        return DELAY.problems(body, path)

    def normalise(self, body: Json, context: StageContext) -> Json:
        return DELAY.read(body, "")

    def run(self, body: Json, context: StageContext) -> StageRun:
        if "until" in body:
            yield SleepUntil(moment_us(body["until"], "until"))
        else:
            yield SleepUntil(context.started_at + duration_us(body["duration"], "duration"))
