"""What stages ask of the services: each activity with an example, its request and what history shows of it."""

from __future__ import annotations

from docs.generator.markdown import block, code, pretty, table
from headrace.effects.services import prepare
from headrace.workflows.activities import ACTIVITIES, Activity

INTRODUCTION = """An activity is a named read or effect on a service. Stage history
([getInstanceStageHistory](orchestration-v1.md#getinstancestagehistory)) has an entry for each, whose `input` is an object
with one member, named like the activity; so is its `output`, where the service answers with something to show. A stage
that only waits has none. The activities that reverse an effect are used by the computed stages of an undo only; of
these, V1 describes `RevertTransaction`, V2 none, and the others have an empty `input` and no `output`. An effect's key, `headrace:{instance}:{stage}:{number}`, is known to the service as its
`Idempotency-Key` (ledger and wallets) and by the member that is named here."""
KEY = "headrace:INSTANCE:0:0"


def activities() -> list[str]:
    examples = [activity.example() for activity in ACTIVITIES.values()]
    rows = [(code(each.name), "effect" if each.is_effect else "read", *_request(each)) for each in examples]
    described = [each for each in examples if each.versions]
    inputs = [{each.name: each.input(KEY if each.is_effect else "")} for each in described]
    return [
        "## Activities",
        INTRODUCTION,
        table(("Activity", "Kind", "Asks", "Known by"), rows),
        "What history shows as `input`, an example of each:",
        block("json", pretty(inputs)),
    ]


def _request(activity: Activity) -> tuple[str, str]:
    request = prepare(activity, KEY if activity.is_effect else "", 0)
    return (
        f"{activity.service}: {code(f'{request.method} {request.path}')}",
        activity.known_by if activity.is_effect else "",
    )
