"""`headrace instances redrive` and `undo`: they show what would be sent, and ask before anything starts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from docs.generator.examples import World
from headrace.api.app import TABLE
from headrace.cli import display
from headrace.cli.undo_text import undo_lines
from headrace_client import CaseEffect, KeptEffect, UndoPreview
from tests.cli.conftest import Ran
from tests.support.server import Server

Headrace = Callable[..., Ran]
(REDRIVEN,) = (row for row in TABLE if row.operation_id == "redriveInstance")
REASON = ("--reason", "the account is funded")


@pytest.fixture
def failed(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of an instance whose first stage is done, and whose second lacks funds."""
    world = World.made(shared_server)
    world.prepare(REDRIVEN)
    monkeypatch.setattr(display, "terminal_width", lambda: 80)
    yield world.ids["INSTANCE"]
    world.close()


@pytest.fixture
def ask(headrace: Headrace, shared_server: Server) -> Headrace:
    return lambda *arguments: headrace(*arguments, "--server", shared_server.url)


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("redrive", ("users:43 pays 9.00 USD to shop", "Stage 0: send (done before)")),
        ("undo", ("Reverts 1 effect", "  1. shop gives back 9.00 USD to users:42 (transaction ")),
    ],
)
def test_it_shows_what_it_would_send_and_asks_first(
    ask: Headrace, failed: str, command: str, shown: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = ask("instances", command, failed, *REASON)
    assert refused.code == 2 and "add --yes" in refused.err and all(text in refused.err for text in shown)
    answers = iter((False, True))
    monkeypatch.setattr("typer.confirm", lambda *_, **__: next(answers))
    with monkeypatch.context() as patched:
        patched.setattr(f"headrace.cli.{command}.sys", type("Sys", (), {"stdin": Terminal()}))
        unsure = ask("instances", command, failed, *REASON)
        assert unsure.code == 1 and "nothing was started" in unsure.err
        sure = ask("instances", command, failed, *REASON)
    assert sure.code == 0 and "with ID: " in sure.out
    described = ask("instances", "show", failed).out
    if command == "undo":
        undone = ask("instances", "show", sure.out.split()[-1]).out
        (plan_id,) = re.findall(r"^Plan +(\S+)$", undone, re.MULTILINE)
        plan = json.loads(ask("plans", plan_id, "-o", "json").out)["data"]["plan"]
        assert f"Plan {plan['hash']}" in sure.err, "it is kept to the plan that was shown"
    assert f"({command})" in described and sure.out.split()[-1] in described


def test_a_redrive_prints_its_id_and_a_second_one_is_refused(ask: Headrace, failed: str) -> None:
    made = ask("instances", "redrive", failed, *REASON, "--yes", "-q")
    assert made.code == 0 and len(made.out.split()) == 1
    for command in ("redrive", "undo"):
        again = ask("instances", command, failed, *REASON, "--yes", "-o", "json")
        error: dict[str, Any] = json.loads(again.err)
        assert again.code == 1 and made.out.strip() in error["errorMessage"]
    planned = ask("plan", "--redrive", failed)
    assert planned.code == 1 and f"is continued already by {made.out.strip()}" in planned.err


def test_a_long_error_is_printed_once(ask: Headrace, failed: str) -> None:
    error = json.loads(ask("instances", "show", failed, "-o", "json").out)["data"]["workflowInstance"]["error"]
    shown = ask("instances", "show", failed).out
    assert " ".join(shown.split()).count(error) == 1
    assert re.search(r"^Error +INSUFFICIENT_FUND|^Error +.*INSUFFICIENT_FUND", shown, re.MULTILINE)
    assert "see above" in shown.rpartition("Ended at")[2]


def test_an_undo_is_previewed_and_its_choices_are_named(ask: Headrace, failed: str) -> None:
    preview = json.loads(ask("instances", "undo", failed, *REASON, "--preview", "-o", "json").out)["data"]["undo"]
    assert [next(iter(stage["revert"])) for stage in preview["stages"]] == ["transaction"] and preview["kept"] == []
    assert ask("instances", "undo", failed, "--preview").code == 0, "a look needs no reason"
    reasonless = ask("instances", "undo", failed, "--yes")
    assert reasonless.code == 2 and "add --reason TEXT" in reasonless.err
    wrong = ask("instances", "undo", failed, *REASON, "--external", "force")
    assert wrong.code == 2 and "neither keep nor reverse" in wrong.err
    assert ask("plan", "--redrive", failed, "--var", "a=b").code == 2


PAYOUT_KEY, SENT_KEY = "headrace:i:0:1", "headrace:i:0:0"
AMOUNT = {"amount": 500, "asset": "USD/2"}
ASKED = {**AMOUNT, "provider": "stripe", "type": "PAYOUT", "destination": "acc_9"}
FUNDED = [{"source": "sales", "destination": "world", "amount": 500, "asset": "USD/2"}]


def preview_of(stages: list[Any], kept: dict[str, str], *, names_effects: bool = True) -> UndoPreview:
    effects = [
        CaseEffect(key=SENT_KEY, activity="CreateTransaction", input={"ledger": "main", "data": {"postings": FUNDED}}),
        CaseEffect(key=PAYOUT_KEY, activity="CreateTransferInitiation", input=ASKED),
        CaseEffect(
            key="c", activity="CreditWallet", input={"id": "w", "data": {"amount": {"amount": 500, "asset": "USD/2"}}}
        ),
    ]
    left = [
        KeptEffect(key=each.key, stage=0, ordinal=0, activity=each.activity, reason=kept[each.key])
        for each in effects
        if each.key in kept
    ]
    return UndoPreview(stages=stages, kept=left, blocked=[], effects=effects if names_effects else None)


def test_a_paid_payout_is_kept_by_its_amount_with_the_way_to_reverse_it() -> None:
    kept = {
        PAYOUT_KEY: "the payout is paid",
        SENT_KEY: f"it funded the payout {PAYOUT_KEY}, which is paid",
        "c": "a person said that it was booked",
    }
    lines = undo_lines(preview_of([], kept), external="keep")
    assert lines == [
        "Nothing can be taken back.",
        "",
        "Keeps",
        "  5.00 USD from sales to world: it funded the payout of 5.00 USD to acc_9,",
        "    which is paid",
        "  the payout of 5.00 USD to acc_9: it is paid",
        "  5.00 USD to wallet w: a person said that it was booked",
        "",
        "--external reverse asks the provider to reverse a payout that is paid.",
    ]
    earlier = undo_lines(preview_of([], {PAYOUT_KEY: "it is so"}, names_effects=False), external="reverse")
    assert earlier[-2:] == ["Keeps", "  CreateTransferInitiation of stage 0: it is so"]


def test_what_an_undo_reverts_is_shown_as_money_that_is_given_back() -> None:
    stages: list[Any] = [
        {"revert": {"wallet": {"id": "w", "key": "c", **AMOUNT}}},
        {"revert": {"initiation": {"reference": PAYOUT_KEY, "external": "keep", **AMOUNT}}},
        {"revert": {"transaction": {"id": 3, "ledger": "main", "reference": SENT_KEY, "unlessPaid": PAYOUT_KEY}}},
    ]
    assert undo_lines(preview_of(stages, {}), external="keep") == [
        "Reverts 3 effects, the last one first",
        "  1. wallet w gives back 5.00 USD",
        "  2. the payout of 5.00 USD to acc_9 is rejected, or kept if it is paid",
        "  3. world gives back 5.00 USD to sales (transaction 3 of ledger main),",
        "     unless the payout it funded is paid",
    ]
    assert undo_lines(preview_of(stages, {}, names_effects=False), external="keep")[1:] == [
        "  1. wallet w gives back 5.00 USD",
        "  2. the payout of 5.00 USD is rejected, or kept if it is paid",
        "  3. transaction 3 of ledger main, unless the payout it funded is paid",
    ]


def test_a_plan_continues_or_undoes_an_instance_and_options_that_exclude_each_other_are_named(
    ask: Headrace, failed: str
) -> None:
    for command, options in (
        ("redrive", ("--accept-failure",)),
        ("redrive", ("--skip", "--plan", "p")),
        ("undo", ("--accept-failure",)),
        ("undo", ("--plan", "p", "--external", "reverse")),
        ("undo", ("--plan", "p", "--preview")),
    ):
        assert ask("instances", command, failed, *REASON, *options).code == 2, (command, options)
    assert ask("plan", "--redrive", failed, "--external", "keep").code == 2
    assert ask("plan", "--redrive", failed, "--undo", failed).code == 2
    unsure = ask("instances", "redrive", failed, *REASON, "--skip")
    assert unsure.code == 2 and "add --yes" in unsure.err
    refused = ask("instances", "redrive", failed, *REASON, "--skip", "--yes")
    assert refused.code == 1 and "is no undo" in refused.err
    shown = ask("plan", "--undo", failed)
    assert shown.code == 0 and "Stage 0: revert" in shown.out and "The run would succeed." in shown.out
    plan = shown.out.partition("Stored with ID: ")[2].partition("\n")[0]
    wrong = ask("instances", "redrive", failed, *REASON, "--plan", plan, "--yes")
    assert wrong.code == 1 and "planID" in wrong.err
    assert ask("run", "--plan", plan).code == 1
    undone = ask("instances", "undo", failed, *REASON, "--plan", plan, "--yes", "-q")
    assert undone.code == 0 and len(undone.out.split()) == 1
    shown = ask("instances", "show", failed).out
    assert undone.out.split()[0] in shown
    assert re.search(r"^Status +failed, then undone$", shown, re.MULTILINE)
    assert re.search(r"^Status +succeeded$", ask("instances", "show", undone.out.strip()).out, re.MULTILINE)
    again = ask("plan", "--undo", failed)
    assert again.code == 1 and f"was undone already by {undone.out.strip()}" in again.err
