"""Honest cases by chance: workflows run by the engines' own driver over small books, with faults, kills and aborts."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

from headrace.certificates.case import Case
from headrace.certificates.statement import Issuer, certify
from headrace.composition.memory import memory_journal
from headrace.effects.port import Request, Response
from headrace.errors import InvalidDefinition
from headrace.journal.port import Unit
from headrace.journal.records import Workflow
from headrace.journal.writes import AddWorkflow
from headrace.planning.questions import Answer
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.interactions import Act, Step
from headrace.testing.runs import Plan, Run, World
from headrace.testing.virtual import START_AT, SeededIds, VirtualClock, finished
from headrace.usecases.certificates import case_of, read_case
from headrace.workflows.config import parse_config
from tests.planning.books import ACCOUNTS, ASSETS, LEDGERS, PAY_TO, Books, Json, small_books, wallet_address
from tests.planning.generated import Maker

KINDS = ("drop", "500", "429", "delay", "overlap")
HOUR = 3_600_000_000
PER_BOOKS = 20


class _MemoryBooks(Books):
    """Books whose services can be copied as an image. Requests are not remembered."""

    def __init__(self, seed: int) -> None:
        clock = VirtualClock()
        self.memory = MemorySandbox(clock, SeededIds(seed), Releases())
        self.clock = clock  # pyright: ignore[reportAttributeAccessIssue]
        self.sandbox = self.memory  # pyright: ignore[reportAttributeAccessIssue]
        self.requests, self.wallets, self.payments = [], [], []

    def close(self) -> None:
        self.memory.close()


@dataclass(frozen=True, slots=True)
class _Filled:
    image: bytes
    books: Any


@lru_cache(maxsize=4)
def _filled(number: int) -> _Filled:
    books = _MemoryBooks(number)
    small_books(Random(f"books:{number}"), books)
    if number % 3:
        _enrich(books)
    image = books.memory.image()
    books.close()
    return _Filled(image, books)


def _enrich(books: Books) -> None:
    """So much money and metadata that most cases succeed."""
    for ledger in LEDGERS:
        for account in ACCOUNTS:
            books.note(ledger, account, {PAY_TO: "acc_rich"})
            for asset in ASSETS:
                books.fund(ledger, account, 100_000, asset)
    for wallet in books.wallets:
        for balance in ("main", "coupons", "new"):
            for asset in ASSETS:
                books.fund(wallet["ledger"], wallet_address(wallet["id"], balance), 100_000, asset)


@dataclass(frozen=True, slots=True)
class Ran:
    """A case that has ended, with the services that served it."""

    run: Run
    case: Case

    def handle(self, request: Request) -> Response:
        return self.run.sandbox.handle(request)

    def certify(self, case: Case | None = None) -> Json:
        """The payload of its certificate. Raises NotCertifiable."""
        return certified(case or self.case, self.handle)


def certified(case: Case, handle: Any) -> Json:
    """The payload of a certificate of a case, asked of services that answer at once. Raises NotCertifiable."""
    asking = certify(case, Issuer("journal-1", "0.0.0", START_AT))
    answer: Any = None
    while True:
        try:
            question = asking.send(answer)
        except StopIteration as ended:
            return ended.value
        assert question.request.method == "GET"
        answer = Answer(handle(question.request), START_AT)


@contextlib.contextmanager
def ran_case(seed: int, *, faults: float = 0.5) -> Generator[Ran | None]:
    """A case that has run to its end; None where the definition is not valid, or the case waits for a person."""
    random = Random(f"case:{seed}")
    filled = _filled(seed // PER_BOOKS)
    definition, variables = Maker(random, filled.books).workflow()
    plan = _plan(random, variables) if random.random() < faults else _plan_without_faults(random, variables)
    with ran(definition, plan, filled.image, seed) as found:
        yield found


@contextlib.contextmanager
def ran(definition: Json, plan: Plan, image: bytes, seed: int) -> Generator[Ran | None]:
    """The run of a definition over the services of an image."""
    try:
        config = parse_config(definition)
    except InvalidDefinition:
        yield None
        return
    stored = msgspec.json.encode({"name": "generated", "stages": config.stages}).decode()
    with _world(stored, image, seed).run(plan) as run:
        run.go_on()
        assert run.lost is None, run.lost
        standing = run.standing()
        assert standing is not None
        if not standing.is_over:
            yield None
            return
        ids = finished(case_of(run.journal, run.instance_id))
        yield Ran(run, finished(read_case(run.journal, ids)))


def _world(config: str, image: bytes, seed: int) -> World:
    workflow = Workflow("workflow", "generated", config, START_AT, START_AT)
    journal = memory_journal(None)
    unit = Unit()
    unit.add(
        AddWorkflow(
            workflow_id=workflow.id, name=workflow.name, config=config, created_at=START_AT, updated_at=START_AT
        )
    )
    finished(journal.commit(unit))
    stored = journal.image()
    finished(journal.close())
    return World(workflow, stored, image, seed)


def _plan_without_faults(random: Random, variables: Mapping[str, str]) -> Plan:
    return Plan(variables, _events(), by_trigger=random.random() < 0.3)


def _plan(random: Random, variables: Mapping[str, str]) -> Plan:
    faults = [(random.randrange(8), random.choice(KINDS)) for _ in range(random.randint(1, 4))]
    steps: list[Step] = []
    for number in sorted(random.sample(range(2, 24), random.randint(0, 3))):
        acts = (Act.KILL_BEFORE, Act.KILL_AFTER, Act.KILL_AFTER, Act.ABORT_AFTER)
        steps.append(Step(number, random.choice(acts)))
    return Plan(variables, _events(), faults, steps, by_trigger=random.random() < 0.3)


def _events() -> list[tuple[int, str]]:
    return [(HOUR * number, "confirmed") for number in range(1, 7)]
