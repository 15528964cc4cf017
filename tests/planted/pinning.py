"""Bugs of failures and of pinned runs: a run does what nobody signed, or says the wrong thing of its end."""

from __future__ import annotations

from tests.planted.bugs import Bug, Change

RUNNER = "src/headrace/runner/instance.py"
PIN = "src/headrace/runner/pin.py"
SETTLEMENT = "src/headrace/effects/settlement.py"
QUERIES = "src/headrace/journal/sqlite/queries.sql"
_PINNED = "tests/planning/test_pinned_runs.py"
_RUNS = "tests/contract/test_plan_runs.py"
_FAILURES = "tests/contract/test_failures.py"
_JOURNAL = "tests/contract/test_journal.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


PINNING: tuple[Bug, ...] = (
    Bug(
        "an effect is compared with its plan after its intent is stored",
        (
            Change(
                RUNNER,
                "        if deviation is not None:\n"
                "            stage.leave_plan(deviation)\n"
                "            return False\n",
                "",
            ),
            Change(
                RUNNER,
                "            self._store_activity(unit, self.open, attempt=int(sends))\n        return True\n",
                "            self._store_activity(unit, self.open, attempt=int(sends))\n"
                "        if deviation is not None:\n"
                "            self.open = None\n"
                "            stage.leave_plan(deviation)\n"
                "            return False\n"
                "        return True\n",
            ),
        ),
        (_PINNED, _RUNS),
    ),
    _bug(
        "an effect is compared with its plan without its path",
        PIN,
        "{name: each[name] for name in COMMITTED}",
        '{name: each[name] for name in COMMITTED if name != "path"} | {"path": ""}',
        _PINNED,
    ),
    _bug(
        "the path of an effect is not compared",
        PIN,
        '        difference = next(_differences(found, signed, ""), None)\n',
        '        difference = next(_differences(found | {"path": signed["path"]}, signed, ""), None)\n',
        _PINNED,
    ),
    _bug(
        "true and 1 are the same in a plan",
        PIN,
        "type(found) is not type(signed) or found != signed",
        "found != signed",
        _PINNED,
    ),
    _bug(
        "an effect is compared with what was signed for any place",
        PIN,
        "        signed = self._effects.get((stage, ordinal))\n",
        "        own = commitment_of(effect, stage, ordinal, schemas).shown()\n"
        "        place = {name: own[name] for name in ('stage', 'ordinal')}\n"
        "        same = next((each for each in self._effects.values() if {**each, **place} == own), None)\n"
        "        signed = self._effects.get((stage, ordinal)) if same is None else own\n",
        _PINNED,
    ),
    _bug(
        "what an undo reverts is not compared",
        PIN,
        "        if signed is None:\n            return f",
        '        if signed is not None and effect.name in ("RevertTransaction", "RejectTransferInitiation"):\n'
        "            return None\n"
        "        if signed is None:\n            return f",
        _PINNED,
    ),
    _bug(
        "what an undo asks a provider to reverse is not compared",
        PIN,
        "        if signed is None:\n            return f",
        '        if signed is not None and effect.name == "ReverseTransferInitiation":\n'
        "            return None\n"
        "        if signed is None:\n            return f",
        _PINNED,
    ),
    _bug(
        "an effect that was not signed is done",
        PIN,
        '            return f"{place}: {effect.name} is not signed"\n',
        "            return None\n",
        _PINNED,
    ),
    _bug(
        "a stage may leave out what was signed",
        RUNNER,
        "            stage.leave_plan(left)\n",
        "            pass\n",
        _PINNED,
    ),
    _bug(
        "a plan is kept in memory only",
        "src/headrace/runner/recovery.py",
        "        runner.pin, runner.approvals = pin_of(standing.plan), standing.approvals\n",
        "        pass\n",
        _RUNS,
    ),
    _bug(
        "a plan starts a second instance",
        QUERIES,
        "WHERE id = :plan_id AND state IN ('open', 'approved') AND instance_id IS NULL AND expires_at > :at",
        "WHERE id = :plan_id AND expires_at > :at",
        _JOURNAL,
        _RUNS,
    ),
    _bug(
        "an expired plan starts an instance",
        QUERIES,
        "AND instance_id IS NULL AND expires_at > :at",
        "AND instance_id IS NULL AND expires_at > :at - 1",
        _JOURNAL,
    ),
    _bug(
        "a plan of a redrive starts a run with keys of its own",
        "src/headrace/usecases/plan_runs.py",
        "    if about.redrive is not None:  #",
        "    if False:  #",
        "tests/api/test_plan_runs.py",
    ),
    _bug(
        "a plan that expired before its commit is revived by a clock that is set back",
        "src/headrace/usecases/plan_runs.py",
        "        await require_usable(ports, await read_plan(ports, plan_id), lost.at)\n",
        "        await require_usable(ports, await read_plan(ports, plan_id))\n",
        _RUNS,
    ),
)
