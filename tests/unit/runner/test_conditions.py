"""What is stored of a condition, and what a runner that is restored or continued goes by: decided without a journal."""

from __future__ import annotations

import json
from typing import Any

from headrace.engine.cases import case_in
from headrace.journal import writes
from headrace.journal.approval_writes import DecideStage
from headrace.journal.chains import reads_named
from headrace.journal.port import Unit
from headrace.journal.records import ActivityRow, Instance, Stage, Standing, Workflow
from headrace.runner.runners import started_instance
from headrace.workflows.decisions import Passed, Verdict, decide
from tests.unit.runner.test_continuation import STAGES, runners

Json = dict[str, Any]
SEND: Json = STAGES[0]
PAY: Json = {"send": {**SEND["send"], "destination": {"payment": {"psp": "stripe"}}}}
BY_READ: Json = {**SEND, "when": 'stages[0].reads.GetAccount.metadata.vip == "yes"'}


def decided(unit: Unit) -> dict[int, bool]:
    return {each.number: each.is_skipped for each in unit.writes if isinstance(each, DecideStage)}


def standing(
    stages: list[Json], *rows: Stage, error: str | None = None, reads: tuple[ActivityRow, ...] = ()
) -> Standing:
    """An instance with these rows of stages, which has failed where there is an error."""
    instance = Instance(
        id="first",
        workflow_id="w",
        config=json.dumps({"stages": stages}),
        variables='{"country":"DE"}',
        created_at=1,
        updated_at=9,
        terminated_at=None if error is None else 9,
        error=error,
        failure=None if error is None else "refused",
        stages=rows,
    )
    return Standing(instance, (), 1, reads=reads)


def row(number: int, *, skipped: bool | None = None, ended: bool = True, error: str | None = None) -> Stage:
    return Stage("first", number, "send", "{}", 1, 2 if ended else None, error, skipped=skipped)


def account_read(vip: str) -> ActivityRow:
    output = json.dumps({"data": {"metadata": {"vip": vip}}})
    return ActivityRow("first", 0, 0, "GetAccount", "{}", 1, output=output, terminated_at=2)


def test_the_unit_that_opens_a_stage_stores_what_was_decided() -> None:
    stages = [{**SEND, "when": f'vars.country == "{country}"'} for country in ("FR", "DE", "FR")]
    workflow = Workflow("w", None, json.dumps({"stages": stages}), 1, 1)
    runner, unit = runners().start(workflow, {"country": "DE"}, sends=True)
    assert decided(unit) == {0: True, 1: False}
    assert [type(each) for each in unit.writes if isinstance(each, writes.AddClosedStage | writes.OpenStage)] == [
        writes.AddClosedStage,
        writes.OpenStage,
    ]
    assert (runner.stage.number, [stage.skipped for stage in started_instance(unit).stages]) == (1, [True, False])


def test_the_conditions_of_a_unit_are_limited_together() -> None:
    """A stage that is skipped is left open there: it runs in no case, whether this process goes on or another one."""
    heavy = {**SEND, "when": 'all(1..6000, # > 0) and vars.country == "FR"'}
    workflow = Workflow("w", None, json.dumps({"stages": [*[heavy] * 12, SEND]}), 1, 1)
    runner, unit = runners().start(workflow, {"country": "DE"}, sends=True)
    seen, rows = dict(decided(unit)), 1
    while runner.open is None:
        assert runner.ended_at is None and runner.stage.is_skipped and runner.sleeps_until_at is None
        assert 2 <= len(decided(unit)) <= 5, "each unit decides about some"
        assert [each.next_at for each in unit.writes if isinstance(each, writes.MoveInstance)][-1] == 0, "it is due"
        open_stage = row(runner.stage.number, skipped=True, ended=False)
        before = [row(number, skipped=True) for number in range(runner.stage.number)]
        restarted = runners().restore(standing([*[heavy] * 12, SEND], *before, open_stage))
        unit = runner.advance()
        assert decided(restarted.advance()) == decided(unit)
        closed = [each.number for each in unit.writes if isinstance(each, writes.CloseStage)]
        assert closed == [open_stage.number], "the one that was left open"
        seen |= decided(unit)
        rows += 1
    assert seen == dict.fromkeys(range(12), True) and rows > 2 and runner.stage.number == 12


def test_no_stage_is_left_that_was_not_decided() -> None:
    """Restored, a stage whose condition failed would run. Only a delay that is over is left."""
    heavy = {"when": 'all(1..6000, # > 0) and vars.country == "FR"'}
    runs: Json = {"when": heavy["when"].replace("FR", "DE")}
    fails: Json = {"when": heavy["when"] + " or int(vars.country) > 1", **SEND}
    for place in range(1, 9):
        workflow = Workflow("w", None, json.dumps({"stages": [*[{**SEND, **heavy}] * place, fails]}), 1, 1)
        runner, unit = runners().start(workflow, {"country": "DE"}, sends=True)
        while runner.ended_at is None:
            assert runner.stage.is_skipped, place
            unit = runner.advance()
        assert runner.stage.number == place and "int('DE')" in (runner.error or "") and place not in decided(unit)
        delays = [{"delay": {"duration": "0s"}, **runs}] * place
        workflow = Workflow("w", None, json.dumps({"stages": [*delays, {"delay": {"duration": "1h"}, **runs}]}), 1, 1)
        runner, unit = runners().start(workflow, {"country": "DE"}, sends=True)
        while runner.stage.number < place:
            assert len(decided(unit)) <= 5, "each unit decides about some"
            left = [each.next_at for each in unit.writes if isinstance(each, writes.MoveInstance)][-1]
            assert left == runner.sleeps_until_at, "it is due then, also where the clock is set back meanwhile"
            unit = runner.advance()
        moves = [each.next_at for each in unit.writes if isinstance(each, writes.MoveInstance)]
        assert moves[-1] == runner.sleeps_until_at is not None


