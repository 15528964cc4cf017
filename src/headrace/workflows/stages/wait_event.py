"""`wait_event`: go on when the instance is sent an event of this name, compared exactly; it may have come before."""

from __future__ import annotations

from headrace.workflows.activities import Json
from headrace.workflows.commands import WaitEvent
from headrace.workflows.stages.formats import LABEL
from headrace.workflows.stages.shape import Leaf, Object
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType

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
    name="WaitEvent",
)


class WaitEventStage(StageType):
    keyword = "wait_event"
    shape = WAIT_EVENT
    about = (
        "Goes on when the instance is sent an event of this name "
        "([sendEvent](orchestration-v1.md#sendevent)). The event may come before the stage: it is kept from the "
        "instance's creation on. One event releases one wait, the oldest first."
    )
    example = "name: approve\nstages:\n  - wait_event: {event: approved}"
    label = "wait for an event"
    color, pale = "#c58a1c", "#f6e7c6"
    dark_color, dark_pale = "#e3b341", "#45340f"
    headline = "event"

    def run(self, body: Json, context: StageContext) -> StageRun:
        yield WaitEvent(body["event"])

    def describe(self, body: Json, display: Display) -> list[str]:
        state = "Event received!" if display.has_succeeded else "Still waiting event..."
        return [f"Waiting event '{body.get('event', '')}'", state]

    def awaited_event(self, body: Json) -> str | None:
        return body.get("event")
