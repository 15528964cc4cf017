"""Replay: the definition, its variables and what was recorded as read, run through the stages once more.

The stages must ask for exactly the recorded activities, in order, each with the recorded input, key and request, and
must end as recorded. So a row that was changed, removed or added shows, whatever the books say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, assert_never
from urllib.parse import parse_qs, urlsplit

from headrace.certificates.approvals import deny, may_go_on
from headrace.certificates.approvals import differs as _differs
from headrace.certificates.case import (
    RecordedActivity,
    RecordedInstance,
    RecordedStage,
    Verdict,
    requests_before,
)
from headrace.effects.earlier import difference
from headrace.effects.port import Request
from headrace.effects.services import prepare
from headrace.errors import InvalidValue
from headrace.planning.canonical import canonical_json
from headrace.workflows.activities import Activity, GetWallet, Json
from headrace.workflows.commands import Amend, SleepUntil, WaitApproval, WaitEvent
from headrace.workflows.conditions import TIMEOUT, parts_of
from headrace.workflows.decisions import Passed, decide
from headrace.workflows.failures import INVALID, TIMEOUT_TEXT, Failure
from headrace.workflows.interpreter import CANCELED, StageRunner, filled_in
from headrace.workflows.stages import RUN

State = Literal["done", "refused", "canceled", "unbooked"]
REFUSED = Failure("refused")
OFF_PLAN = "plan: "
"""Start of the error of a stage that would have left what was signed or booked: it ended before it did."""
UNBOOKED_CODE = "UNBOOKED:"
"""Start of the error of an effect that a person called not booked."""


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect as the replay asks for it, and how it was recorded to end. `request` is the recorded one."""

    instance_id: str
    stage: int
    ordinal: int
    activity: Activity
    key: str
    request: Request
    state: State
    output: Any
    verdict: Verdict | None


@dataclass(slots=True)
class ReplayedStage:
    """A stage of the definition after its replay. `body`: with the variables filled in, None where they do not fit.
    `is_started`: it was begun, and not left out by its condition.

    `next_ordinal`: the first ordinal under which nothing was ever asked for. `wallets`: the ledger of each wallet that
    was read, by the wallet's id.
    """

    instance_id: str
    number: int
    keyword: str
    body: Json | None
    is_started: bool = True
    error: str | None = None
    effects: list[Effect] = field(default_factory=list[Effect])
    next_ordinal: int = 0
    wallets: dict[str, str] = field(default_factory=dict[str, str])
    root_id: str = ""
    """The instance whose id is in the keys of its effects; empty: the root of the case."""


def replay(instance: RecordedInstance, root_id: str, case: Sequence[RecordedInstance] = ()) -> list[ReplayedStage]:
    """Replay an instance that has ended: every stage of its definition, those never started too.

    `case`: all instances of its case; the instance alone where it is not given. Raises NotCertifiable
    (`replay_differs`), which names the place.
    """
    stages: list[Json] = instance.definition["stages"]
    recorded = instance.stages
    if [stage.number for stage in recorded] != list(range(len(recorded))) or not 0 < len(recorded) <= len(stages):
        raise _differs(instance, None, "the recorded stages are not those of the definition")
    before: list[Passed] = []
    replayed = [_replay_stage(instance, stage, root_id, case or (instance,), before) for stage in recorded]
    for stage in replayed:
        stage.root_id = root_id
    if any(stage.error is not None for stage in replayed[:-1]):
        raise _differs(instance, None, "a stage follows one that failed")
    last = replayed[-1].error
    if instance.error is None and (last is not None or len(recorded) < len(stages)):
        raise _differs(instance, None, "it is recorded as succeeded, and not every stage has")
    if instance.error is not None and instance.error != (CANCELED if _is_cancel(last) else last):
        raise _differs(
            instance, None, f"it is recorded to end with {instance.error!r}, and its last stage with {last!r}"
        )
    for number in range(len(recorded), len(stages)):
        keyword, raw = parts_of(stages[number])
        body = filled_in(RUN[keyword], raw, instance.variables)
        replayed.append(ReplayedStage(instance.id, number, keyword, body, is_started=False, root_id=root_id))
    return replayed


