"""Runs the behaviour cases under `stages/`: see the README beside this file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import yaml
from formance_sdk_python.models import orchestration
from pydantic import TypeAdapter

from headrace.errors import InvalidDefinition, InvalidValue, StageError
from headrace.workflows.activities import Activity, GetAccount, GetPayment, GetWallet, Json, ListWallets
from headrace.workflows.commands import Amend, WaitApproval
from headrace.workflows.config import parse_config
from headrace.workflows.durations import moment_text, moment_us
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.stage import StageContext
from headrace.workflows.variables import check_variables, expand, missing

ROOT = Path(__file__).parent / "stages"
MEMBERS = {
    "title",
    "flow",
    "stage",
    "variables",
    "run",
    "services",
    "problems",
    "missing",
    "input",
    "commands",
    "error",
}
OFFICIAL_STAGES = ("send", "delay", "wait_event", "update")
OFFICIAL_ACTIVITIES = (
    *("GetAccount", "GetPayment", "GetWallet", "ListWallets", "CreateTransaction", "AddAccountMetadata"),
    *("CreditWallet", "DebitWallet", "CreateTransferInitiation"),
)
SDK_STAGES: frozenset[str] = frozenset(member.__name__ for member in get_args(orchestration.Stage.__value__))
SDK_ACTIVITIES = orchestration.WorkflowInstanceHistoryStageInput.model_fields


def cases() -> Iterator[Any]:
    for path in sorted(ROOT.rglob("*.yaml")):
        loaded: list[Json] = yaml.safe_load(path.read_text(encoding="utf-8"))
        for case in loaded:
            yield pytest.param(case, id=f"{path.parent.name}/{path.stem}: {case['title']}")


ALL = list(cases())
every_case = pytest.mark.parametrize("case", ALL)


class ServiceSaysNo(Exception):
    pass


class Services:
    """Answers reads from what the case says the services hold."""

    def __init__(self, held: Json) -> None:
        self.held = held

    def answer(self, read: Activity) -> Json:
        match read:
            case GetAccount():
                found = [a for a in self._all("accounts") if (a["ledger"], a["address"]) == (read.ledger, read.id)]
                return found[0] if found else {"address": read.id, "metadata": {}}
            case GetWallet():
                return self._one("wallets", read)
            case GetPayment():
                return self._one("payments", read)
            case ListWallets():
                wallets = [wallet for wallet in self._all("wallets") if wallet["name"].startswith(read.wallet_name)]
                return {"pageSize": 15, "hasMore": False, "data": wallets}
            case _:
                raise AssertionError(f"Services of tests/specs/test_specs.py does not answer {read.name}")

    def _all(self, kind: str) -> list[Json]:
        return self.held.get(kind, [])

    def _one(self, kind: str, read: GetWallet | GetPayment) -> Json:
        for held in self._all(kind):
            if held["id"] == read.id:
                return held
        raise ServiceSaysNo(f"{read.name}: not found")


class Outcome:
    """What one run of a stage did."""

    def __init__(self, case: Json) -> None:
        ((self.keyword, raw),) = case["stage"].items()
        run = case.get("run", {})
        self.context = StageContext(
            moment_us(run.get("started_at", "2024-05-01T10:00:00Z")),
            raw,
            run.get("may_name_world", True),
        )
        self.input: Json | None = None
        self.commands: list[Json] = []
        self.error: str | None = None
        self._effects = 0
        try:
            self._run(expand(raw, check_variables(case.get("variables", {}))), Services(case.get("services", {})))
        except (InvalidValue, StageError, ServiceSaysNo) as error:
            self.error = str(error)

    def _run(self, body: Json, services: Services) -> None:
        stage = STAGES[self.keyword]
        self.input = stage.normalise(body, self.context)
        generator = stage.run(self.input, self.context)
        result: Json | None = None
        while True:
            try:
                command = generator.send(result)
            except StopIteration:
                return
            result = None
            if isinstance(command, Amend):
                self.input = command.input
            elif isinstance(command, Activity):
                self.commands.append({command.name: command.input(self._key(command))})
                result = None if command.is_effect else services.answer(command)
            else:
                self.commands.append(_wait(command))

    def _key(self, activity: Activity) -> str:
        if not activity.is_effect:
            return ""
        self._effects += 1
        return f"headrace:case:0:{self._effects - 1}"


def _wait(command: Any) -> Json:
    name = type(command).__name__
    if isinstance(command, WaitApproval):
        members = {"approvals": command.approvals, "timeout_us": command.timeout_us}
        return {name: {key: value for key, value in members.items() if value is not None}}
    return {name: moment_text(command.deadline_at) if name == "SleepUntil" else command.event}


def definition(case: Json) -> Json:
    return {"name": "case", "stages": [case["stage"]]}


def runs(case: Json) -> bool:
    return "problems" not in case and "missing" not in case


@every_case
def test_case(case: Json) -> None:
    assert case.keys() <= MEMBERS
    if "problems" in case:
        check_refused_definition(case)
        return
    config = parse_config(definition(case))
    assert missing(config.stages, check_variables(case.get("variables", {}))) == case.get("missing", [])
    if "missing" not in case:
        check_run(case)


def check_refused_definition(case: Json) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse_config(definition(case))
    found = {problem.path: problem.reason for problem in caught.value.problems}
    expected = {f"stages[0].{problem['path']}": problem["reason"] for problem in case["problems"]}
    assert found.keys() == expected.keys()
    assert len(found) == len(caught.value.problems)
    for path, reason in expected.items():
        assert reason in found[path], path


def check_run(case: Json) -> None:
    outcome = Outcome(case)
    for part in case.get("error", []):
        assert outcome.error is not None
        assert part in outcome.error
    assert (outcome.error is None) == ("error" not in case), outcome.error
    assert outcome.commands == case.get("commands", [])
    if "input" in case:
        assert outcome.input == case["input"]


@every_case
def test_official_sdk_decodes_what_history_shows(case: Json) -> None:
    """Traps T7 to T12: the union has no discriminator, so a wrong value silently decodes as another class."""
    outcome = Outcome(case) if runs(case) else None
    if outcome is None or outcome.input is None:
        return
    assert_nothing_is_null(outcome.input)
    for command in outcome.commands:
        check_activity(command)
    expected = sdk_stage(outcome.keyword)
    if expected is None:
        return
    decoded: Any = TypeAdapter(orchestration.Stage).validate_python(outcome.input)
    assert type(decoded).__name__ == expected
    if outcome.keyword == "send":
        assert decoded.amount.amount == outcome.input["amount"]["amount"]
        assert decoded.source is not None and decoded.destination is not None


def sdk_stage(keyword: str) -> str | None:
    """Name of the SDK's class of a stage; None for a stage beyond the official API."""
    name = "".join(part.capitalize() for part in keyword.split("_"))
    return next((each for each in (f"Stage{name}", name) if each in SDK_STAGES), None)


