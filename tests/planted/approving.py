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
_BATCHES = "tests/contract/test_batch_approvals.py"
_PREVIEW = "src/headrace/usecases/batch_preview.py"


def _bug(name: str, change: Change, *, tests: tuple[str, ...]) -> Bug:
    return Bug(name, (change,), tests)


APPROVING: tuple[Bug, ...] = (
    _bug(
        "the person that started a run approves it",
        Change(_USE_CASE, "found.union(await journal.case_requesters([instance_id]))", "found"),
        tests=(_TESTS,),
    ),
    _bug(
        "the person that started an earlier instance of the case approves it",
        Change(
            _SQLITE, "    UNION SELECT s.predecessor FROM successors AS s JOIN cases AS c ON s.successor = c.id),", "),"
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
        Change(
            _SQLITE,
            "coalesce((SELECT o.trigger_id FROM occurrences AS o WHERE o.instance_id = c.id), c.id)",
            "c.id",
        ),
        tests=(_TESTS,),
    ),
    _bug(
        "a person that sends an event counts as one that has asked",
        Change(
            "src/headrace/journal/sqlite/queries.sql",
            "JOIN audit AS a ON a.target = t.target WHERE a.operation IN (",
            "JOIN audit AS a ON a.target = t.target WHERE '' NOT IN (",
        ),
        tests=(_SUITE, _TESTS),
    ),
    _bug(
        "the persons that made and started a batch are unknown",
        Change(
            "src/headrace/journal/sqlite/queries.sql",
            "    UNION ALL SELECT c.id, t.batch_id FROM cases AS c JOIN batch_items AS t ON t.made_id = c.id),",
            "),",
        ),
        tests=(_SUITE, _TESTS),
    ),
    _bug(
        "a batch over a rule starts without approvals",
        Change("src/headrace/usecases/batches.py", "    if asked.approvals and row.state == READY:", "    if False:"),
        tests=(_BATCHES,),
    ),
    _bug(
        "a rule counts each item of a batch by itself",
        Change(_PREVIEW, "stricter(rules.asking_for(self.sums), self.strictest)", "self.strictest"),
        tests=(_BATCHES,),
    ),
    _bug(
        "the persons that started the runs of a batch approve its redrive",
        Change(
            "src/headrace/usecases/batch_approvals.py",
            "            found.update(await ports.journal.case_requesters(ids))\n",
            "            pass\n",
        ),
        tests=(_BATCHES,),
    ),
    _bug(
        "an item of an approved batch asks again after a restart",
        Change(
            "src/headrace/usecases/batch_items.py",
            "return [*guards, stored_plan(plan), *given]",
            "return [*guards, stored_plan(plan)]",
        ),
        tests=(_BATCHES,),
    ),
    _bug(
        "an undo over a rule starts without approvals",
        Change("src/headrace/usecases/undoing.py", "approvals < rule.approvals", "approvals < 0"),
        tests=(_BATCHES,),
    ),
    _bug(
        "a batch starts under other rules than those of its preview",
        Change(
            "src/headrace/usecases/batches.py",
            "    if asked.rules != ports.runners.policy.approval_rules.hash:",
            "    if False:",
        ),
        tests=(_BATCHES,),
    ),
    _bug(
        "an unknown requester is no person",
        Change(_USE_CASE, '    if not requesters.isdisjoint((None, "", ANONYMOUS)):', "    if False:"),
        tests=(_TESTS,),
    ),
    _bug(
        "a plan is approved by another hash",
        Change(_USE_CASE, "    if signed != plan.hash:", "    if False:"),
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
        Change(_RULES, "range(number + 1) if", "range(number, number + 1) if"),
        tests=(_TESTS,),
    ),
    _bug(
        "the approvals of the rest are for one send",
        Change(
            "src/headrace/runner/instance.py",
            "        self.pin, self.approvals = pin_of(plan.document), approvals\n",
            "        self.pin, self.approvals = pin_of(plan.document), 0\n",
        ),
        tests=("tests/contract/test_approvals_of_sums.py",),
    ),
    _bug(
        "a rule is passed by any approval",
        Change(_GATE, "approvals >= rule.approvals", "approvals"),
        tests=(_TESTS,),
    ),
    _bug(
        "a send that a rule names waits without end",
        Change(
            _GATE,
            "OpenedGate(gate, None if rule.expires_us is None else opened_at + rule.expires_us)",
            "OpenedGate(gate, None)",
        ),
        tests=("tests/contract/test_expiring_rules.py",),
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
