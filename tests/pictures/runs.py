"""Flows of runs in virtual time: planned, half done, done, refused, aborted, undone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import msgspec

from headrace.clock import Clock
from headrace.demo.examples import examples_folder
from headrace.effects.port import Request, Response
from headrace.engine.cases import case_of
from headrace.journal.port import Results, Unit
from headrace.pictures.effects import flow_of, known_in, planned_effects
from headrace.pictures.moves import Flow
from headrace.planning.planner import Subject, Terms, plan
from headrace.runner.policy import Policy
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.cases import Case, Suite, read_suite
from headrace.testing.interactions import Act, Kind, Step, commit_of
from headrace.testing.runs import Plan, Run, Surroundings, World
from headrace.testing.virtual import SeededIds, VirtualClock, finished
from headrace.usecases.asking import answered
from headrace.usecases.flows import CaseFlow, case_flow
from headrace.workflows.undo import Case as UndoneCase
from headrace.workflows.undo import undo_of
from tests.undo.kills import UndoRun

STATES = ("planned", "half", "done", "failed", "aborted", "undone")
EXAMPLES = sorted(path.parent.name for path in examples_folder().glob("*/workflow.yaml"))


class Stopped(BaseException):
    """The run is left where it is, as a process that was killed leaves it."""


class _Leaves(Run):
    """A run that is left after so many activities have been recorded."""

    left = 1

    def commit(self, unit: Unit) -> Results:
        about = commit_of(unit, self.clock.now_at()).about
        results = super().commit(unit)
        if "record an outcome" in about:
            self.left -= 1
            if self.left == 0:
                raise Stopped
        return results


class HalfRun(_Leaves):
    """A run that is left on its way."""


class HalfUndo(UndoRun, _Leaves):
    """An undo that is left on its way."""


@dataclass(frozen=True)
class Services:
    """The sandbox of a run, as a server asks it; `writes`: requests that were no reads."""

    run: Run
    writes: list[Request]

    async def send(self, request: Request) -> Response:
        if request.method != "GET":
            self.writes.append(request)
        return self.run.sandbox.handle(request)

    async def close(self) -> None:
        pass


def flow_in(run: Run, instance_id: str = "") -> CaseFlow:
    """The flow as a server would show it. No service may be written to."""

    async def asked() -> CaseFlow:
        services = Services(run, [])
        clock: Clock = run.clock  # pyright: ignore[reportAssignmentType]
        ports: Any = SimpleNamespace(
            journal=run.journal,
            plans=asyncio.Semaphore(1),
            downstream=services,
            clock=clock,
            runners=SimpleNamespace(policy=Policy()),
        )
        found = await case_flow(ports, instance_id or run.instance_id)
        assert services.writes == []
        return found

    return asyncio.run(asked())


def planned_flow(run: Run, definition: Any, variables: dict[str, str]) -> Flow:
    """The flow of a plan of the run, before it begins."""

    async def asked() -> Any:
        terms = Terms(run.clock.now_at())
        return await answered(plan(Subject(definition, variables), terms), Services(run, []), run.clock)

    document = asyncio.run(asked())
    return flow_of(planned_effects(document), known_in(document))


def case_in(example: str) -> tuple[Suite, Case, Plan]:
    """The first case of an example that gives its variables, or the first one as its trigger starts it."""
    folder = examples_folder() / example
    suite = read_suite(folder / "workflow.test.yaml", workflow=folder / "workflow.yaml")
    case = next((each for each in suite.cases if each.expected.outcome == "succeeded"), suite.cases[0])
    variables = case.variables if case.variables is not None else TRIGGERED[example]
    return suite, case, Plan(dict(variables), case.events, approvals=case.approvals)


TRIGGERED = {"14-trigger-pays-wallet": {"payment": "p1", "wallet": "w1", "amount": "8000", "asset": "USD/2"}}


@contextmanager
def in_state(world: World, wanted: Plan, state: str) -> Iterator[tuple[Run, Flow]]:
    """A run of the plan in this state, and its flow."""
    with world.run(wanted) as whole:
        whole.go_on()
        recorded = [
            number
            for number, each in enumerate(whole.interactions)
            if each.kind is Kind.COMMIT and "record an outcome" in each.about
        ]
        effects = sum(each.kind is Kind.ATTEMPT for each in whole.interactions)
        if state == "done":
            yield whole, flow_in(whole).flow
            return
    if state == "half":
        around = Surroundings.new(world.seed, journal=world.journal, services=world.services)
        run = HalfRun(world.workflow, wanted, around)
        run.left = (len(recorded) + 1) // 2
        with suppress(Stopped):
            run.go_on()
        yield run, flow_in(run).flow
        around.close()
        return
    steps = (Step(recorded[(len(recorded) - 1) // 2], Act.ABORT_AFTER),) if state == "aborted" and recorded else ()
    services = _emptied(world) if state == "failed" and effects else world
    with services.run(replace(wanted, steps=steps)) as run:
        if state == "planned":
            definition = msgspec.json.decode(world.workflow.config)
            yield run, planned_flow(run, definition, dict(wanted.variables))
            return
        run.go_on()
        if state == "undone":
            yield from undone(run, world.seed)
            return
        yield run, flow_in(run).flow


def _emptied(world: World) -> World:
    """The world with every ledger's accounts emptied, so that the first debit is refused."""
    sandbox = MemorySandbox(VirtualClock(), SeededIds(7), Releases(), world.services)
    for (ledger, account, asset), amount in list(sandbox.contents().balances.items()):
        if account != "world" and amount > 0:
            posting = {"source": account, "destination": "world", "amount": amount, "asset": asset}
            body = msgspec.json.encode({"metadata": {}, "postings": [posting]})
            assert sandbox.handle(Request("ledger", "POST", f"/v2/{ledger}/transactions", body)).status < 300
    image = sandbox.image()
    sandbox.close()
    return replace(world, services=image)


def undone(
    run: Run, seed: int, meanwhile: Callable[[Run], None] = lambda _: None, *, left: int = -1
) -> Iterator[tuple[Run, Flow]]:
    """The undo of a run that has succeeded, if anything of it can be undone. `meanwhile`: before the undo begins.

    `left`: after so many activities it is left on its way; -1: never.
    """
    standing = run.standing()
    assert standing is not None
    statuses = {each["reference"]: each["status"] for each in run.sandbox.contents().initiations}
    case = finished(case_of(run.journal, standing.instance))
    undo = undo_of(UndoneCase(case.effects, case.stages, case.variables, case.wallet_ledgers, statuses), "keep")
    if not undo.stages or standing.instance.error is not None:
        yield run, flow_in(run).flow
        return
    meanwhile(run)
    around = Surroundings.new(seed + 1, journal=run.journal.image(), services=run.sandbox.image())
    around.clock.advance_to(run.clock.now_at())
    life = HalfUndo(run, undo, run.instance_id, Plan({}), around)
    life.left = left
    with suppress(Stopped):
        life.go_on()
    assert life.lost is None
    yield life, flow_in(life, run.instance_id).flow
    around.close()
