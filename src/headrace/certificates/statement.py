"""The whole check of a case, to the payload that is signed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from headrace.certificates.approvals import refuse_two_eyes
from headrace.certificates.books import Entry, find
from headrace.certificates.case import Case, RecordedInstance, refuse_open
from headrace.certificates.conservation import balance
from headrace.certificates.replay import replay
from headrace.certificates.undoing import check_undo, undo_state
from headrace.effects.wire import stored
from headrace.planning.canonical import sha
from headrace.planning.questions import Answer, Question
from headrace.workflows.activities import CreateTransferInitiation, Json
from headrace.workflows.durations import moment_text
from headrace.workflows.interpreter import CANCELED

FORMAT = "headrace-certificate/1"
WHEN_CHECKED = ("checkedAt", "release", "names")
"""Members of a payload that are of its check, not of its case."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """The signer: the identity of the journal and the release of the server. `checked_at`: in microseconds.

    `name_of`: the name by which the server knows a principal; empty where it knows none.
    """

    journal: str
    release: str
    checked_at: int
    name_of: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class Certified:
    """The payload of the certificate of a case, and what the certificate of its period needs besides.

    `ingested`: as that of a Balance. `booked`: ledger and id of each transaction.
    """

    payload: Json
    ingested: dict[tuple[str, int], tuple[str, int]]
    booked: frozenset[tuple[str, int]]


def certify(case: Case, issuer: Issuer) -> Generator[Question, Answer, Json]:
    """The payload of the certificate of a case. Raises as `certified` does."""
    return (yield from certified(case, issuer)).payload


def certified(case: Case, issuer: Issuer) -> Generator[Question, Answer, Certified]:
    """Check a case against its definition and the books, and return the payload of its certificate.

    Raises NotCertifiable, which names the reason, and Silent where a service does not answer.
    """
    refuse_open(case)
    refuse_two_eyes(case.instances)
    root_id = case.root.id
    stages = replay(case.last, root_id, case.instances)
    undoing = replay(case.undo[-1], case.undo[0].id, case.instances) if case.undo else []
    finding = yield from find([*stages, *undoing], root_id)
    own = [entry for entry in finding.entries if entry.effect.key.startswith(f"headrace:{root_id}:")]
    if case.undo:
        check_undo(case, own, finding.entries)
    conserved = balance(stages, own, has_undo=bool(case.undo))
    exceptions = [
        *conserved.exceptions,
        *(
            {"kind": "overwritten", "key": entry.effect.key}
            for entry in finding.entries
            if entry.standing == "overwritten"
        ),
        *({"kind": "not_excluded", **each} for each in finding.not_excluded),
        *({"kind": "kept", "key": each.key, "why": each.reason} for each in case.kept),
    ]
    payload: Json = {
        "format": FORMAT,
        "kind": "case",
        "journal": issuer.journal,
        "case": root_id,
        "instances": [_instance(instance) for instance in case.instances],
        **({"undo": {"instance": case.undo[-1].id, "state": undo_state(case)}} if case.undo else {}),
        "effects": [_effect(entry) for entry in finding.entries],
        "assets": {asset: conserved.totals[asset].shown() for asset in sorted(conserved.totals)},
        "exceptions": exceptions,
        "checkedAt": checked_text(issuer.checked_at),
        "release": issuer.release,
    }
    names = {each: name for each in _principals(case) if (name := issuer.name_of(each))}
    if names:
        payload["names"] = names
    booked = {(entry.ledger, each) for entry in finding.entries if (each := entry.transaction_id) is not None}
    return Certified(payload, conserved.ingested, frozenset(booked))


def _principals(case: Case) -> list[str]:
    """Everyone who has started, asked for or decided about something of a case, in the order of their ids."""
    found: set[str] = set()
    for instance in case.instances:
        found |= {instance.started_by, *(each.principal for each in instance.requesters)}
        found |= {each["principal"] for each in instance.decisions}
        found |= {each.principal for plan in instance.plans for each in plan.decisions}
    return sorted(found)


def statement_sha(payload: Json) -> str:
    """The hash of what a certificate of a case states: all but when, and by which release, it was checked."""
    return sha({name: value for name, value in payload.items() if name not in WHEN_CHECKED})


def checked_text(at: int) -> str:
    """A moment with all six digits of its fraction, so that texts compare as moments do."""
    text = moment_text(at)
    return text if "." in text else f"{text[:-1]}.000000Z"


def _instance(instance: RecordedInstance) -> Json:
    found: Json = {
        "id": instance.id,
        "kind": instance.kind,
        "workflow": instance.workflow_id,
        "outcome": _outcome(instance),
        "definition": sha(instance.definition),
        "variables": sha(instance.variables),
        "startedBy": instance.started_by,
        "requestedBy": sorted({each.principal for each in instance.requesters}),
        "startedAt": moment_text(instance.started_at),
        "decisions": instance.decisions,
    }
    if instance.reason:
        found["reason"] = instance.reason
    if instance.error is not None:
        found["error"] = instance.error
    if instance.ended_at is not None:
        found["endedAt"] = moment_text(instance.ended_at)
    if instance.plan_id is not None:
        found["plan"] = instance.plan_id
    if instance.plans:
        found["approvals"] = instance.approvals
    return found


def _outcome(instance: RecordedInstance) -> str:
    if instance.error is None:
        return "succeeded"
    return "canceled" if instance.error == CANCELED else "failed"


def _effect(entry: Entry) -> Json:
    effect, sent = entry.effect, entry.effect.activity
    payee: Json = {}
    if isinstance(sent, CreateTransferInitiation):  # its body is a hash, and no posting names who is paid
        payee["pays"] = {
            "provider": sent.provider,
            "destination": sent.destination,
            "amount": sent.amount,
            "asset": sent.asset,
        }
    return {
        "key": effect.key,
        "instance": effect.instance_id,
        "stage": effect.stage,
        "ordinal": effect.ordinal,
        "activity": effect.activity.name,
        "state": effect.state,
        "request": {
            "service": effect.request.service,
            "method": effect.request.method,
            "path": effect.request.path,
            "body": sha(stored(effect.request)),
            **payee,
        },
        "books": entry.shown(),
    }
