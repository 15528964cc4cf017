"""`wait_event`: go on when the instance is sent an event of this name, compared exactly; it may have come before."""

from __future__ import annotations

from headrace.workflows.activities import Json
from headrace.workflows.commands import WaitEvent
from headrace.workflows.durations import duration_us
from headrace.workflows.stages.formats import DURATION, LABEL, choice
from headrace.workflows.stages.shape import Leaf, Object, needs
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType

WAIT_EVENT = Object(
    "Go on when the instance is sent an event of this name. One that came before is kept and used; each is used once.",
    {
        "event": Leaf(
            LABEL,
            "The event's name, compared exactly: `headrace instances send-event INSTANCE NAME`.",
            examples=("confirmed", "approved:${order}"),
        ),
        "timeout": Leaf(
            DURATION,
            "For how long it waits, from the start of the stage; without it, without a limit. Headrace only.",
            examples=("7d", "${patience}"),
            is_portable=False,
        ),
        "on_timeout": Leaf(
            choice("fail", "continue"),
            "What happens when the time is over: the run fails as `timeout`, or goes on with the next stage. Headrace "
            "only.",
            default="fail",
            examples=("continue", "${otherwise}"),
            is_portable=False,
        ),
    },
    required=("event",),
    rules=(needs("on_timeout", "timeout"),),
    name="WaitEvent",
)


class WaitEventStage(StageType):
    keyword = "wait_event"
    shape = WAIT_EVENT
    about = (
        "Goes on when the instance is sent an event of this name "
        "([sendEvent](orchestration-v1.md#sendevent)). The event may come before the stage: it is kept from the "
        "instance's creation on. One event releases one wait, the oldest first. With a `timeout` it waits no longer "
        "than that: the journal decides, so an event that was accepted before is used, however late that is noticed."
    )
    example = "name: approve\nstages:\n  - wait_event: {event: approved}"
    label = "wait for an event"
    color, pale = "#c58a1c", "#f6e7c6"
    dark_color, dark_pale = "#e3b341", "#45340f"
    headline = "event"

    def run(self, body: Json, context: StageContext) -> StageRun:
        timeout = body.get("timeout")
        deadline_at = None if timeout is None else context.started_at + duration_us(timeout, "timeout")
        yield WaitEvent(body["event"], deadline_at, body.get("on_timeout") == "continue")

    def describe(self, body: Json, display: Display) -> list[str]:
        received = "Event received!" if "timeout" not in body else "Event received, or its time is over."
        state = received if display.has_succeeded else "Still waiting event..."
        return [f"Waiting event '{body.get('event', '')}'", state]

    def sentence(self, body: Json) -> str:
        limit = f", {body['timeout']} at most" if body.get("timeout") else ""
        return f"Wait for event {body.get('event', '')}{limit}"

    def awaited_event(self, body: Json) -> str | None:
        return body.get("event")