def test_the_sdk_has_a_class_of_each_official_stage_and_activity() -> None:
    assert {sdk_stage(keyword) for keyword in OFFICIAL_STAGES} == {
        "StageSend",
        "StageDelay",
        "StageWaitEvent",
        "Update",
    }
    assert [name for name in OFFICIAL_ACTIVITIES if _snake(name) not in SDK_ACTIVITIES] == []


def check_activity(command: Json) -> None:
    """F6 to F8 and F11: what the command-line tool reads without looking."""
    ((name, value),) = command.items()
    if name in ("SleepUntil", "WaitEvent", "WaitApproval"):
        return
    assert_nothing_is_null(value)
    if _snake(name) in SDK_ACTIVITIES:
        decoded = orchestration.WorkflowInstanceHistoryStageInput.model_validate(command)
        assert [field for field, member in decoded if member is not None] == [_snake(name)]
    if name == "CreateTransaction":
        assert value["ledger"] and value["data"]["postings"][0]
    if name == "CreditWallet":
        assert value["id"] and value["data"]["balance"] and value["data"]["sources"][0]
    if name == "DebitWallet":
        assert value["id"] and value["data"]["balances"][0]
        assert value["data"].get("destination", {}).get("type") != "WALLET" or value["data"]["destination"]["balance"]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def assert_nothing_is_null(value: object) -> None:
    assert value is not None
    if isinstance(value, dict):
        for member in cast("Json", value).values():
            assert_nothing_is_null(member)
    if isinstance(value, list):
        for item in cast("list[object]", value):
            assert_nothing_is_null(item)


def test_every_flow_of_the_matrix_has_a_case() -> None:
    assert {case.values[0].get("flow") for case in ALL} >= set(range(1, 16))


def test_every_stage_has_a_folder_of_cases() -> None:
    assert {path.name for path in ROOT.iterdir()} == STAGES.keys()


def test_titles_are_unique() -> None:
    ids = [case.id for case in ALL]
    assert len(ids) == len(set(ids))
