"""`delay`: go on after a duration, or at a moment; at once where that has passed."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.errors import Problem
from headrace.workflows.commands import Json, SleepUntil
from headrace.workflows.durations import duration_us, moment_of, moment_us
from headrace.workflows.stages.shape import Leaf, Object
from headrace.workflows.stages.stage import StageContext, StageRun


def _duration_text(value: object, path: str) -> object:
    duration_us(value, path)
    return value


def _one_end(given: Json, _is_expanded: bool) -> str | None:
    return None if len(given.keys() & {"duration", "until"}) == 1 else "must hold exactly one of `duration`, `until`"


DELAY = Object({"duration": Leaf(_duration_text), "until": Leaf(moment_of)}, rule=_one_end)


class DelayStage:
    keyword = "delay"

    def problems(self, body: object, path: str) -> Iterator[Problem]:
        return DELAY.problems(body, path)

    def normalise(self, body: Json, context: StageContext) -> Json:
        return DELAY.read(body, "")

    def run(self, body: Json, context: StageContext) -> StageRun:
        if "until" in body:
            yield SleepUntil(moment_us(body["until"], "until"))
        else:
            yield SleepUntil(context.started_at + duration_us(body["duration"], "duration"))
