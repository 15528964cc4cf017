"""Bugs of the continuation of a case that has failed."""

from __future__ import annotations

from tests.planted.bugs import RUNNER, SQL, Bug, Change

RUNNERS = "src/headrace/runner/runners.py"
INHERITANCE = "src/headrace/runner/inheritance.py"
EARLIER = "src/headrace/effects/earlier.py"
CHAINS = "src/headrace/journal/chains.py"
_DECIDED = "tests/unit/runner/test_continuation.py"
_STORED = "tests/contract/test_journal.py"
_UNDO_BY_PLAN = "tests/contract/test_undo_by_plan.py"
_BY_PLAN = "tests/contract/test_redrive_by_plan.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


CONTINUING: tuple[Bug, ...] = (
    _bug(
        "a step gives way while an attempt of an earlier instance settles",
        "src/headrace/engine/temporal/control.py",
        "(opened.begun == 0 and not opened.was_sent)",
        "opened.begun == 0",
        "tests/unit/engine/test_step_control.py",
    ),
    _bug(
        "a continuation has keys of its own",
        RUNNERS,
        "            root_id=root_id,\n            earlier=",
        "            root_id=None,\n            earlier=",
        _DECIDED,
    ),
    _bug(
        "a continuation sends again what is done",
        RUNNER,
        "        if earlier is not None and earlier.is_done:\n",
        "        if False:\n",
        _DECIDED,
    ),
    _bug(
        "a continuation does not compare what it asks for with what was booked",
        EARLIER,
        "        if not self.is_done and not self.may_arrive:\n",
        "        if not self.may_arrive:\n",
        _DECIDED,
    ),
    _bug(
        "a continuation sends other content while an attempt may still arrive",
        INHERITANCE,
        "    return row.attempt > 1 or row.last_failure is not None or row.error == CANCELED\n",
        "    return False\n",
        _DECIDED,
    ),
    _bug(
        "a continuation forgets over a crash that an attempt may still arrive",
        "src/headrace/runner/recovery.py",
        "(row.attempt > 0 or was_sent_before)",
        "row.attempt > 0",
        _DECIDED,
    ),
    _bug(
        "a continuation may follow an instance that has a successor",
        SQL,
        "WHERE instance_id = :predecessor AND terminated_at IS NULL)\nON CONFLICT DO NOTHING",
        "WHERE instance_id = :predecessor AND terminated_at IS NULL)\n"
        "ON CONFLICT (predecessor) DO UPDATE SET successor = excluded.successor",
        _STORED,
    ),
    _bug(
        "a continuation by a plan of the rest compares what is done with the plan",
        RUNNER,
        "self.pin is not None and activity.is_effect and not is_done:",
        "self.pin is not None and activity.is_effect:",
        _DECIDED,
    ),
    _bug(
        "a continuation by a plan follows the plan before",
        RUNNERS,
        "        if signed is not None:\n"
        "            runner.pin, runner.approvals = pin_of(signed.document), approvals\n",
        "        if signed is not None and standing.plan is None:\n"
        "            runner.pin, runner.approvals = pin_of(signed.document), approvals\n",
        _DECIDED,
    ),
    _bug(
        "a continuation may leave out what a plan of the rest has signed",
        "src/headrace/runner/pin.py",
        "max(self._ends.get(stage, 0), ordinal + 1)",
        "self._ends.get(stage, 0) + 1",
        _DECIDED,
    ),
    _bug(
        "the plan of a continuation is kept in memory only",
        SQL,
        "COALESCE(:plan_id, plan_id)",
        "COALESCE(plan_id, substr(:plan_id, 1, 0))",
        _STORED,
    ),
    _bug(
        "a plan of a redrive is used twice",
        "src/headrace/usecases/redrive.py",
        "    used = [] if signed is None else [use_of(signed, start)]\n",
        "    used: list[Required] = []\n",
        _BY_PLAN,
    ),
    _bug(
        "a plan of a redrive continues another instance",
        "src/headrace/usecases/plan_runs.py",
        '    if (about.redrive if verb == "redrive" else about.undo) != instance_id:\n',
        "    if about.redrive is None and about.undo is None:\n",
        _BY_PLAN,
    ),
    _bug(
        "what has left its plan is continued without a new one",
        "src/headrace/usecases/continuations.py",
        '    if is_planned and instance.failure == "plan":\n',
        '    if instance.failure == "plan":\n',
        _BY_PLAN,
    ),
    _bug(
        "what ended because our reference is taken is continued",
        "src/headrace/usecases/continuations.py",
        'frozenset({"refused", "invalid", "timeout", "expired", "unbooked"})',
        'frozenset({"refused", "invalid", "timeout", "expired", "unbooked", "conflict"})',
        "tests/contract/test_redrive.py",
    ),
    _bug(
        "an undo that was aborted is never continued",
        "src/headrace/usecases/continuations.py",
        '    if instance.failure in REDRIVABLE or (is_undo and instance.failure == "canceled"):\n',
        "    if instance.failure in REDRIVABLE:\n",
        "tests/contract/test_undo_instance.py",
    ),
    _bug(
        "an undo by a plan follows no plan",
        RUNNERS,
        "        runner.pin = None if signed is None else pin_of(signed.document)\n        unit = Unit()\n",
        "        unit = Unit()\n",
        _UNDO_BY_PLAN,
    ),
    _bug(
        "an undo by a plan may revert something else",
        "src/headrace/usecases/undo.py",
        "    if signed is not None and not is_signed(subject.definition, signed):\n",
        "    if False:\n",
        _UNDO_BY_PLAN,
    ),
    _bug(
        "a plan of an undo believes that a rejected payout still waits",
        "src/headrace/planning/planner.py",
        '        self._shadow.set_status(effect.id, "REJECTED")\n',
        "",
        "tests/undo/test_undo.py",
        _UNDO_BY_PLAN,
    ),
    _bug(
        "a plan of an undo reverts postings in the order in which they were booked",
        "src/headrace/planning/planner.py",
        'posting(each["destination"], each["source"], each["amount"], each["asset"])',
        'posting(each["source"], each["destination"], each["amount"], each["asset"])',
        _UNDO_BY_PLAN,
    ),
    _bug(
        "what a person leaves out of an undo is not listed as kept",
        "src/headrace/usecases/redrive.py",
        "        kept=None if kept is None else msgspec.json.encode([kept]).decode(),\n",
        "",
        _UNDO_BY_PLAN,
    ),
    _bug(
        "what a person leaves out of an undo is reverted all the same",
        RUNNER,
        "        if skips:\n            self.stage.skip()\n",
        "",
        _UNDO_BY_PLAN,
    ),
    _bug(
        "a case that is no undo may leave an effect out",
        "src/headrace/usecases/continuations.py",
        "    if not is_undo:\n        why = ",
        "    if False:\n        why = ",
        _UNDO_BY_PLAN,
    ),
    _bug(
        "an effect of an undo is left out without the scope of approvals",
        "src/headrace/api/ext/successors.py",
        "    if _wants_skip(wanted) and not request.principal.may(APPROVE):\n",
        "    if False:\n",
        "tests/api/test_guard.py",
    ),
    _bug(
        "a continuation lacks the unused events",
        SQL,
        "UPDATE events SET instance_id = :instance_id WHERE instance_id = :predecessor AND stage IS NULL",
        "UPDATE events SET instance_id = :instance_id WHERE instance_id = :predecessor AND stage IS NOT NULL",
        _STORED,
    ),
    _bug(
        "a continuation does not show what was done before in its first stage",
        CHAINS,
        "        if last.from_stage != stage:\n",
        "        if last.from_stage == stage:\n",
        _STORED,
    ),
)
