"""`delay`: go on after a duration, or at a moment; at once where that has passed."""

from __future__ import annotations

from headrace.workflows.activities import Json
from headrace.workflows.commands import SleepUntil
from headrace.workflows.durations import duration_us, moment_us
from headrace.workflows.stages.formats import DURATION, MOMENT
from headrace.workflows.stages.shape import Leaf, Object, exactly_one
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType

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
    name="Delay",
)


class DelayStage(StageType):
    keyword = "delay"
    shape = DELAY
    about = (
        "Goes on after a duration, or at a moment; at once where that has passed. The end is computed once, from the "
        "stored start of the stage, and survives restarts. It follows the server's wall clock: a step of that clock "
        "moves it."
    )
    example = 'name: hold\nstages:\n  - delay: {duration: 1h30m}\n  - delay: {until: "2030-01-01T00:00:00Z"}'
    label = "delay"
    color, pale = "#8a93a3", "#e4e7ec"
    dark_color, dark_pale = "#8b949e", "#262d36"
    headline = "duration"

    def run(self, body: Json, context: StageContext) -> StageRun:
        if "until" in body:
            yield SleepUntil(moment_us(body["until"], "until"))
        else:
            yield SleepUntil(context.started_at + duration_us(body["duration"], "duration"))

    def sentence(self, body: Json) -> str:
        return f"Hold until {body['until']}" if body.get("until") else f"Hold for {body.get('duration', '')}"

    def describe(self, body: Json, display: Display) -> list[str]:
        if body.get("until"):
            return [f"Pause workflow until {display.moment(body['until'])}"]
        return [f"Pause workflow for a delay of {body.get('duration', '')}"]
