"""Whatever text a variable brings in: either every command is well formed, or nothing is asked of any service."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.errors import InvalidValue, StageError
from headrace.workflows.activities import (
    Activity,
    AddAccountMetadata,
    CreateTransaction,
    CreateTransferInitiation,
    CreditWallet,
    DebitWallet,
    GetAccount,
    GetPayment,
    GetWallet,
    Json,
    ListWallets,
)
from headrace.workflows.config import parse_config
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.stage import StageContext
from headrace.workflows.variables import expand

ADDRESS = re.compile(r"[a-zA-Z0-9_-]+(:[a-zA-Z0-9_-]+)*\Z", re.ASCII)
ASSET = re.compile(r"[A-Z][A-Z0-9]{0,16}(_[A-Z]{1,16})?(/[0-9]{1,6})?\Z", re.ASCII)
LEDGER = re.compile(r"[0-9a-zA-Z_-]{1,63}\Z", re.ASCII)
PRINTABLE = re.compile(r"[!-~]+\Z", re.ASCII)

SOURCES: list[Json] = [
    {"account": {"id": "${id}", "ledger": "${ledger}", "throughAccount": "${through}"}},
    {"wallet": {"id": "${id}", "balance": "${balance}"}},
    {"wallet": {"name": "${id}", "balance": "${balance}"}},
    {"payment": {"id": "${id}", "ledger": "${ledger}", "holdingAccount": "${holding}", "throughAccount": "${through}"}},
]
DESTINATIONS: list[Json] = [
    *SOURCES[:3],
    {"payment": {"psp": "${psp}", "sourceAccount": "${id}", "metadata": "${key}", "connectorID": "${id}"}},
]
AMOUNT = {"asset": "${asset}", "amount": "${amount}"}
STAGES_UNDER_TEST: list[Json] = [
    {"send": {"source": source, "destination": destination, "amount": AMOUNT}}
    for source in SOURCES
    for destination in DESTINATIONS
    if not ("payment" in source and "payment" in destination)
] + [{"update": {"account": {"id": "${id}", "ledger": "${ledger}", "metadata": {"a": "${key}"}}}}]

GOOD: dict[str, str] = {
    "id": "users",
    "ledger": "main",
    "through": "world",
    "balance": "main",
    "holding": "h",
    "psp": "p",
}
GOOD |= {"key": "k", "asset": "USD/2", "amount": "100"}
HOSTILE = st.sampled_from(
    [
        "a\n",
        "a\nb",
        ")",
        "x) destination = @world",
        "send [USD/2 100] (",
        "../main",
        "a/../b",
        "%2f",
        "..",
        ".",
        "\uff11",
        "\u0430",
        "a:",
        ":a",
        "a::b",
        "a" * 257,
        "a" * 10_000,
        "",
        " ",
        "\t",
        "\x7f",
        "${id}",
        "-1",
        "1e3",
        "01",
        "1.0",
        "9" * 1_001,
        "usd",
        "é",
        "\u202e",
        "a?b",
        "a#b",
        "a;b",
        "a=b",
        '"',
        "'",
        "\\",
        "world",
    ]
)
VALUES = st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, HOSTILE | st.text(max_size=8)))


def answer(read: Activity) -> Json:
    match read:
        case GetPayment():
            return {"type": "PAY-IN", "status": "SUCCEEDED", "asset": "USD/2", "initialAmount": 10**1_000 - 1}
        case GetWallet():
            return {"id": read.id, "ledger": "main", "metadata": {"k": "acct"}}
        case ListWallets():
            return {"pageSize": 15, "data": [{"id": "w1", "name": read.wallet_name}]}
        case _:
            return {"address": "x", "metadata": {"k": "acct"}}


def commands_of(stage: Json, variables: dict[str, str]) -> tuple[list[Any], bool]:
    """The commands, and whether the stage ended with an error."""
    ((keyword, raw),) = stage.items()
    context = StageContext(0, raw)
    commands: list[Any] = []
    try:
        body = STAGES[keyword].normalise(expand(raw, variables), context)
        generator, result = STAGES[keyword].run(body, context), None
        while True:
            command = generator.send(result)
            commands.append(command)
            result = answer(command) if isinstance(command, Activity) and not command.is_effect else None
    except StopIteration:
        return commands, False
    except (InvalidValue, StageError):
        return commands, True


@given(st.sampled_from(STAGES_UNDER_TEST), VALUES)
@settings(max_examples=5 * settings().max_examples)
@example(STAGES_UNDER_TEST[0], {"id": "a\n"})
@example(STAGES_UNDER_TEST[-1], {"ledger": "../x"})
def test_hostile_values_never_reach_a_command(stage: Json, bad: dict[str, str]) -> None:
    commands, has_failed = commands_of(stage, GOOD | bad)
    for command in commands:
        if isinstance(command, Activity):
            assert_well_formed(command)
    if has_failed:
        assert not any(isinstance(command, Activity) and command.is_effect for command in commands)


@given(st.sampled_from(STAGES_UNDER_TEST))
def test_good_values_end_well(stage: Json) -> None:
    parse_config({"stages": [stage]})
    commands, has_failed = commands_of(stage, GOOD)
    assert not has_failed
    assert any(isinstance(command, Activity) and command.is_effect for command in commands)


def assert_well_formed(command: Activity) -> None:
    json.dumps(command.input("key"), ensure_ascii=False).encode()
    match command:
        case CreateTransaction():
            assert LEDGER.match(command.ledger)
            assert_posting(command.posting)
        case CreditWallet() | DebitWallet():
            assert LEDGER.match(command.id) and ASSET.match(command.asset) and isinstance(command.amount, int)
        case CreateTransferInitiation():
            assert all(PRINTABLE.match(text) for text in (command.provider, command.destination, command.source or "x"))
        case AddAccountMetadata() | GetAccount():
            assert ADDRESS.match(command.id) and LEDGER.match(command.ledger)
        case GetPayment() | GetWallet():
            assert PRINTABLE.match(command.id)
            assert not {".", ".."} & set(command.id.split("/"))
        case _:
            pass


def assert_posting(posting: dict[str, Any]) -> None:
    for side in ("source", "destination"):
        assert ADDRESS.match(posting[side]) and len(posting[side]) <= 256
    assert ASSET.match(posting["asset"])
    assert type(posting["amount"]) is int and 0 <= posting["amount"] < 10**1_000
