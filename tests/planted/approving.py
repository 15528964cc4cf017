"""Bugs of approvals: what is decided, by which persons, and what it lets go on."""

from __future__ import annotations

from tests.planted.bugs import Bug, Change

_USE_CASE = "src/headrace/usecases/approvals.py"
_RUNNER = "src/headrace/runner/instance.py"
_GATE = "src/headrace/runner/gate.py"
_RULES = "src/headrace/workflows/approval_rules.py"
_SQLITE = "src/headrace/journal/sqlite/queries.sql"
_TESTS = "tests/contract/test_approvals.py"
_SUITE = "tests/contract/test_journal.py"


def _bug(name: str, change: Change, *, tests: tuple[str, ...]) -> Bug:
    return Bug(name, (change,), tests)


APPROVING: tuple[Bug, ...] = (
    _bug(
        "the person that started a run approves it",
        Change(_USE_CASE, "        found |= await _made_by(journal, trigger_id or instance_id)\n", ""),
        tests=(_TESTS,),
    ),
    _bug(
        "the person that started an earlier instance of the case approves it",
        Change(
            _USE_CASE,
            "        instance_id = None if step is None else step.predecessor\n",
            "        instance_id = None\n",
        ),
        tests=(_TESTS,),
    ),
    _bug(
        "the person that made a plan approves it",
        Change(_USE_CASE, "        found.add(plan.requester)\n", "        pass\n"),
        tests=(_TESTS,),
    ),
    _bug(
        "the person that created the trigger approves its runs",
        Change(_USE_CASE, "_made_by(journal, trigger_id or instance_id)", "_made_by(journal, instance_id) - {None}"),
        tests=(_TESTS,),
    ),
    _bug(
        "a person that sends an event counts as one that has asked",
        Change(
            "src/headrace/journal/sqlite/queries.sql",
            "made_id = :target) AND operation IN (",
            "made_id = :target) AND '' NOT IN (",
        ),
        tests=(_SUITE, _TESTS),
    ),
    _bug(
        "the persons that made and started a batch are unknown",
        Change(
            "src/headrace/journal/sqlite/queries.sql",
            " UNION SELECT batch_id FROM batch_items WHERE made_id = :target)",
            ")",
        ),
        tests=(_SUITE, _TESTS),
    ),
    _bug(
        "an unknown requester is no person",
        Change(_USE_CASE, '    if not requesters.isdisjoint((None, "", ANONYMOUS)):', "    if False:"),
        tests=(_TESTS,),
    ),
    _bug(
        "a plan is approved by another hash",
        Change(_USE_CASE, '    if members["hash"] != plan.hash:', "    if False:"),
        tests=(_TESTS,),
    ),
    _bug(
        "one person counts twice",
        Change(
            _USE_CASE,
            "    elif approvals_in(given) >= needed.approvals:",
            "    elif approvals_in(given) + 1 >= needed.approvals:",
        ),
        tests=(_TESTS,),
    ),
    _bug(
        "decisions about a waiting instance do not raise its version",
        Change(_USE_CASE, "        unit = runner.stay_at_gate()\n", "        unit = Unit(runner.stay_at_gate()[1:])\n"),
        tests=(_TESTS,),
    ),
    _bug(
        "a late approval counts",
        Change(
            _USE_CASE,
            "    if runner.deadline_at is not None and runner.deadline_at <= decision.at:\n",
            "    if False:\n",
        ),
        tests=(_TESTS,),
    ),
    _bug(
        "what was approved does not bind the instance",
        Change(_RUNNER, ", PinInstance(instance_id=self.id, plan_id=plan.id)]", "]"),
        tests=(_TESTS,),
    ),
    _bug(
        "time approves",
        Change(
            _RUNNER,
            "                self._deny(EXPIRED_TEXT, EXPIRED)\n",
            "                self.gate = self.deadline_at = None\n",
        ),
        tests=(_TESTS,),
    ),
    _bug(
        "a gate is forgotten at a restart",
        Change(
            "src/headrace/runner/recovery.py",
            "        runner.gate, runner.deadline_at = read_gate(stage.gate), stage.deadline_at\n",
            "        pass\n",
        ),
        tests=(_TESTS,),
    ),
    _bug(
        "a rule asks from its limit on, not above it",
        Change(_RULES, "if total > rule.over)", "if total >= rule.over)"),
        tests=(_TESTS,),
    ),
    _bug(
        "a rule looks at one send, not at the sum of the case",
        Change(_RULES, "for stage in stages[: number + 1])", "for stage in stages[number : number + 1])"),
        tests=(_TESTS,),
    ),
    _bug(
        "a rule is passed by any approval",
        Change(_GATE, "approvals >= rule.approvals", "approvals"),
        tests=(_TESTS,),
    ),
    _bug(
        "a rejected plan is run",
        Change(
            _SQLITE,
            "UPDATE plans SET state = 'rejected' WHERE id = :plan_id",
            "UPDATE plans SET state = state WHERE id = :plan_id",
        ),
        tests=(_SUITE, _TESTS),
    ),
    _bug(
        "a person decides a second time",
        Change(
            _SQLITE,
            "= :target AND state IN ('open', 'approved') AND expires_at > :at)\nON CONFLICT DO NOTHING",
            "= :target AND state IN ('open', 'approved') AND expires_at > :at)\n"
            "ON CONFLICT DO UPDATE SET verdict = excluded.verdict",
        ),
        tests=(_SUITE,),
    ),
)
