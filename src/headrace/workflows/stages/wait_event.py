"""`wait_event`: go on when the instance is sent an event of this name, compared exactly; it may have come before."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.errors import Problem
from headrace.workflows.activities import Json
from headrace.workflows.commands import WaitEvent
from headrace.workflows.stages.kinds import LABEL
from headrace.workflows.stages.shape import Leaf, Object
from headrace.workflows.stages.stage import StageContext, StageRun

WAIT_EVENT = Object(
    "Go on when the instance is sent an event of this name. One that came before is kept and used; each is used once.",
    {
        "event": Leaf(
            LABEL,
            "The event's name, compared exactly: `headrace instances send-event INSTANCE NAME`.",
            examples=("confirmed", "approved:${order}"),
        )
    },
    required=("event",),
)


class WaitEventStage:
    keyword = "wait_event"
    shape = WAIT_EVENT

    def problems(self, body: object, path: str) -> Iterator[Problem]:
        return WAIT_EVENT.problems(body, path)

    def normalise(self, body: Json, context: StageContext) -> Json:
        return WAIT_EVENT.read(body, "")

    def run(self, body: Json, context: StageContext) -> StageRun:
        yield WaitEvent(body["event"])
