"""What a continuation stores and sends, and what it does not, decided without a journal or a service."""

from __future__ import annotations

import itertools
import json
from typing import Any

from msgspec import structs

from headrace.effects.port import Done
from headrace.events.outbox import Outbox
from headrace.journal import writes
from headrace.journal.port import Unit
from headrace.journal.records import ActivityRow, Instance, Plan, Stage, Standing
from headrace.journal.successor_writes import AddContinuation
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners

Json = dict[str, Any]
STAGES: list[Json] = [
    {
        "send": {
            "source": {"account": {"id": "alice", "ledger": "main"}},
            "destination": {"account": {"id": "bob", "ledger": "other"}},
            "amount": {"asset": "USD/2", "amount": 100},
        }
    }
]
NO_FUNDS = "INSUFFICIENT_FUND: not enough"


def runners() -> Runners:
    ids = itertools.count(1)
    return Runners(lambda: 1_000_000, lambda: f"new{next(ids)}", Outbox().announce, Policy())


def failed(*rows: ActivityRow) -> Standing:
    """An instance of two legs whose last activity was refused."""
    instance = Instance(
        id="first",
        workflow_id="w",
        config=json.dumps({"stages": STAGES}),
        variables="{}",
        created_at=1,
        updated_at=9,
        terminated_at=9,
        error=NO_FUNDS,
        stages=(Stage("first", 0, "send", "{}", 1, 9, NO_FUNDS),),
        failure="refused",
    )
    return Standing(instance, rows, 1)


def leg(ordinal: int, error: str | None = None, *, amount: int = 100, **more: Any) -> ActivityRow:
    """The row of a leg of the movement."""
    ledger, source, destination = (("main", "alice", "world"), ("other", "world", "bob"))[ordinal]
    posting = {"source": source, "destination": destination, "amount": amount, "asset": "USD/2"}
    key = f"headrace:first:0:{ordinal}"
    body = {"metadata": {}, "postings": [posting], "reference": key}
    row = ActivityRow(
        instance_id="first",
        stage=0,
        position=ordinal,
        name="CreateTransaction",
        input="{}",
        started_at=2,
        key=key,
        request_method="POST",
        request_path=f"/v2/{ledger}/transactions",
        request_body=json.dumps(body, separators=(",", ":")).encode(),
        output=None if error else '{"data":{"id":7}}',
        error=error,
        terminated_at=3,
    )
    return structs.replace(row, **more)


def plan_of(*effects: ActivityRow, **changes: Any) -> Plan:
    """A plan of effects as these rows have sent them. `changes`: of the first posting of each."""
    signed: list[Json] = []
    for row in effects:
        ordinal = int(row.key.rpartition(":")[2])
        body: Json = json.loads(row.request_body or b"")
        body["reference"] = f"headrace:plan:0:{ordinal}"
        body["postings"][0] |= changes
        place = {"stage": 0, "ordinal": ordinal, "activity": row.name, "service": "ledger"}
        signed.append({**place, "method": "POST", "path": row.request_path, "body": body})
    return Plan("p", "h", "{}", "jane", 1, 99, "open", document=json.dumps({"effects": signed, "skipped": []}))


def sent(unit: Unit) -> list[str]:
    return [write.key for write in unit.writes if isinstance(write, writes.OpenActivity)]


def ended(unit: Unit) -> tuple[str | None, str]:
    (end,) = [write for write in unit.writes if isinstance(write, writes.EndInstance)]
    return end.failure, end.error or ""


def test_it_goes_on_at_the_first_effect_that_is_not_done_under_the_old_key() -> None:
    runner, unit = runners().redrive(failed(leg(0), leg(1, NO_FUNDS)), sends=True)
    assert sent(unit) == ["headrace:first:0:1"]
    assert runner.open is not None and (runner.open.position, runner.open.was_sent) == (1, False)
    (added,) = [write for write in unit.writes if isinstance(write, AddContinuation)]
    assert (added.predecessor, added.root_id, added.from_stage) == ("first", "first", 0)


def test_what_was_booked_with_other_content_ends_it_before_anything_is_stored() -> None:
    _, unit = runners().redrive(failed(leg(0, amount=90), leg(1, NO_FUNDS)), sends=True)
    failure, error = ended(unit)
    assert sent(unit) == [] and failure == "plan"
    assert "what was booked no longer fits: body.postings[0].amount is 100, was 90" in error