def _is_cancel(error: str | None) -> bool:
    return error is not None and (error == CANCELED or error.startswith(f"{CANCELED}; already booked: "))


def _replay_stage(
    instance: RecordedInstance,
    recorded: RecordedStage,
    root_id: str,
    case: Sequence[RecordedInstance],
    before: list[Passed],
) -> ReplayedStage:
    """Replay a stage, and add it to those `before` the next one."""
    runner = _opened(instance, recorded, before)
    if runner.keyword != recorded.keyword:
        raise _differs(instance, recorded, f"it is recorded as {recorded.keyword}, and defined as {runner.keyword}")
    replayed = ReplayedStage(instance.id, recorded.number, runner.keyword, None)
    is_canceled = instance.error == CANCELED and recorded.number == instance.stages[-1].number
    is_held = not may_go_on(instance, recorded, runner, case)
    for row in recorded.activities:
        _pass_waits(instance, recorded, runner)
        command = runner.command
        if not isinstance(command, Activity) or (command.name, runner.position) != (row.name, row.position):
            asked = command.name if isinstance(command, Activity) else "nothing"
            raise _differs(
                instance, recorded, f"activity {row.position} is recorded as {row.name}, and {asked} is asked for"
            )
        _feed(instance, recorded, row, runner, command, root_id, replayed, case)
    if is_canceled:
        if not _is_same(runner.input, recorded.input):  # an amendment may have been stored before the abort, or not
            runner.skip_amendments()
        runner.cancel()
    elif is_held:
        deny(instance, recorded, runner, case)
    elif instance.is_off_plan and recorded.error is not None and recorded.error.startswith(OFF_PLAN):
        runner.leave_plan(recorded.error.removeprefix(OFF_PLAN).removesuffix(runner.already_booked))
    else:
        _pass_waits(instance, recorded, runner)
        _refuse_unpreparable(instance, recorded, runner, root_id)
    if runner.error != recorded.error:
        raise _differs(
            instance, recorded, f"it is recorded to end with {recorded.error!r}, and ends with {runner.error!r}"
        )
    if not _is_same(runner.input, recorded.input):
        raise _differs(instance, recorded, "its recorded input is not that of the definition")
    replayed.body, replayed.error = runner.input, recorded.error
    if runner.skips:
        _, raw = parts_of(instance.definition["stages"][recorded.number])
        replayed.is_started, replayed.body = False, filled_in(RUN[runner.keyword], raw, instance.variables)
    before.append(Passed(TIMEOUT, runner.reads) if recorded.has_timed_out else runner.passed())
    return replayed


def _opened(instance: RecordedInstance, recorded: RecordedStage, before: Sequence[Passed]) -> StageRunner:
    """The stage at its start. Raises NotCertifiable where its condition does not say what is recorded.

    Whether a variable may name `world` is a setting, which may have changed since.
    """
    stages: list[Json] = instance.definition["stages"]
    verdict = decide(stages[recorded.number], instance.variables, before)
    open_stage = partial(StageRunner, stages, recorded.number, instance.variables, recorded.started_at, verdict=verdict)
    runner = open_stage()
    if recorded.error is not None and not recorded.activities and runner.error is None:
        strict = open_stage(may_name_world=False)
        runner = strict if strict.error == recorded.error else runner
    if recorded.is_skipped:
        runner.skip()
    if runner.skips != recorded.decided:
        raise _differs(instance, recorded, "its condition does not say what is recorded")
    return runner


