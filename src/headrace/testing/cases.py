"""Files of cases, as `headrace test` and `headrace prove` read them: a workflow, what is given, and what is expected.

`docs/how-to/testing-in-ci.md` describes the format. A file is checked completely before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from headrace.api import yaml
from headrace.composition.memory import MemoryJournal
from headrace.errors import InvalidDefinition, InvalidValue
from headrace.journal.port import Unit
from headrace.journal.records import Trigger, Workflow
from headrace.journal.writes import AddWorkflow
from headrace.json_text import Malformed
from headrace.money import account_address, amount_of, asset_name, ledger_name
from headrace.sandbox.faults import NAMED_KINDS
from headrace.sandbox.given import Given, read_given
from headrace.sandbox.members import entries, items, members, text
from headrace.testing.persons import REASON, Approval
from headrace.testing.results import EXPECTED
from headrace.testing.runs import Surroundings, World
from headrace.testing.virtual import START_AT, finished
from headrace.triggers.definition import parse_definition
from headrace.usecases.plans import APPROVE, REJECT
from headrace.usecases.reasons import check_reason
from headrace.workflows.config import Config, check_delays, open_delays, parse_config
from headrace.workflows.durations import duration_us
from headrace.workflows.variables import check_variables, missing

Json = dict[str, Any]

_WORKFLOW_ID = "workflow"
_STATUSES = ("429", "500", "502", "503", "504")


@dataclass(frozen=True, slots=True)
class Expected:
    """Expectations of a case; None: it does not say. `skipped`: numbers of stages. `balances`: by ledger, account
    and asset.
    """

    outcome: str | None = None
    error: str | None = None
    effects: list[str] | None = None
    effects_include: list[str] | None = None
    skipped: list[int] | None = None
    balances: Mapping[tuple[str, str, str], int] | None = None
    ended_us: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A run and what it must come to. `variables` are None where a trigger gives them: then there is an `event`.

    `faults` are those of an effect's attempts, in order: the second of an effect hits its second attempt.
    """

    name: str
    variables: Mapping[str, str] | None
    trigger: Trigger | None
    event: Json | None
    events: tuple[tuple[int, str], ...]
    faults: tuple[tuple[int, str], ...]
    expected: Expected
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A file of cases. Every case begins in the same world."""

    file: str
    workflow_file: Path
    world: World
    cases: list[Case]


def read_suite(file: Path, *, workflow: Path | None = None, seed: int = 0) -> Suite:
    """Read a file of cases. `workflow`: the one that it must be about, as `headrace prove` names it.

    Raises InvalidValue with file, line, place and reason; InvalidDefinition for the workflow; OSError.
    """
    document = _document(file)
    try:
        return _Reader(file, workflow, seed).suite(document.value)
    except InvalidDefinition:
        raise
    except InvalidValue as error:
        line, column = document.locate(error.field) or (1, 1)
        raise InvalidValue("", f"{file}:{line}:{column}: {error}") from None


def _document(file: Path) -> yaml.Document:
    try:
        return yaml.decode(file.read_bytes())
    except Malformed as error:
        raise InvalidValue("", f"{file}: {error.reason}") from None


def _config(file: Path) -> Config:
    document = _document(file)
    try:
        return parse_config(document.value)
    except InvalidDefinition as error:
        lines = [f"{file} is not a valid definition"]
        for problem in error.problems:
            line, column = document.locate(problem.path) or (1, 1)
            lines.append(f"  {file}:{line}:{column}: {problem}")
        raise InvalidValue("", "\n".join(lines)) from None


def add_workflow(file: Path, workflow_id: str, journal: MemoryJournal) -> Workflow:
    """Store the definition of a file in a journal. Raises InvalidValue, which names the problems, and OSError."""
    return _add(_config(file), workflow_id, journal)


def _add(config: Config, workflow_id: str, journal: MemoryJournal) -> Workflow:
    text = msgspec.json.encode(config.definition).decode()
    workflow = Workflow(workflow_id, config.name, text, START_AT, START_AT)
    unit = Unit()
    unit.add(
        AddWorkflow(
            workflow_id=workflow.id,
            name=workflow.name,
            config=workflow.config,
            created_at=workflow.created_at,
            updated_at=workflow.updated_at,
        )
    )
    finished(journal.commit(unit))
    return workflow


def _world(config: Config, given: Given, seed: int) -> World:
    around = Surroundings.new(seed)
    workflow = _add(config, _WORKFLOW_ID, around.journal)
    around.sandbox.fill(given)
    world = World(workflow, around.journal.image(), around.sandbox.image(), seed)
    around.close()
    return world


class _Reader:
    def __init__(self, file: Path, workflow: Path | None, seed: int) -> None:
        self._file = file
        self._workflow = workflow
        self._seed = seed

    def suite(self, value: object) -> Suite:
        fields = members(value, "", ("workflow", "given", "cases"))
        named = self._workflow
        if named is None or "workflow" in fields:
            named = self._file.parent / text(fields, "workflow", "")
        if self._workflow is not None and named.resolve() != self._workflow.resolve():
            raise InvalidValue("workflow", f"is {named}, not {self._workflow}")
        try:
            config = _config(named)
        except OSError as error:
            raise InvalidValue("workflow", f"{named}: {error.strerror}") from None
        given = read_given(fields.get("given"))
        cases: list[Case] = []
        for place, item in items(fields.get("cases"), "cases"):
            cases.append(self._case(item, place, config))
            if cases[-1].name in [case.name for case in cases[:-1]]:
                raise InvalidValue(f"{place}.name", "is that of an earlier case")
        if not cases:
            raise InvalidValue("cases", "needs a case at least")
        return Suite(str(self._file), named, _world(config, given, self._seed), cases)

    def _case(self, value: object, path: str, config: Config) -> Case:
        fields = members(value, path, ("name", "run", "trigger", "event", "events", "approvals", "faults", "expect"))
        name = text(fields, "name", path)
        if ("run" in fields) == ("trigger" in fields):
            raise InvalidValue(path, "has either `run`, the variables, or a `trigger` with its `event`")
        if ("trigger" in fields) != ("event" in fields):
            raise InvalidValue(f"{path}.event", "belongs to a `trigger`, which needs one")
        variables = self._variables(fields["run"], f"{path}.run", config) if "run" in fields else None
        trigger, event = None, None
        if variables is None:
            trigger = self._trigger(text(fields, "trigger", path), f"{path}.trigger")
            event = {name: member for name, _, member in entries(fields["event"], f"{path}.event")}
        events = tuple(self._event(item, place) for place, item in items(fields.get("events"), f"{path}.events"))
        faults = tuple(self._fault(item, place) for place, item in items(fields.get("faults"), f"{path}.faults"))
        approvals = tuple(
            self._approval(item, place) for place, item in items(fields.get("approvals"), f"{path}.approvals")
        )
        expected = self._expected(fields.get("expect"), f"{path}.expect")
        return Case(name, variables, trigger, event, events, faults, expected, approvals)

    def _variables(self, value: object, path: str, config: Config) -> dict[str, str]:
        for name, place, variable in entries(value, path):
            if not isinstance(variable, str):
                text({name: variable}, name, path)
            try:
                check_variables({name: variable})
            except InvalidValue as error:
                raise InvalidValue(place, error.reason) from None
        variables = check_variables(value or {})
        if lacking := missing(config.stages, variables):
            raise InvalidValue(path, f"no value for {', '.join(lacking)}")
        try:
            check_delays(config.stages, open_delays(config.stages), variables)
        except InvalidValue as error:
            raise InvalidValue(path, str(error)) from None
        return variables

    def _trigger(self, name: str, path: str) -> Trigger:
        """A trigger file, as `headrace triggers create` takes it. The workflow that it names, if any, is this one."""
        file = self._file.parent / name
        try:
            named = {name: member for name, _, member in entries(_document(file).value, "")}
            if named.get("kind") == "trigger":  # as `headrace apply` takes it
                named = {name: member for name, member in named.items() if name not in ("kind", "workflow")}
            made = parse_definition({**named, "workflowID": _WORKFLOW_ID})
        except OSError as error:
            raise InvalidValue(path, f"{file}: {error.strerror}") from None
        except InvalidValue as error:
            raise InvalidValue(path, f"{file}: {error}") from None
        return Trigger(
            "trigger", made.name, made.event, made.workflow_id, made.version, made.filter, made.vars_text, START_AT
        )

    def _event(self, value: object, path: str) -> tuple[int, str]:
        fields = members(value, path, ("name", "at"))
        return duration_us(text(fields, "at", path, "0s"), f"{path}.at"), text(fields, "name", path)

    def _approval(self, value: object, path: str) -> Approval:
        fields = members(value, path, ("by", "at", "verdict", "reason"))
        verdict = text(fields, "verdict", path, APPROVE)
        if verdict != APPROVE and verdict != REJECT:
            raise InvalidValue(f"{path}.verdict", f"must be {APPROVE} or {REJECT}")
        try:
            reason = check_reason(text(fields, "reason", path, REASON))
        except InvalidValue as error:
            raise InvalidValue(f"{path}.reason", error.reason) from None
        at_us = duration_us(text(fields, "at", path, "0s"), f"{path}.at")
        return Approval(at_us, text(fields, "by", path), verdict, reason)

    def _fault(self, value: object, path: str) -> tuple[int, str]:
        fields = members(value, path, ("effect", "kind"))
        effect, kind = fields.get("effect"), fields.get("kind")
        if not isinstance(effect, int) or isinstance(effect, bool) or effect < 0:
            raise InvalidValue(f"{path}.effect", "must be the number of an effect, from 0")
        known = (*NAMED_KINDS, *_STATUSES)
        if isinstance(kind, bool) or str(kind) not in known:
            raise InvalidValue(f"{path}.kind", f"must be one of {', '.join(known)}")
        return effect, str(kind)

    def _expected(self, value: object, path: str) -> Expected:
        names = ("outcome", "error", "effects", "effects_include", "skipped", "balances", "ended_at")
        fields = members(value, path, names)
        if not fields:
            raise InvalidValue(path, f"is required: a case expects one of {', '.join(names)} at least")
        outcome = text(fields, "outcome", path) if "outcome" in fields else None
        if outcome is not None and outcome not in EXPECTED:
            raise InvalidValue(f"{path}.outcome", f"must be one of {', '.join(EXPECTED)}")
        skipped: list[int] | None = None
        if "skipped" in fields:
            skipped = []
            for place, number in items(fields["skipped"], f"{path}.skipped"):
                if type(number) is not int or number < 0:
                    raise InvalidValue(place, "must be the number of a stage, counted from 0")
                skipped.append(number)
        balances: dict[tuple[str, str, str], int] | None = None
        if "balances" in fields:
            balances = _balances(fields["balances"], f"{path}.balances")
        return Expected(
            outcome,
            text(fields, "error", path) if "error" in fields else None,
            _texts(fields, "effects", path),
            _texts(fields, "effects_include", path),
            skipped,
            balances,
            duration_us(text(fields, "ended_at", path), f"{path}.ended_at") if "ended_at" in fields else None,
        )


def _texts(fields: Json, name: str, path: str) -> list[str] | None:
    if name not in fields:
        return None
    lines: list[str] = []
    for place, item in items(fields[name], f"{path}.{name}"):
        if not isinstance(item, str):
            raise InvalidValue(place, "must be text: write it in quotes")
        lines.append(item)
    return lines


def _balances(value: object, path: str) -> dict[tuple[str, str, str], int]:
    balances: dict[tuple[str, str, str], int] = {}
    for ledger, at_ledger, accounts in entries(value, path):
        ledger_name(ledger, at_ledger)
        for account, at_account, amounts in entries(accounts, at_ledger):
            account_address(account, at_account)
            for asset, place, amount in entries(amounts, at_account):
                asset_name(asset, place)
                is_below = type(amount) is int and amount < 0
                balances[ledger, account, asset] = -amount_of(-amount, place) if is_below else amount_of(amount, place)
    return balances
