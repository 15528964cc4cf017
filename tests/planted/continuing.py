"""Bugs of the continuation of a case that has failed."""

from __future__ import annotations

from tests.planted.bugs import RUNNER, SQL, Bug, Change

RUNNERS = "src/headrace/runner/runners.py"
INHERITANCE = "src/headrace/runner/inheritance.py"
EARLIER = "src/headrace/effects/earlier.py"
REDRIVE = "src/headrace/usecases/redrive.py"
CHAINS = "src/headrace/journal/chains.py"
_SUITE = "tests/contract/test_redrive.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


CONTINUING: tuple[Bug, ...] = (
    _bug(
        "a continuation has keys of its own",
        RUNNERS,
        "            root_id=root_id,\n            earlier=",
        "            root_id=None,\n            earlier=",
        _SUITE,
    ),
    _bug(
        "a continuation sends again what is done",
        RUNNER,
        "            if earlier.is_done:\n",
        "            if False:\n",
        _SUITE,
    ),
    _bug(
        "a continuation does not compare what it asks for with what was booked",
        EARLIER,
        "        if not self.is_done and not self.may_arrive:\n",
        "        if not self.may_arrive:\n",
        _SUITE,
    ),
    _bug(
        "a continuation sends other content while an attempt may still arrive",
        INHERITANCE,
        "    return row.attempt > 1 or row.last_failure is not None or row.error == CANCELED\n",
        "    return False\n",
        _SUITE,
    ),
    _bug(
        "an instance may have two successors",
        REDRIVE,
        "    unit.insert(0, Required(decided, partial(has_successor, before.id)))\n",
        "    unit.insert(0, decided)\n",
        _SUITE,
    ),
    _bug(
        "the unused events of an instance stay with it",
        SQL,
        "UPDATE events SET instance_id = :instance_id WHERE instance_id = :predecessor AND stage IS NULL",
        "UPDATE events SET instance_id = :instance_id WHERE instance_id = :predecessor AND stage IS NOT NULL",
        _SUITE,
    ),
    _bug(
        "an instance with an open effect may have a successor",
        SQL,
        ") AND NOT EXISTS (SELECT 1 FROM activities WHERE instance_id = :predecessor AND terminated_at IS NULL)",
        ")",
        "tests/contract/test_journal.py",
    ),
    _bug(
        "the history of a continuation lacks what was done before in its first stage",
        CHAINS,
        "        if last.from_stage != stage:\n",
        "        if last.from_stage == stage:\n",
        _SUITE,
    ),
)