def test_only_the_stages_that_a_condition_names_are_made_for_it() -> None:
    class Watched(list[Passed]):
        def __getitem__(self, place: Any) -> Any:
            seen.add(place)
            return super().__getitem__(place)

    seen: set[int] = set()
    before = Watched([Passed("done", {})] * 998 + [Passed("timeout", {}), Passed("skipped", {})])
    when = 'stages[-1].outcome == "skipped" and stages[998].outcome == "timeout" and stages[0].outcome == "done"'
    assert decide({"when": when}, {}, before) == Verdict(skips=False)
    assert seen == {0, 998, 999}


def test_no_stage_without_a_condition_costs_a_write() -> None:
    workflow = Workflow("w", None, json.dumps({"stages": [SEND]}), 1, 1)
    assert decided(runners().start(workflow, {}, sends=True).unit) == {}


def test_a_restored_runner_goes_by_what_is_stored() -> None:
    """Also where the condition would say something else by now."""
    stages = [{**SEND, "when": 'vars.country == "FR"'}]
    runner = runners().restore(standing(stages, row(0, skipped=False, ended=False)))
    assert runner.stage.command is not None and not runner.stage.is_skipped


def test_so_does_a_continuation() -> None:
    stages = [{**SEND, "when": 'vars.country == "FR"'}]
    runner, unit = runners().redrive(standing(stages, row(0, skipped=False, error="no"), error="no"), sends=True)
    assert runner.open is not None and decided(unit) == {0: False}
    runner, unit = runners().redrive(standing(stages, row(0, error="when: no"), error="when: no"), sends=True)
    assert runner.ended_at is not None and decided(unit) == {0: True}, "nothing was decided: it is now"


def test_what_was_read_before_a_restart_decides_later_stages() -> None:
    for vip in ("yes", "no"):
        found = standing([PAY, SEND, BY_READ], row(0), row(1, ended=False), reads=(account_read(vip),))
        runner = runners().restore(found)
        assert [each.outcome for each in runner.before] == ["done"]
        runner.stage.skip()  # as good as its end
        assert decided(runner.advance()) == {2: vip == "no"}


def test_which_reads_a_restart_needs() -> None:
    """Those that are named by conditions which may still be evaluated; of a stage with a condition that this release
    refuses, all.
    """
    first, second, third = (
        {**SEND, "when": when}
        for when in ("stages[-1].reads.A.x == 1", 'stages[2].outcome == "done"', "stages[0].reads.A.x > vars.n")
    )
    for stages, last, skipped, needed in (
        ([SEND, first, second], 0, None, []),
        ([SEND, first, second], 1, None, [0]),
        ([SEND, first, second], 1, False, []),
        ([SEND, SEND, SEND, second, first], 2, None, []),
        ([SEND, SEND, SEND, second, first], 4, None, [3]),
        ([SEND, SEND, SEND, third], 2, None, [0, 1]),
        ([SEND, SEND, SEND, third], 3, True, []),
        ([first, SEND], 0, None, []),
    ):
        rows = [row(number) for number in range(last)]
        instance = standing(stages, *rows, row(last, skipped=skipped, ended=False)).instance
        assert reads_named(instance) == needed, (stages, last)


def test_and_outcomes_do() -> None:
    stages = [SEND, {"wait_event": {"event": "x"}}, SEND, {**SEND, "when": 'stages[1].outcome == "timeout"'}]
    late = Stage("first", 1, "wait_event", "{}", 1, 2, outcome="timeout")
    for second in (late, row(1)):
        runner = runners().restore(standing(stages, row(0, skipped=True), second, row(2, ended=False)))
        assert [each.outcome for each in runner.before] == ["skipped", "timeout" if second is late else "done"]
        runner.stage.skip()
        assert decided(runner.advance()) == {3: second is not late}


def test_an_undo_does_not_reckon_with_what_was_skipped() -> None:
    """A send that was skipped has let no account be overdrawn, whether that is stored or in the unit that ends it."""
    stages = [SEND, {**SEND, "when": "false"}, PAY]
    stored = standing(stages, row(0), row(1, skipped=True), row(2)).instance
    assert case_in(stored, [], []).stages == [SEND, PAY]
    assert case_in(standing(stages, row(0)).instance, [], [], skipped=[1]).stages == [SEND, PAY]
