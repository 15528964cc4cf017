"""`headrace plan` over given books: what a person reads, what a program reads, and mistakes in either file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.display import money
from headrace.demo.stack import Stack
from headrace.planning.document import plan_hash
from tests.support.server import Server

Headrace = Callable[..., Any]

WORKFLOW = """\
name: payout
stages:
  - update: {account: {id: "users:jane", ledger: main, metadata: {formanceAccountID: acc_2}}}
  - send:
      source: {wallet: {name: jane, balance: main}}
      destination: {account: {id: "users:jane", ledger: main}}
      amount: {asset: USD/2, amount: 100}
  - send:
      source: {payment: {id: p1, ledger: main}}
      destination: {account: {id: "users:jane", ledger: main}}
      amount: {asset: USD/2, amount: 4199}
  - send:
      source: {account: {id: "users:jane", ledger: main, throughAccount: bridge}}
      destination: {payment: {psp: stripe, type: PAYOUT, waitingValidation: true}}
      amount: {asset: USD/2, amount: "${amount}"}
"""
BOOKS = """\
ledgers:
  main:
    users:jane: {balance: {USD/2: 5000}, metadata: {formanceAccountID: acc_1}}
wallets:
  - {id: w1, name: jane, ledger: main, balances: {main: {USD/2: 100}}}
payments:
  - {id: p1, amount: 4199, asset: USD/2}
"""
SHOWN = """\
Plan of payout
  with amount=10000 (100.00 USD)

Stage 0: update
  1. users:jane on ledger main gets the metadata formanceAccountID=acc_2
Stage 1: send
  2. wallet jane (balance main) pays 1.00 USD to users:jane (ledger main)
     wallet jane (balance main): 1.00 USD -> 0.00 USD
     users:jane: 50.00 USD -> 51.00 USD
Stage 2: send
  3. world pays 41.99 USD to payment:p1 (ledger main)
     payment:p1: 0.00 USD -> 41.99 USD
  4. payment:p1 pays 41.99 USD to users:jane (ledger main)
     payment:p1: 41.99 USD -> 0.00 USD
     users:jane: 51.00 USD -> 92.99 USD
Stage 3: send
  5. users:jane pays 100.00 USD to bridge (ledger main)
     users:jane: 92.99 USD -> -7.01 USD, lacks 7.01 USD
     bridge: 0.00 USD -> 100.00 USD
  6. STRIPE is asked to pay 100.00 USD to acc_2, once a person has validated
     it

Assumes that this stays so; else the run stops there
  List wallets named jane: found 1: w1
  Read wallet w1: no metadata
  Read payment p1: PAY-IN, SUCCEEDED, 41.99 USD
  Payment p1 on ledger main is not booked yet
  Read account users:jane of ledger main: formanceAccountID=acc_2

Totals
  sent 142.99 USD, booked in from payments 41.99 USD, paid out 100.00 USD
  balances as of MOMENT

The run would FAIL at stage 3.
  users:jane (ledger main) lacks 7.01 USD.
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    workflow, books = tmp_path / "payout.yaml", tmp_path / "books.yaml"
    workflow.write_text(WORKFLOW)
    books.write_text(BOOKS)
    return str(workflow), str(books)


def test_a_plan_that_fails_is_read_by_a_person(headrace: Headrace, files: tuple[str, str]) -> None:
    ran = headrace("plan", files[0], "--var", "amount=10000", "--books", files[1])
    assert (ran.code, ran.err) == (1, "")
    text, _, end = ran.out.rpartition("Plan sha256:")
    assert re.sub(r"as of 20.*", "as of MOMENT", text) == SHOWN
    assert len(end.strip()) == 64
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_plan_that_succeeds(headrace: Headrace, files: tuple[str, str]) -> None:
    ran = headrace("plan", files[0], "--var", "amount=9299", "--books", files[1])
    assert ran.code == 0
    assert "\nThe run would succeed.\nPlan sha256:" in ran.out
    assert "users:jane: 92.99 USD -> 0.00 USD\n" in ran.out


def test_a_program_reads_the_document_and_recomputes_its_hash(
    headrace: Headrace, files: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "plan.json"
    ran = headrace("plan", files[0], "--var", "amount=9299", "--books", files[1], "--out", str(out), "-o", "json")
    plan = json.loads(ran.out)["data"]["plan"]
    assert plan == json.loads(out.read_text())
    assert plan["hash"] == plan_hash(plan)
    assert plan["totals"]["USD/2"] == {"sent": 13598, "externalIn": 4199, "externalOut": 9299}


def test_the_books_may_be_those_of_a_test_of_workflows(
    headrace: Headrace, files: tuple[str, str], tmp_path: Path
) -> None:
    given = tmp_path / "test.yaml"
    given.write_text("workflow: payout.yaml\ngiven:\n" + "".join(f"  {line}\n" for line in BOOKS.splitlines()))
    assert headrace("plan", files[0], "--var", "amount=9299", "--books", str(given)).code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "variables: no value for amount"),
        (("--var", "amount"), "--variable 'amount' is not name=value"),
    ],
)
def test_a_mistake_in_the_variables_is_named(
    headrace: Headrace, files: tuple[str, str], arguments: tuple[str, ...], says: str
) -> None:
    ran = headrace("plan", files[0], *arguments, "--books", files[1])
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ledgers: {main: {users:jane: {balance: {USD/2: 1.5}}}}", 'books.ledgers.main["users:jane"].balance["USD/2"]'),
        ("ledger: {}", "books.ledger: is not known here"),
        ("[]", "books: must be an object"),
        ("a: &b 1", "anchor"),
    ],
)
def test_a_mistake_in_the_books_is_named(headrace: Headrace, files: tuple[str, str], text: str, says: str) -> None:
    Path(files[1]).write_text(text)
    ran = headrace("plan", files[0], "--var", "amount=1", "--books", files[1])
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_a_definition_that_is_not_valid_is_refused(headrace: Headrace, files: tuple[str, str]) -> None:
    Path(files[0]).write_text("stages: []")
    ran = headrace("plan", files[0], "--books", files[1])
    assert ran.code == 1
    assert "stages: must not be empty" in ran.err


