from __future__ import annotations

from typing import Any

import pytest

from headrace.cli.history_text import activity_lines, stage_lines
from headrace.cli.stages import status_text

Json = dict[str, Any]

AT = "2024-05-01T10:00:00.123456Z"


def stage(name: str, body: Json, **more: Any) -> Json:
    return {"name": name, "input": body, "startedAt": AT, "terminated": False, **more}


def activity(name: str, body: Json, **more: Any) -> Json:
    return {"name": name, "input": {name: body}, "startedAt": AT, "attempt": 1, "terminated": True, **more}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            stage(
                "send",
                {
                    "source": {"account": {"id": "users:1", "ledger": "shop"}},
                    "destination": {"wallet": {"id": "w", "balance": "gifts"}},
                    "amount": {"amount": 10**30, "asset": "USD/2"},
                },
            ),
            f"Send {10**28:,}.00 USD from account 'users:1' (ledger: shop) to wallet 'w' (balance: gifts)",
        ),
        (
            stage(
                "send",
                {
                    "source": {"payment": {"id": "p"}},
                    "destination": {"payment": {"psp": "wise", "type": "PAYOUT"}},
                    "amount": {"amount": 1, "asset": "EUR/2"},
                },
            ),
            "Send 0.01 EUR from payment 'p' to wise (payout)",
        ),
        (stage("delay", {"duration": "5s"}), "Pause workflow for a delay of 5s"),
        (stage("delay", {"until": AT}), "Pause workflow until 2024-05-01 10:00:00.123Z"),
        (stage("wait_event", {"event": "go"}), "Still waiting event..."),
        (stage("wait_event", {"event": "go"}, terminated=True, terminatedAt=AT), "Event received!"),
        (stage("update", {"account": {"id": "a", "ledger": "l", "metadata": {"k": "v"}}}), "Added metadata: k=v"),
        (
            stage("delay", {"duration": "5s"}, terminated=True, error="canceled"),
            "Stage terminated with error: canceled",
        ),
    ],
)
def test_stages(entry: Json, sentence: str) -> None:
    assert sentence in [line.strip() for line in stage_lines(entry, [])]


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        (
            activity(
                "CreateTransaction",
                {
                    "ledger": "shop",
                    "data": {
                        "metadata": {"k": "v"},
                        "reference": "headrace:i:0:0",
                        "postings": [{"source": "a", "destination": "b", "amount": 5, "asset": "JPY"}],
                    },
                },
                output={"CreateTransaction": {"data": {"id": 7}}},
            ),
            [
                "- Send 5 JPY from account a to account b (ledger shop)",
                "Created transaction: 7",
                "Reference: headrace:i:0:0",
                "Added metadata: k=v",
            ],
        ),
        (
            activity(
                "CreditWallet",
                {
                    "id": "w",
                    "data": {
                        "amount": {"amount": 5, "asset": "JPY"},
                        "sources": [{"type": "WALLET", "identifier": "v", "balance": "main"}],
                        "balance": "main",
                        "metadata": {},
                    },
                },
                terminated=False,
                attempt=3,
                lastFailure="wallets: 503",
                nextExecution=AT,
            ),
            [
                "- Credit wallet w (balance: main) of 5 JPY from wallet v (balance: main)",
                "Last failure: wallets: 503",
                "Next try: 2024-05-01 10:00:00.123Z",
                "Attempt: 3",
            ],
        ),
        (
            activity(
                "DebitWallet",
                {"id": "w", "data": {"amount": {"amount": 5, "asset": "JPY"}, "balances": ["main"], "metadata": {}}},
                error="no funds",
            ),
            ["- Debit wallet w (balance: main) of 5 JPY to @world", "Error: no funds"],
        ),
        (
            activity("StripeTransfer", {"amount": 10**30, "asset": "USD/2", "destination": "acct"}),
            [f"- Send {10**28:,}.00 USD to Stripe connected account: acct"],
        ),
        (activity("ConfirmHold", {"id": "h"}), ["- Confirm debit hold h"]),
        (activity("VoidHold", {"id": "h"}), ["- Cancel debit hold h"]),
        (
            activity(
                "RevertTransaction", {"id": "1", "ledger": "l"}, output={"RevertTransaction": {"data": {"id": 2}}}
            ),
            ["- Revert transaction 1 of ledger l", "Created transaction: 2"],
        ),
        (activity("GetAccount", {"id": "a", "ledger": "l"}), ["- Read account a of ledger l"]),
        (activity("ListWallets", {"name": "n"}), ["- List wallets named n"]),
        (activity("SomethingNew", {}), ["- SomethingNew"]),
    ],
)
def test_activities(entry: Json, lines: list[str]) -> None:
    assert [line.strip() for line in activity_lines(entry)] == lines


@pytest.mark.parametrize(
    ("amount", "asset", "text"),
    [
        (19000, "EUR/2", "190.00 EUR"),
        ("123450", "EUR/2", "1,234.50 EUR"),
        (7, "BTC/8", "0.00000007 BTC"),
        (1.5, "EUR/2", "1.5 EUR/2"),
        (5, "eur/x", "5 eur/x"),
    ],
)
def test_amounts_are_money_as_a_plan_writes_it(amount: object, asset: str, text: str) -> None:
    """What is no amount or no asset, of another server, is shown as it is."""
    [line] = activity_lines(activity("StripeTransfer", {"amount": amount, "asset": asset, "destination": "acct"}))
    assert line == f"- Send {text} to Stripe connected account: acct"


@pytest.mark.parametrize("name", ["CreateTransaction", "CreditWallet", "DebitWallet", "CreateTransferInitiation"])
@pytest.mark.parametrize(
    "body", [{}, {"data": {"metadata": {}}}, {"data": {"postings": []}}, {"id": "w", "amount": {"amount": 1}}]
)
def test_what_another_server_leaves_out_is_no_bug(name: str, body: Json) -> None:
    """The API requires none of it: a transaction by script has no postings there."""
    first, *_ = activity_lines(activity(name, body))
    assert first.startswith("- ")


@pytest.mark.parametrize(
    ("instance", "description", "text"),
    [
        ({"terminated": True}, {}, "succeeded"),
        ({"terminated": True, "error": "no funds"}, {}, "failed"),
        ({"terminated": True, "error": "canceled"}, {}, "aborted"),
        (
            {"terminated": True},
            {"successor": {"kind": "undo"}, "undo": {"state": "undone_but"}},
            "succeeded, then undone except for what is kept",
        ),
        ({"terminated": True}, {"kind": "undo", "undo": {"state": "undone"}}, "succeeded"),
        ({"terminated": False, "status": [{"stage": 0}]}, {"approval": {"needed": 2}}, "waiting for approvals"),
        ({"terminated": False}, {}, "running"),
        ({"terminated": False, "status": [{"stage": 0}]}, {}, "waiting for event go"),
        ({"terminated": False, "status": [{"stage": 1}]}, {}, "waiting for an event"),
        ({"terminated": False, "status": [{"stage": 2}]}, {}, "waiting for the end of a delay"),
        ({"terminated": False, "status": [{"stage": 2, "terminatedAt": AT}]}, {}, "running"),
        ({"terminated": False, "status": [{"stage": 3}]}, {}, "running"),
        ({"terminated": False, "status": [{"stage": 4}]}, {}, "running"),
    ],
)
def test_status(instance: Json, description: Json, text: str) -> None:
    stages: list[Json] = [
        {"when": "true", "wait_event": {"event": "go"}},
        {"wait_event": {"event": "go-${order}"}},
        {"delay": {"duration": "5s"}},
        {"send": {}},
    ]
    assert status_text(instance, description, stages) == text