def test_other_content_may_take_the_place_of_what_every_attempt_was_refused_for() -> None:
    _, unit = runners().redrive(failed(leg(0), leg(1, NO_FUNDS, amount=90)), sends=True)
    (intent,) = [write for write in unit.writes if isinstance(write, writes.OpenActivity)]
    assert b'"amount":100' in (intent.request_body or b"")


def test_other_content_may_not_where_an_attempt_may_still_arrive() -> None:
    for more in ({"attempt": 2}, {"last_failure": "no answer"}, {"error": "canceled"}):
        _, unit = runners().redrive(failed(leg(0), structs.replace(leg(1, NO_FUNDS, amount=90), **more)), sends=True)
        failure, error = ended(unit)
        assert sent(unit) == [] and failure == "plan" and "may still arrive" in error


def test_what_may_still_arrive_is_sent_again_byte_for_byte_and_counts_as_sent() -> None:
    before = leg(1, NO_FUNDS, attempt=2)
    body = (before.request_body or b"").replace(b'"metadata":{},', b'"metadata": {},')
    runner, unit = runners().redrive(failed(leg(0), structs.replace(before, request_body=body)), sends=False)
    (intent,) = [write for write in unit.writes if isinstance(write, writes.OpenActivity)]
    assert (intent.request_body, intent.attempt) == (body, 0)
    assert runner.open is not None and runner.open.was_sent


def test_a_process_that_takes_over_knows_what_earlier_instances_did() -> None:
    """It feeds what was done before, though the journal has no row of it, and knows what may still arrive."""
    before = (leg(0), leg(1, NO_FUNDS, attempt=2))
    instance = structs.replace(failed().instance, id="next", root_id="first", kind="continuation", from_stage=0)
    instance = structs.replace(instance, terminated_at=None, error=None, failure=None)
    own = structs.replace(leg(1), instance_id="next", attempt=0, output=None, terminated_at=None)
    runner = runners().restore(Standing(instance, (own,), 1, inherited=before))
    assert runner.open is not None and (runner.open.position, runner.open.was_sent) == (1, True)
    assert runner.stage.ordinal == 1 and runner.root_id == "first"


def test_by_a_plan_of_the_rest_what_is_done_is_compared_with_what_was_booked() -> None:
    before = failed(leg(0), leg(1, NO_FUNDS))
    runner, unit = runners().redrive(before, sends=True, signed=plan_of(leg(1)))
    assert sent(unit) == ["headrace:first:0:1"]
    (added,) = [write for write in unit.writes if isinstance(write, AddContinuation)]
    assert added.plan_id == "p"
    _, unit = runners().redrive(failed(leg(0, amount=90), leg(1, NO_FUNDS)), sends=True, signed=plan_of(leg(1)))
    assert sent(unit) == [] and "what was booked no longer fits" in ended(unit)[1]
    assert ended(runner.record(Done({"data": {"id": 8}}))) == (None, "")


def test_by_a_plan_nothing_else_is_stored_whatever_the_plan_before_allowed() -> None:
    before = structs.replace(failed(leg(0), leg(1, NO_FUNDS)), plan=plan_of(leg(0), leg(1)).document)
    _, unit = runners().redrive(before, sends=True, signed=plan_of(leg(1), amount=90))
    failure, error = ended(unit)
    assert sent(unit) == [] and failure == "plan" and "body.postings[0].amount is 100, signed 90" in error
    _, unit = runners().redrive(before, sends=True)
    (added,) = [write for write in unit.writes if isinstance(write, AddContinuation)]
    assert sent(unit) == ["headrace:first:0:1"] and added.plan_id is None, "the query takes that of the predecessor"


def test_what_a_plan_of_the_rest_has_signed_is_not_left_out() -> None:
    third = structs.replace(leg(1), key="headrace:first:0:2")
    runner, _ = runners().redrive(failed(leg(0), leg(1, NO_FUNDS)), sends=True, signed=plan_of(leg(1), third))
    failure, error = ended(runner.record(Done({"data": {"id": 8}})))
    assert failure == "plan" and "effect 2: CreateTransaction is signed, and the stage has ended without it" in error
