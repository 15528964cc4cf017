"""The rows of stages and activities, and those that find them, as their instance writes them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import structs

from headrace.effects.services import scheduled_moment
from headrace.effects.settlement import Doubt
from headrace.journal import writes
from headrace.journal.port import Entry, Required, Unit
from headrace.runner.activities import CurrentActivity
from headrace.workflows.interpreter import StageRunner
from headrace.workflows.search_terms import MAX_TERM_CHARACTERS, amount_in, fingerprints, value_terms


def stage_of(instance_id: str, stage: StageRunner, started_at: int) -> writes.OpenStage:
    """The row of a stage that has begun."""
    text = msgspec.json.encode(stage.input).decode()
    return writes.OpenStage(
        instance_id=instance_id, number=stage.number, keyword=stage.keyword, input=text, started_at=started_at
    )


def ended_at_once(instance_id: str, stage: StageRunner, started_at: int, now_at: int) -> writes.AddClosedStage:
    """The row of a stage of which nothing was stored before its end."""
    return writes.AddClosedStage(
        instance_id=instance_id,
        number=stage.number,
        keyword=stage.keyword,
        input=msgspec.json.encode(stage.input).decode(),
        started_at=started_at,
        terminated_at=now_at,
        error=stage.error,
    )


def intent_of(instance_id: str, opened: CurrentActivity, attempt: int) -> writes.OpenActivity:
    """The row of an activity before it is sent; `attempt` counts the attempts begun."""
    return writes.OpenActivity(
        instance_id=instance_id,
        stage=opened.stage,
        position=opened.position,
        name=opened.activity.name,
        input=msgspec.json.encode(opened.shown).decode(),
        started_at=opened.started_at,
        attempt=attempt,
        key=opened.key,
        request_method=opened.request.method,
        request_path=opened.request.path,
        request_body=opened.request.body,
        scheduled_at=scheduled_moment(opened.request) if opened.request.service == "payments" else None,
    )


def closed_at_once(
    instance_id: str, opened: CurrentActivity, attempt: int, output: str | None, error: str | None, now_at: int
) -> writes.AddClosedActivity:
    """The row of a read that has ended, of which nothing was stored while it was open. `output`: JSON text."""
    return writes.AddClosedActivity(
        instance_id=instance_id,
        stage=opened.stage,
        position=opened.position,
        name=opened.activity.name,
        input=msgspec.json.encode(opened.shown).decode(),
        started_at=opened.started_at,
        attempt=attempt,
        key=opened.key,
        request_method=opened.request.method,
        request_path=opened.request.path,
        request_body=opened.request.body,
        output=output,
        error=error,
        last_failure=opened.last_failure,
        terminated_at=now_at,
    )


def ended_activity(
    instance_id: str, opened: CurrentActivity, attempt: int, output: str | None, error: str | None, now_at: int
) -> writes.CloseActivity:
    """The end of a stored activity. `output`: JSON text."""
    return writes.CloseActivity(
        attempt=attempt,
        output=output,
        error=error,
        terminated_at=now_at,
        instance_id=instance_id,
        stage=opened.stage,
        position=opened.position,
    )


def failed_attempt(
    instance_id: str,
    opened: CurrentActivity,
    failure: str,
    next_at: int | None,
    doubt: Doubt | None,
    attention_at: int | None,
) -> writes.FailAttempt:
    """The record of an attempt that proved nothing. `doubt`: why a person must decide, found at `attention_at`."""
    return writes.FailAttempt(
        attempt=opened.begun,
        failure=failure,
        next_execution_at=next_at,
        needs_attention=doubt is not None,
        attention=doubt,
        attention_at=attention_at,
        instance_id=instance_id,
        stage=opened.stage,
        position=opened.position,
    )


class Findable:
    """The part of an instance that is not findable yet: `opened` activities, and `terms` of what services have made.

    `amount`: what its first effect moves; empty until that is known, and None once it is stored.
    """

    __slots__ = ("amount", "created_at", "instance_id", "opened", "terms")

    def __init__(self, instance_id: str, created_at: int) -> None:
        self.instance_id = instance_id
        self.created_at = created_at
        self.opened: list[CurrentActivity] = []
        self.terms: list[str] = []
        self.amount: str | None = ""

    def start(self, unit: Unit, place: int, variables: Mapping[str, str]) -> None:
        """Complete the unit of a start: `place` is that of the row of the instance, which takes the amount."""
        self._read()
        if variables:
            hashes = msgspec.json.encode(fingerprints(variables)).decode()
            self.terms += value_terms(variables, self.terms)
            unit.add(writes.AddVariables(created_at=self.created_at, instance_id=self.instance_id, fingerprints=hashes))
        row: Entry = unit[place]
        if self.amount and isinstance(row, Required) and isinstance(row.write, writes.AddInstance):
            structs.force_setattr(row.write, "amount", self.amount)  # nothing else has it yet
            self.amount = None
        self.store(unit)

    def _read(self) -> None:
        """Turn opened activities into terms."""
        for opened in self.opened:
            terms = opened.activity.searched(opened.shown)
            self.terms += terms
            if self.amount == "":
                self.amount = amount_in(terms)
        self.opened = []

    def store(self, unit: Unit) -> None:
        """Add what the unit has brought."""
        self._read()
        if self.amount:
            unit.add(writes.NoteAmount(instance_id=self.instance_id, amount=self.amount))
            self.amount = None
        if self.terms:
            terms = tuple(self.terms)
            if max(map(len, terms)) > MAX_TERM_CHARACTERS:
                terms = tuple(each for each in terms if len(each) <= MAX_TERM_CHARACTERS)
            unit.add(writes.AddLookups(created_at=self.created_at, instance_id=self.instance_id, terms=terms))
            self.terms = []
