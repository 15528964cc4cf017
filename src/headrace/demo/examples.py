"""Reads `examples/NN-name/`: a definition and the data to play it (described in `examples/README.md`)."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any

import msgspec

from headrace.api import yaml
from headrace.workflows.config import Config, parse_config

Json = dict[str, Any]


class CreateLedger(msgspec.Struct, frozen=True, tag_field="do", tag="create_ledger"):
    """The ledger may exist already."""

    ledger: str


class FundAccount(msgspec.Struct, frozen=True, tag_field="do", tag="fund_account"):
    """Move an amount from `world` to an account."""

    ledger: str
    account: str
    amount: int
    asset: str


class DescribeAccount(msgspec.Struct, frozen=True, tag_field="do", tag="describe_account"):
    ledger: str
    account: str
    metadata: dict[str, str]


class CreateWallet(msgspec.Struct, frozen=True, tag_field="do", tag="create_wallet"):
    """`ledger` is the sandbox's own addition: a wallet that lives on this ledger."""

    name: str
    save_as: str
    ledger: str | None = None
    metadata: dict[str, str] = {}


class CreditWallet(msgspec.Struct, frozen=True, tag_field="do", tag="credit_wallet"):
    """Move an amount from `world` to a wallet."""

    wallet: str
    amount: int
    asset: str


class PayIn(msgspec.Struct, frozen=True, tag_field="do", tag="pay_in"):
    """A payment that has arrived: `PAY-IN`, `SUCCEEDED`."""

    reference: str
    amount: int
    asset: str
    save_as: str


SeedStep = CreateLedger | FundAccount | DescribeAccount | CreateWallet | CreditWallet | PayIn


class AccountBalance(msgspec.Struct, frozen=True):
    ledger: str
    account: str
    asset: str
    balance: int


class WalletBalance(msgspec.Struct, frozen=True):
    """Amount of the wallet's balance `main`."""

    wallet: str
    asset: str
    balance: int


class AccountMetadata(msgspec.Struct, frozen=True):
    ledger: str
    account: str
    metadata: dict[str, str]


class Initiation(msgspec.Struct, frozen=True):
    """A transfer initiation; `destination` is its own in each run, so that it finds it."""

    destination: str
    type: str
    amount: int
    asset: str
    status: str


class Expected(msgspec.Struct, frozen=True):
    """Expected state when the instance has ended. `stages` are the activities of each stage, in order."""

    stages: tuple[tuple[str, ...], ...]
    accounts: tuple[AccountBalance, ...] = ()
    wallets: tuple[WalletBalance, ...] = ()
    metadata: tuple[AccountMetadata, ...] = ()
    initiations: tuple[Initiation, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """`run.json` as it stands, with its `${names}`."""

    seed: tuple[Json, ...]
    variables: dict[str, str]
    expect: Json
    events: tuple[str, ...] = ()


class Example(msgspec.Struct, frozen=True):
    """An example: its folder, its plan, and the definition to run."""

    name: str
    folder: Path
    plan: Plan

    @property
    def number(self) -> str:
        return self.name.partition("-")[0]

    @property
    def definition_file(self) -> Path:
        return self.folder / "workflow.yaml"

    def seed_step(self, index: int, names: dict[str, str]) -> SeedStep:
        return msgspec.convert(filled(self.plan.seed[index], names), SeedStep)  # pyright: ignore[reportArgumentType]

    def ledgers(self, names: dict[str, str]) -> set[str]:
        """Ledgers that the seed names; the wallets' and the internal ledger exist besides."""
        steps = (filled(step, names) for step in self.plan.seed if step["do"] in ("create_ledger", "create_wallet"))
        return {step["ledger"] for step in steps if step.get("ledger")}

    def variables(self, names: dict[str, str]) -> dict[str, str]:
        return filled(self.plan.variables, names)

    def expected(self, names: dict[str, str]) -> Expected:
        return msgspec.convert(filled(self.plan.expect, names), Expected)


class TriggerRule(msgspec.Struct, frozen=True):
    """`trigger.json`: what `triggers create` takes."""

    name: str
    event: str
    filter: str
    vars: dict[str, str]


class TriggerExample(msgspec.Struct, frozen=True):
    folder: Path
    rule: TriggerRule

    @property
    def definition_file(self) -> Path:
        return self.folder / "workflow.yaml"


def filled(value: Any, names: dict[str, str]) -> Any:
    """`value` with every `${name}` in its texts replaced. Raises KeyError for an unknown name."""
    if isinstance(value, str):
        return Template(value).substitute(names)
    if isinstance(value, dict):
        return {key: filled(member, names) for key, member in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [filled(item, names) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def load_example(folder: Path) -> Example:
    plan = msgspec.json.decode((folder / "run.json").read_bytes(), type=Plan)
    return Example(name=folder.name, folder=folder, plan=plan)


def load_examples(folder: Path) -> list[Example]:
    """The examples that have a run to play; `examples/README.md` says which have none."""
    return [load_example(file.parent) for file in sorted(folder.glob("*/run.json"))]


def load_trigger_example(folder: Path) -> TriggerExample:
    return TriggerExample(folder, msgspec.json.decode((folder / "trigger.json").read_bytes(), type=TriggerRule))


def examples_folder() -> Path:
    """The examples, which are part of the package."""
    return Path(__file__).resolve().parents[1] / "examples"


def read_definition(file: Path) -> Config:
    """The one definition in a YAML file. Raises InvalidValue for what is no YAML, InvalidDefinition for a wrong one."""
    return parse_config(yaml.decode(file.read_bytes()).value)