def test_a_stage_that_is_not_reached_says_so(headrace: Headrace, files: tuple[str, str]) -> None:
    lacks = "{account: {id: a, ledger: nowhere}}"
    Path(files[0]).write_text(
        f"stages:\n  - send: {{source: {{account: {{id: world, ledger: main}}}}, destination: {lacks}, "
        "amount: {asset: USD/2, amount: 1}}\n  - delay: {duration: 1h}\n"
    )
    ran = headrace("plan", files[0], "--books", files[1])
    assert "Stage 1: delay (not reached)\n" in ran.out
    assert "CreateTransaction is sent to the ledger service, and declined\n" in ran.out
    assert (
        "The run would FAIL at stage 0.\n  CreateTransaction: LEDGER_NOT_FOUND: ledger nowhere does not exist"
        in ran.out
    )


@pytest.mark.parametrize(
    ("amount", "asset", "shown"),
    [
        (4000, "USD/2", "40.00 USD"),
        (-5, "USD/2", "-0.05 USD"),
        (1_234_567, "JPY", "1,234,567 JPY"),
        (0, "USDC_POLYGON/6", "0.000000 USDC_POLYGON"),
        (10**20, "BTC/8", "1,000,000,000,000.00000000 BTC"),
    ],
)
def test_amounts_are_exact(amount: int, asset: str, shown: str) -> None:
    assert money(amount, asset) == shown


# with a server


@pytest.fixture
def server(shared_server: Server) -> Server:
    stack = Stack(shared_server.url)
    stack.create_ledger("main")
    stack.close()
    return shared_server


def test_a_server_plans_a_file_a_workflow_and_a_trigger(headrace: Headrace, server: Server, tmp_path: Path) -> None:
    workflow, event = tmp_path / "top-up.yaml", tmp_path / "event.json"
    workflow.write_text(
        "name: planned-top-up\nstages:\n  - send: {source: {account: {id: world, ledger: main}}, destination: "
        '{account: {id: "users:${user}", ledger: main}}, amount: {asset: USD/2, amount: "${amount}"}}\n'
    )
    event.write_text('{"user": "jane", "amount": 40}')
    at = ("--server", server.url)
    variables = ("--var", "user=jane", "--var", "amount=40")

    by_file = headrace("plan", str(workflow), *variables, *at)
    assert (by_file.code, by_file.err) == (0, "")
    assert "  1. world pays 0.40 USD to users:jane (ledger main)\n" in by_file.out
    hash_line, stored, asked, state, needed = by_file.out.splitlines()[-5:]
    assert stored.startswith("Stored with ID: ") and asked == "Asked for by: anonymous"
    assert state.startswith("State: open until 20") and needed.startswith("Approvals needed: none by a rule")
    assert max(map(len, by_file.out.splitlines())) <= 80

    headrace("workflows", "create", str(workflow), *at)
    by_name = headrace("plan", "planned-top-up", *variables, *at, "-o", "json")
    plan = json.loads(by_name.out)["data"]["plan"]
    assert f"Plan {plan['hash']}" == hash_line
    assert plan["hash"] == plan_hash(plan)

    filled = ("--vars", "user=event.user", "--vars", "amount=event.amount")
    made = headrace("triggers", "create", "PLANNED", plan["workflowID"], *filled, "--name", "planned", *at)
    assert made.code == 0, made.err
    by_trigger = headrace("plan", "--trigger", "planned", "--event", str(event), *at, "-o", "json")
    plan = json.loads(by_trigger.out)["data"]["plan"]
    assert (plan["origin"], plan["variables"]) == ("trigger", {"user": "jane", "amount": "40"})


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--trigger", "t"),
        ("--event", "e.json"),
        ("payout", "--event", "e.json"),
        ("payout", "--trigger", "t", "--event", "e.json"),
        ("--trigger", "t", "--event", "e.json", "--var", "a=1"),
        ("--trigger", "t", "--event", "e.json", "--books", "b.yaml"),
    ],
)
def test_what_does_not_go_together_is_refused(headrace: Headrace, arguments: tuple[str, ...]) -> None:
    ran = headrace("plan", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "--trigger" in ran.err
