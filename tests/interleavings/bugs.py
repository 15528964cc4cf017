"""Bugs that lives by chance must find: for each of the oracles, one that breaks what it watches.

`python -m tests.interleavings.planted` plants them; what it found is in `planted_bugs.md`.
"""

from __future__ import annotations

from tests.planted.bugs import RUNNER, SQL, Bug, Change

_APPROVALS = "src/headrace/usecases/approvals.py"


def _bug(name: str, file: str, find: str, put: str) -> Bug:
    return Bug(name, (Change(file, find, put),), ("tests/interleavings/test_interleavings.py",))


LIVES_BUGS: tuple[Bug, ...] = (
    _bug(
        "a plan sends a write",
        "src/headrace/usecases/asking.py",
        "                    response = await services.send(question.request)\n",
        "                    request = question.request\n"
        '                    await services.send(type(request)(request.service, "POST", request.path, b"{}"))\n'
        "                    response = await services.send(request)\n",
    ),
    _bug(
        "an effect is not compared with the plan",
        RUNNER,
        "                deviation = self.pin.deviation(activity, stage.number, stage.ordinal, schemas)\n",
        "                deviation = None\n",
    ),
    _bug(
        "a plan is used twice",
        SQL,
        "WHERE id = :plan_id AND state IN ('open', 'approved') AND instance_id IS NULL AND expires_at > :at\n\n"
        "-- Store that",
        "WHERE id = :plan_id AND expires_at > :at\n\n-- Store that",
    ),
    _bug(
        "one approval counts as two",
        _APPROVALS,
        "    elif approvals_in(given) >= needed.approvals:",
        "    elif approvals_in(given) * 2 >= needed.approvals:",
    ),
    _bug(
        "a requester approves",
        _APPROVALS,
        "    if principal in requesters:\n",
        "    if principal in requesters - {principal}:\n",
    ),
    _bug(
        "the end of a gate's time lets the run go on",
        RUNNER,
        "                self._deny(EXPIRED_TEXT, EXPIRED)\n",
        "                self.gate = self.deadline_at = None  # time approves\n",
    ),
    _bug(
        "a continuation has keys of its own",
        "src/headrace/runner/runners.py",
        "            root_id=root_id,\n            earlier=",
        "            root_id='',\n            earlier=",
    ),
    _bug(
        "an instance has two successors",
        SQL,
        "AND terminated_at IS NULL)\nON CONFLICT DO NOTHING\n\n-- Move unused events",
        "AND terminated_at IS NULL)\nON CONFLICT (predecessor) DO UPDATE SET successor = excluded.successor\n\n"
        "-- Move unused events",
    ),
    _bug(
        "a continuation sends what is done",
        RUNNER,
        "        if earlier is not None and earlier.is_done:\n",
        "        if earlier is not None and earlier.is_done and stage.number < 0:\n",
    ),
    _bug(
        "an undo leaves the first effect",
        "src/headrace/workflows/undo.py",
        "    for effect in reversed(case.effects):\n",
        "    for effect in reversed(case.effects[1:] or case.effects):\n",
    ),
    _bug(
        "the funding of a paid payout is reverted",
        "src/headrace/workflows/undo.py",
        "        funded = payout if payout is not None and effect.ordinal < payout.ordinal else None\n",
        "        funded = None\n",
    ),
    _bug(
        "a person's word is not stored",
        "src/headrace/usecases/resolve.py",
        "        unit = runner.resolve(proven.outcome, Required(decided, partial(_Taken, row.id)))\n",
        "        unit = runner.record(proven.outcome, sends=False)\n",
    ),
    _bug(
        "a batch that is paused starts items",
        SQL,
        "UPDATE batches SET open = open + 1 WHERE id = :batch_id AND state = 'running' AND open < max_open",
        "UPDATE batches SET open = open + 1 WHERE id = :batch_id AND open < max_open AND state <> 'done'",
    ),
    _bug(
        "V1 shows an error with the kind of its failure",
        "src/headrace/api/v1/views.py",
        "        error=UNSET if row.error is None else row.error,\n",
        "        error=UNSET if row.error is None else f'{row.failure}: {row.error}',\n",
    ),
    _bug(
        "what is settled after an abort moves the time of its end",
        SQL,
        "UPDATE instances SET next_at = :next_at WHERE id = :instance_id\n",
        "UPDATE instances SET next_at = :next_at, updated_at = updated_at + 1 WHERE id = :instance_id\n",
    ),
)