def _feed(
    instance: RecordedInstance,
    recorded: RecordedStage,
    row: RecordedActivity,
    runner: StageRunner,
    command: Activity,
    root_id: str,
    replayed: ReplayedStage,
    case: Sequence[RecordedInstance],
) -> None:
    """Compare a recorded activity with the one that is asked for, and let the stage go on with what was recorded."""
    ordinal = runner.ordinal
    key = f"headrace:{root_id}:{recorded.number}:{ordinal}" if command.is_effect else ""
    what = f"activity {row.position} ({row.name})"
    if row.key != key:
        raise _differs(instance, recorded, f"{what} has the key {row.key!r}, not {key!r}")
    if not _is_same(command.input(key), row.input):
        raise _differs(instance, recorded, f"{what} has another input")
    try:
        asked = prepare(command, key, recorded.started_at, _schemas(row.request))
    except InvalidValue as error:
        raise _differs(instance, recorded, f"{what} cannot be asked for: {error}") from None
    if not _is_same_request(asked, row.request):
        # A continuation sends the earlier request again, byte for byte, where an attempt of that may still arrive.
        earlier = requests_before(case, instance.id, key)
        is_sent_again = any(_is_same_request(each, row.request) for each in earlier)
        if not is_sent_again or difference(asked, row.request):
            raise _differs(instance, recorded, f"{what} has another request")
    if command.is_effect:
        state = _state(row)
        request = Request(asked.service, asked.method, asked.path, asked.body, asked.key)
        replayed.effects.append(
            Effect(
                row.instance_id or instance.id,
                recorded.number,
                ordinal,
                command,
                key,
                request,
                state,
                row.output,
                row.verdict,
            )
        )
        replayed.next_ordinal = ordinal + 1
    if row.error is None:
        try:
            runner.resume(row.output)
            if isinstance(command, GetWallet):
                replayed.wallets[command.id] = row.output["data"]["ledger"]
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _differs(instance, recorded, f"{what} has an output that no service gives") from None
    elif row.error != CANCELED:
        runner.refuse(row.error, REFUSED)
    elif instance.error != CANCELED or row is not recorded.activities[-1]:
        raise _differs(instance, recorded, f"{what} is recorded as canceled, and the instance was not aborted there")


def _is_same_request(one: Request, other: Request) -> bool:
    return (one.method, one.path, one.body) == (other.method, other.path, other.body)


def _state(row: RecordedActivity) -> State:
    if row.error is None:
        return "done"
    if row.error == CANCELED:
        return "canceled"
    return "unbooked" if row.error.startswith(UNBOOKED_CODE) else "refused"


def _pass_waits(instance: RecordedInstance, recorded: RecordedStage, runner: StageRunner) -> None:
    """Go on behind delays, events and approvals: what follows them was recorded, or the stage has ended.

    A wait whose recorded error says that its event has not come in time ends so, if it had a time.
    """
    try:
        is_late = recorded.error is not None and recorded.error.startswith(TIMEOUT_TEXT)
        while (command := runner.command) is not None:
            match command:
                case Activity():
                    return
                case WaitEvent() if command.deadline_at is not None and is_late:
                    runner.time_out(command)
                case SleepUntil() | WaitEvent() | WaitApproval() | Amend():
                    runner.resume()
                case _:
                    assert_never(command)
    except (LookupError, TypeError, ValueError, AttributeError):
        raise _differs(instance, recorded, "it cannot go on with what was recorded") from None


def _refuse_unpreparable(
    instance: RecordedInstance, recorded: RecordedStage, runner: StageRunner, root_id: str
) -> None:
    """A stage that still asks for something ends only where no request can be made of it."""
    command = runner.command
    if command is None:
        return
    assert isinstance(command, Activity)
    key = f"headrace:{root_id}:{recorded.number}:{runner.ordinal}" if command.is_effect else ""
    try:
        prepare(command, key, recorded.started_at)
    except InvalidValue as error:
        runner.refuse(str(error), INVALID)
        return
    raise _differs(instance, recorded, f"{command.name} is asked for at activity {runner.position}, and not recorded")


def _schemas(request: Request) -> Mapping[str, str]:
    """The schema version that the request names: a setting at that time."""
    parts = urlsplit(request.path)
    named = parse_qs(parts.query).get("schemaVersion", [])
    segments = parts.path.split("/")
    is_ledger = request.service == "ledger" and len(segments) > 2
    return {segments[2]: named[0]} if is_ledger and len(named) == 1 else {}


def _is_same(ours: object, recorded: object) -> bool:
    """Whether two values are equal as JSON: 1 is neither true nor 1.0."""
    try:
        return canonical_json(ours) == canonical_json(recorded)
    except InvalidValue:
        return False
