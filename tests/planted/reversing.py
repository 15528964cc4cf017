"""Bugs of undoing a case and of decisions by a person: each would move money that must stay, or twice."""

from __future__ import annotations

from tests.planted.bugs import RUNNER, SQL, Bug, Change

UNDO = "src/headrace/workflows/undo.py"
RESOLVE = "src/headrace/usecases/resolve.py"
APPROVALS = "src/headrace/usecases/approvals.py"
_KILLS = "tests/contract/test_resolve_kills.py"
_SAGAS = "tests/contract/test_sagas.py"
_UNDO = "tests/contract/test_undo_instance.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


REVERSING: tuple[Bug, ...] = (
    # undo
    _bug(
        "an undo reverts the first effect first",
        UNDO,
        "for effect in reversed(case.effects):",
        "for effect in case.effects:",
        "tests/undo/test_undo.py",
    ),
    _bug(
        "an undo reverts the ingestion of a payment",
        UNDO,
        'if effect.input["data"]["reference"].startswith(INGESTION_PREFIX):',
        "if False:",
        "tests/undo/test_undo.py",
    ),
    Bug(
        "an undo returns what funded a paid payout",
        (
            Change(UNDO, 'if funded is not None and status == "PROCESSED" and self._external == "keep":', "if False:"),
            Change(UNDO, "if funded is not None and not is_certain:", "if False:"),
        ),
        ("tests/undo/test_undo.py",),
    ),
    _bug(
        "an undo trusts a status of a payout that may change",
        UNDO,
        "if funded is not None and not is_certain:",
        "if False:",
        "tests/undo/test_undo.py",
    ),
    _bug(
        "an undo never forces a revert",
        UNDO,
        'given["force"] = True',
        'given["force"] = False',
        "tests/undo/test_undo.py",
    ),
    Bug(
        "an abort that is not settled is undone",
        (
            Change("src/headrace/usecases/undoing.py", "    if not standing.is_over:\n", "    if False:\n"),
            Change(
                SQL,
                " AND NOT EXISTS (SELECT 1 FROM activities WHERE instance_id = :predecessor"
                " AND terminated_at IS NULL)\nON CONFLICT DO NOTHING",
                "\nON CONFLICT DO NOTHING",
            ),
        ),
        (_UNDO,),
    ),
    _bug(
        "an undo reverts what is not proven",
        "src/headrace/engine/cases.py",
        "        if row.key and is_done(row)\n",
        "        if row.key and row.terminated_at is not None\n",
        _UNDO,
    ),
    _bug(
        "an effect without an entry is found when a case is undone",
        UNDO,
        'check_complete(EFFECTS, effect_names(), "undo", "to EFFECTS of headrace.workflows.undo")\n',
        "",
        "tests/unit/workflows/test_activities.py",
    ),
    _bug(
        "a definition may hold a computed stage",
        "src/headrace/workflows/config.py",
        "from headrace.workflows.stages import STAGES\n",
        "from headrace.workflows.stages import RUN as STAGES\n",
        "tests/undo/test_undo.py",
    ),
    _bug(
        "a payout that is paid after all is not listed as kept",
        "src/headrace/usecases/undo.py",
        'found |= {payout: "the payout is paid", reverted_key(stage): why}',
        "found[reverted_key(stage)] = why",
        "tests/undo/test_undo.py",
    ),
    # decisions of persons
    _bug(
        "the decision about an aborted instance is stored before its effect is closed",
        RESOLVE,
        "        try:\n            await ports.journal.commit(unit)\n",
        "        first = [each for each in unit if getattr(each, 'write', None) is decided] if had_ended else []\n"
        "        if first:\n"
        "            await ports.journal.commit(type(unit)(first))\n"
        "        unit = type(unit)(each for each in unit if each not in first)\n"
        "        try:\n            await ports.journal.commit(unit)\n",
        _KILLS,
    ),
    _bug(
        "a payout of other content is called not booked",
        RESOLVE,
        "        case FoundOther(message):\n",
        '        case FoundOther(message) if row.name != "CreateTransferInitiation":\n',
        _KILLS,
    ),
    _bug(
        "a decision is stored about an effect that needs none",
        "src/headrace/journal/sqlite/queries.sql",
        "AND position = :position AND needs_attention = 1 AND terminated_at IS NULL\n) ON CONFLICT",
        "AND position = :position\n) ON CONFLICT",
        "tests/contract/test_journal.py",
    ),
    _bug(
        "what a person calls not booked is sent again",
        RUNNER,
        "                self._close_activity(unit, now_at, None, UNBOOKED)\n"
        "                self.stage.refuse(UNBOOKED, NOT_BOOKED)\n",
        "                assert self.open is not None\n                self.open.needs_attention = False\n",
        "tests/contract/test_resolve.py",
    ),
    _bug(
        "the effect after a resolved one is not due",
        RUNNER,
        "        if self.ended_at is None:  # an effect that needs",
        "        if self.ended_at is not None:  # an effect that needs",
        "tests/contract/test_resolve.py",
    ),
    _bug(
        "what a person names as proof is not compared",
        "src/headrace/effects/evidence.py",
        '    if not ledger.is_booked_as_asked(body, transaction["postings"]):\n',
        "    if False:\n",
        "tests/contract/test_resolve.py",
    ),
    _bug(
        "a booking proves two effects",
        "src/headrace/usecases/resolve.py",
        "            return _Proven(read, None if is_shared else evidence.proof)\n",
        "            return _Proven(read, None)\n",
        "tests/contract/test_resolve.py",
    ),
    # the undo of a run that fails
    _bug(
        "the undo of a failing run is not stored",
        "src/headrace/engine/sagas.py",
        "    unit.extend(start.unit)\n",
        "    unit = Unit(start.unit)\n",
        _SAGAS,
    ),
    _bug(
        "a run whose reference is taken is undone",
        "src/headrace/workflows/failures.py",
        'frozenset({"canceled", "conflict", "unclassified"})',
        'frozenset({"canceled", "unclassified"})',
        _SAGAS,
    ),
    _bug(
        "what is done in the commit of the end is not undone",
        "src/headrace/engine/sagas.py",
        "            case writes.CloseActivity():\n",
        "            case writes.CloseActivity() if False:\n",
        _SAGAS,
    ),
    _bug(
        "an undo that a failing run has begun waits for a restart",
        "src/headrace/engine/driver.py",
        "                self._begun(undo.id)\n",
        "                pass\n",
        _SAGAS,
    ),
    _bug(
        "what a person calls not booked is not undone",
        "src/headrace/usecases/resolve.py",
        "        undo = await add_undo(ports.journal, ports.runners, runner, unit)\n",
        "        undo = None\n",
        _SAGAS,
    ),
    _bug(
        "the end by a rejection begins no undo",
        APPROVALS,
        "            undo = await add_undo(ports.journal, ports.runners, runner, unit)\n",
        "            undo = None\n"
        "            if decision.verdict != REJECT:\n"
        "                undo = await add_undo(ports.journal, ports.runners, runner, unit)\n",
        _SAGAS,
    ),
    _bug(
        "an approval that comes too late begins no undo",
        APPROVALS,
        "            undo = await add_undo(ports.journal, ports.runners, runner, unit)\n",
        "            undo = None\n"
        "            if decided is not None:\n"
        "                undo = await add_undo(ports.journal, ports.runners, runner, unit)\n",
        _SAGAS,
    ),
    _bug(
        "a run whose event has not come is not undone",
        "src/headrace/workflows/failures.py",
        'frozenset({"canceled", "conflict", "unclassified"})',
        'frozenset({"canceled", "conflict", "timeout", "unclassified"})',
        _SAGAS,
    ),
    _bug(
        "a restart forgets that a failure is undone",
        "src/headrace/runner/recovery.py",
        "        definition,\n",
        "        Definition(definition.stages),\n",
        _SAGAS,
    ),
)
