"""A plan over books, and the run of the same by the product's own runner and settlement, in virtual time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

from headrace.effects import services
from headrace.effects.port import Done, NoResponse, Refused, Request
from headrace.effects.settlement import Backoff, CreateLedger, EffectProtocol, LookUpFirst, Pause, Send
from headrace.journal.approval_writes import DecideStage
from headrace.journal.records import Plan, Workflow
from headrace.journal.writes import EndInstance, OpenActivity, Publish
from headrace.planning.planner import Subject, Terms, plan
from headrace.planning.questions import Answer, Asking
from headrace.runner.policy import Policy
from headrace.runner.runners import Runners
from headrace.workflows.activities import CreateTransaction
from headrace.workflows.undo import DoneEffect
from tests.planning.books import Books, Json


def planned(books: Books, subject: Subject, terms: Terms | None = None) -> Json:
    """The plan of a run over these books. Every request of it is in `books.requests`."""
    return answered(books, plan(subject, terms or Terms(books.clock.now_at())))


def answered(books: Books, asking: Asking[Json]) -> Json:
    answer: Any = None
    while True:
        try:
            question = asking.send(answer)
        except StopIteration as ended:
            return ended.value
        try:
            answer = Answer(books.handle(question.request), books.clock.now_at())
        except NoResponse:
            answer = Answer(None, books.clock.now_at())


@dataclass
class Run:
    """What an instance did. `effects` are its writes in order, as the services received them."""

    effects: list[tuple[int, int, str, Request]] = field(default_factory=list[Any])
    instance_id: str = ""
    error: str | None = None
    failure: str | None = None
    stage: int = 0
    ordinal: int = 0
    intents: list[tuple[int, str, str, bytes | None]] = field(default_factory=list[Any])
    """Stage, activity, path and body of every effect that was stored before it was sent."""
    events: list[str] = field(default_factory=list[str])
    skipped: list[int] = field(default_factory=list[int])
    slept_until: list[int] = field(default_factory=list[int])
    done: list[DoneEffect] = field(default_factory=list[DoneEffect])
    """The effects that the services have accepted."""


def run(books: Books, subject: Subject, policy: Policy | None = None, signed: Json | None = None) -> Run:
    """Run an instance to its end, or an undo. `signed`: the document of the plan that it may not leave."""
    instance_id = books.new_id()
    runners = Runners(books.clock.now_at, lambda: instance_id, cast("Any", _announced), policy or Policy())
    row = None if signed is None else Plan("p", "", "{}", "", 0, 0, "used", None, json.dumps(signed))
    if subject.undone is None:
        workflow = Workflow("w", None, json.dumps(subject.definition), 0, 0)
        is_trigger = subject.origin == "trigger"
        start = runners.start(workflow, subject.variables, sends=True, by_trigger=is_trigger, signed=row)
    else:
        start = runners.undo(subject.undone.instance_id, subject.definition["stages"], sends=True, signed=row)
    runner, units = start.runner, [start.unit]
    done = Run(instance_id=instance_id)
    while runner.ended_at is None:
        done.stage, done.ordinal = runner.stage.number, runner.stage.ordinal
        opened = runner.open
        if opened is not None:
            activity, outcome = opened.activity, _settled(books, opened.activity, opened.request)
            if activity.is_effect:
                done.effects.append((opened.stage, done.ordinal, activity.name, opened.request))
            if activity.is_effect and isinstance(outcome, Done):
                key = f"headrace:{instance_id}:{opened.stage}:{done.ordinal}"
                shown = activity.input(key)
                done.done.append(DoneEffect(key, opened.stage, done.ordinal, activity.name, shown, outcome.output))
            units.append(runner.record(outcome))
        elif runner.sleeps_until_at is not None:
            done.slept_until.append(runner.sleeps_until_at)
            books.clock.moment_at = runner.sleeps_until_at
            units.append(runner.advance())
        else:
            assert runner.waits_for_event is not None
            done.events.append(runner.waits_for_event)
            units.append(runner.take_event())
    done.error = runner.error
    (done.failure,) = (each.failure for unit in units for each in unit.writes if isinstance(each, EndInstance))
    done.intents = [
        (each.stage, each.name, each.request_path, each.request_body)
        for unit in units
        for each in unit.writes
        if isinstance(each, OpenActivity)
    ]
    done.skipped = [
        each.number for unit in units for each in unit.writes if isinstance(each, DecideStage) and each.is_skipped
    ]
    if runner.error is not None:
        done.stage = runner.stage.number
        done.ordinal = runner.stage.ordinal
    return done


def _settled(books: Books, activity: Any, request: Request) -> Any:
    ledger = activity.ledger if isinstance(activity, CreateTransaction) else ""
    backoff = Backoff(1.0, 1.0, lambda: 1.0)
    protocol = EffectProtocol(activity.settlement, backoff=backoff, settle_s=1.0, now_s=0.0, ledger=ledger)
    for _ in range(20):
        match protocol.action:
            case Send():
                outcome = services.outcome(activity.name, request, books.handle(request))
                protocol.sent(outcome, 0.0, 0.0)
            case LookUpFirst():
                protocol.looked_up(_looked_up(books, activity.name, request), 0.0)
            case CreateLedger():
                creation = services.create_ledger(ledger)
                protocol.created(services.outcome("CreateLedger", creation, books.handle(creation)))
            case Pause():
                protocol.paused()
            case Done() | Refused() as action:
                return action
            case action:
                raise AssertionError(f"{activity.name} ended as {action}")
    raise AssertionError(f"{activity.name} does not settle: {protocol.action}")


def _looked_up(books: Books, name: str, request: Request) -> Any:
    search = services.look_up(name, request)
    question = next(search)
    while True:
        try:
            question = search.send(books.handle(question))
        except StopIteration as ended:
            return ended.value


def _announced(*_arguments: object) -> Publish:
    raise AssertionError("nothing subscribes here")
