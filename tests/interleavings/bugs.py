"""Bugs that lives by chance must find: for each of the oracles, one that breaks what it watches.

`python -m tests.interleavings.planted` plants them; what it found is in `planted_bugs.md`. Each names the oracle that
must find it, by the first word of what that says: another one may notice a consequence sooner.

Some bugs of approvals no life can find, because lives have nothing that they are about: triggers (their creator
approves), variables, two spellings of one principal, and sums that are exactly the limit of the rule (it asks from its
limit on, which is stricter and breaks no invariant). `tests/planted/approving.py` has those.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.planted.bugs import RUNNER, SQL, Bug, Change

_APPROVALS = "src/headrace/usecases/approvals.py"
_UNDO = "src/headrace/workflows/undo.py"
_SUITE = "tests/interleavings/test_interleavings.py"


@dataclass(frozen=True, slots=True)
class LivesBug(Bug):
    """`oracle`: the one that must find it. `lives`: which lives meet it."""

    oracle: str
    lives: str


def _bug(oracle: str, name: str, file: str, find: str, put: str, lives: str = "interleavings") -> LivesBug:
    return LivesBug(name, (Change(file, find, put),), (_SUITE,), oracle, lives)


LIVES_BUGS: tuple[LivesBug, ...] = (
    _bug(
        "MS-1",
        "a plan sends a write",
        "src/headrace/usecases/asking.py",
        "                    response = await services.send(question.request)\n",
        "                    request = question.request\n"
        '                    await services.send(type(request)(request.service, "POST", request.path, b"{}"))\n'
        "                    response = await services.send(request)\n",
    ),
    _bug(
        "MS-2",
        "an effect is not compared with the plan",
        RUNNER,
        "                deviation = self.pin.deviation(activity, stage.number, stage.ordinal, schemas)\n",
        "                deviation = None\n",
    ),
    _bug(
        "MS-3",
        "a plan is used twice",
        SQL,
        "WHERE id = :plan_id AND state IN ('open', 'approved') AND instance_id IS NULL AND expires_at > :at\n\n"
        "-- Store that",
        "WHERE id = :plan_id AND expires_at > :at\n\n-- Store that",
    ),
    _bug(
        "MS-4",
        "one approval counts as two",
        _APPROVALS,
        "    elif approvals_in(given) >= needed.approvals:",
        "    elif approvals_in(given) * 2 >= needed.approvals:",
    ),
    _bug(
        "MS-4",
        "a requester approves",
        _APPROVALS,
        "    if principal in requesters:\n",
        "    if principal in requesters - {principal}:\n",
    ),
    _bug(
        "MS-4",
        "the end of a gate's time lets the run go on",
        RUNNER,
        "                self._deny(EXPIRED_TEXT, EXPIRED)\n",
        "                self.gate = self.deadline_at = None  # time approves\n",
    ),
    _bug(
        "MS-4",
        "the person that started an earlier instance of the case approves",
        SQL,
        "    UNION SELECT s.predecessor FROM successors AS s JOIN cases AS c ON s.successor = c.id),",
        "),",
    ),
    _bug("MS-4", "a plan is approved by another hash", _APPROVALS, "    if signed != plan.hash:", "    if False:"),
    _bug(
        "MS-4",
        "a late approval counts",
        _APPROVALS,
        "    if runner.deadline_at is not None and runner.deadline_at <= decision.at:\n",
        "    if False:\n",
    ),
    _bug(
        "S2",
        "decisions about a waiting instance do not raise its version",
        _APPROVALS,
        "        unit = runner.stay_at_gate()\n",
        "        unit = Unit(runner.stay_at_gate()[1:])\n",
    ),
    _bug(
        "S8",
        "a wait ends though its event has come",
        SQL,
        "AND name = :name AND (stage IS NULL OR stage = :number))\n",
        "AND name = :name AND stage < 0)\n",
        lives="waits",
    ),
    _bug(
        "S8",
        "a wait ends whatever is in the mailbox",
        RUNNER,
        "        unit.add(Required(ended, partial(Conflict, self.id)))\n        self.stage.time_out",
        "        unit.add(ended)\n        self.stage.time_out",
        lives="waits",
    ),
    _bug(
        "S8",
        "a stage that is skipped is shown as skipped, and carried out",
        "src/headrace/workflows/interpreter.py",
        "        if verdict.skips or verdict.error is not None:\n",
        "        if verdict.error is not None:\n",
    ),
    _bug(
        "MS-5",
        "a continuation has keys of its own",
        "src/headrace/runner/runners.py",
        "            root_id=root_id,\n            earlier=",
        "            root_id='',\n            earlier=",
    ),
    _bug(
        "MS-5",
        "each send from a payment books that again",
        "src/headrace/workflows/activities.py",
        "        if self.payment_id is None:\n            return key\n",
        "        return key\n",
    ),
    _bug(
        "MS-6",
        "an instance has two successors",
        SQL,
        "AND terminated_at IS NULL)\nON CONFLICT DO NOTHING\n\n-- Move unused events",
        "AND terminated_at IS NULL)\nON CONFLICT (predecessor) DO UPDATE SET successor = excluded.successor\n\n"
        "-- Move unused events",
    ),
    _bug(
        "MS-6",
        "a continuation sends what is done",
        RUNNER,
        "        if earlier is not None and earlier.is_done:\n",
        "        if earlier is not None and earlier.is_done and stage.number < 0:\n",
    ),
    _bug(
        "MS-7",
        "an undo leaves the first effect",
        _UNDO,
        "    for effect in reversed(case.effects):\n",
        "    for effect in reversed(case.effects[1:] or case.effects):\n",
    ),
    _bug(
        "MS-7",
        "the funding of a paid payout is reverted",
        _UNDO,
        "        funded = payout if payout is not None and effect.ordinal < payout.ordinal else None\n",
        "        funded = None\n",
    ),
    LivesBug(
        "an undo reverts the ingestion of a payment",
        (
            Change(_UNDO, 'if effect.input["data"]["reference"].startswith(INGESTION_PREFIX):', "if False:"),
            Change(
                _UNDO,
                'given = {"id": data["id"], "ledger": ledger, "reference": effect.key}',
                'given = {"id": data["id"], "ledger": ledger, "reference": data["reference"]}',
            ),
        ),
        (_SUITE,),
        "MS-7",
        "interleavings",
    ),
    _bug(
        "S7",
        "the end by a rejection begins no undo",
        _APPROVALS,
        "            undo = await add_undo(ports.journal, ports.runners, runner, unit)\n",
        "            undo = None\n"
        "            if decision.verdict != REJECT:\n"
        "                undo = await add_undo(ports.journal, ports.runners, runner, unit)\n",
    ),
    _bug(
        "S7",
        "the undo of a failing run is not stored",
        "src/headrace/engine/sagas.py",
        "    unit.extend(start.unit)\n",
        "    return None\n",
    ),
    _bug(
        "MS-9",
        "a person's word is not stored",
        "src/headrace/usecases/resolve.py",
        "        unit = runner.resolve(proven.outcome, Required(decided, partial(_Taken, row.id)))\n",
        "        unit = runner.record(proven.outcome, sends=False)\n",
    ),
    _bug(
        "MS-6",
        "a batch that is paused starts items",
        SQL,
        "UPDATE batches SET open = open + 1 WHERE id = :batch_id AND state = 'running' AND open < max_open",
        "UPDATE batches SET open = open + 1 WHERE id = :batch_id AND open < max_open AND state <> 'done'",
    ),
    _bug(
        "MS-10",
        "V1 shows an error with the kind of its failure",
        "src/headrace/api/v1/views.py",
        "        error=UNSET if row.error is None else row.error,\n",
        "        error=UNSET if row.error is None else f'{row.failure}: {row.error}',\n",
    ),
    _bug(
        "MS-10",
        "what is settled after an abort moves the time of its end",
        SQL,
        "UPDATE instances SET next_at = :next_at WHERE id = :instance_id\n",
        "UPDATE instances SET next_at = :next_at, updated_at = updated_at + 1 WHERE id = :instance_id\n",
    ),
)
