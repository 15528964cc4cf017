"""Histories decode to the class of their stage and activity, and lose nothing."""

from __future__ import annotations

from typing import Any

import pytest

import headrace_client as api
from headrace_client import activities, stages

NOW = "2024-05-01T10:00:00Z"
BIG = 10**30
AMOUNT = {"amount": BIG, "asset": "USD/2"}


async def _stage(stub: Any, caller: Any, name: str, body: Any) -> Any:
    stub.data([{"name": name, "input": body, "terminated": True, "startedAt": NOW}])
    (entry,) = (await caller("get_instance_history", instance_id="i1")).data
    assert isinstance(entry, api.WorkflowInstanceHistory)
    return entry.input


STAGES: list[tuple[str, dict[str, Any], Any]] = [
    (
        "send",
        {
            "source": {"account": {"id": "users:1", "ledger": "main", "throughAccount": "bridge"}},
            "destination": {"wallet": {"id": "", "name": "alice", "balance": "main"}},
            "amount": AMOUNT,
            "metadata": {"k": "v"},
        },
        api.StageSend(
            source=stages.StageSendSource(account=stages.StageSendAccount("users:1", "main", "bridge")),
            destination=stages.StageSendDestination(wallet=stages.StageSendWallet("", "alice", "main")),
            amount=stages.Monetary("USD/2", BIG),
            metadata={"k": "v"},
        ),
    ),
    (
        "send",
        {
            "source": {"payment": {"id": "p1", "holdingAccount": "hold", "allowOverdraft": True}},
            "destination": {"payment": {"psp": "stripe", "type": "PAYOUT", "connectorID": "c", "metadata": "key"}},
        },
        api.StageSend(
            source=stages.StageSendSource(
                payment=stages.StageSendSourcePayment("p1", holding_account="hold", allow_overdraft=True)
            ),
            destination=stages.StageSendDestination(
                payment=stages.StageSendDestinationPayment("stripe", "PAYOUT", connector_id="c", metadata="key")
            ),
        ),
    ),
    ("send", {}, api.StageSend()),
    ("delay", {"duration": "5s"}, api.StageDelay(duration="5s")),
    ("wait_event", {"event": "go"}, api.StageWaitEvent(event="go")),
    (
        "update",
        {"account": {"id": "a", "ledger": "l", "metadata": {"k": "v"}}},
        api.Update(account=stages.UpdateAccount("a", "l", {"k": "v"})),
    ),
]


@pytest.mark.parametrize(("name", "body", "expected"), STAGES)
async def test_name_decides(stub: Any, caller: Any, name: str, body: Any, expected: Any) -> None:
    assert await _stage(stub, caller, name, body) == expected


@pytest.mark.parametrize(("name", "body", "expected"), [row for row in STAGES if row[1]])
async def test_members_decide_where_the_name_is_unknown(
    stub: Any, caller: Any, name: str, body: Any, expected: Any
) -> None:
    assert await _stage(stub, caller, f"Run{name}", body) == expected


async def test_delay_until_keeps_its_zone(stub: Any, caller: Any) -> None:
    delay = await _stage(stub, caller, "delay", {"until": "2024-05-01T12:00:00+02:00"})
    assert delay.until.isoformat() == "2024-05-01T12:00:00+02:00"


@pytest.mark.parametrize("body", [{}, {"loop": 3}, {"event": "x", "duration": "5s"}])
async def test_an_unknown_stage_keeps_its_members(stub: Any, caller: Any, body: Any) -> None:
    assert await _stage(stub, caller, "loop", body) == api.UnknownStage(members=body)


@pytest.mark.parametrize(
    ("name", "body", "reason"),
    [
        ("send", {"amount": {"amount": "${amount}", "asset": "USD/2"}}, "$.amount.amount"),
        ("send", {"amount": {"amount": 1.0, "asset": "USD/2"}}, "got `float`"),
        ("wait_event", {}, "`event`"),
        ("delay", {"until": "2024-05-01T10:00:00"}, "timezone"),
    ],
)
async def test_a_body_that_does_not_fit_is_an_error(stub: Any, caller: Any, name: str, body: Any, reason: str) -> None:
    with pytest.raises(api.SDKError) as caught:
        await _stage(stub, caller, name, body)
    assert reason in str(caught.value)
    assert "$[0].input" in str(caught.value)


async def test_an_entry_of_the_stage_history(stub: Any, caller: Any) -> None:
    posting = {"source": "a", "destination": "b", **AMOUNT}
    transaction = {"id": BIG, "reverted": False, "timestamp": NOW, "metadata": {}, "postings": [posting]}
    entry = {
        "name": "CreateTransaction",
        "attempt": 3,
        "terminated": False,
        "startedAt": NOW,
        "lastFailure": "ledger: 503",
        "nextExecution": "2024-05-01T10:00:01.000000001Z",
        "input": {"CreateTransaction": {"ledger": "main", "data": {"metadata": {}, "postings": [posting]}}},
        "output": {"CreateTransaction": {"data": {**transaction, "postCommitVolumes": {}}}},
    }
    stub.data([entry])
    (found,) = (await caller("get_instance_stage_history", instance_id="i1", number=2)).data
    assert stub.targets == ["/api/orchestration/instances/i1/stages/2/history"]
    assert (found.attempt, found.last_failure, found.error) == (3, "ledger: 503", None)
    assert found.next_execution.isoformat() == "2024-05-01T10:00:01+00:00"
    expected = activities.Posting(amount=BIG, asset="USD/2", source="a", destination="b")
    assert found.input.create_transaction.data.postings == [expected]
    assert found.input.activity is found.input.create_transaction
    assert found.output.create_transaction.data.id == BIG
    assert found.output.activity.data.postings == [expected]


INPUTS: list[tuple[str, dict[str, Any], type]] = [
    ("GetAccount", {"id": "a", "ledger": "l"}, activities.ActivityGetAccount),
    ("AddAccountMetadata", {"id": "a", "ledger": "l", "metadata": {}}, activities.ActivityAddAccountMetadata),
    ("RevertTransaction", {"id": "7", "ledger": "l"}, activities.ActivityRevertTransaction),
    ("StripeTransfer", {"amount": BIG, "connectorID": "c"}, activities.StripeTransferRequest),
    ("CreateTransferInitiation", {"amount": BIG, "provider": "wise"}, activities.CreateTransferInitiationRequest),
    ("GetPayment", {"id": "p"}, activities.ActivityGetPayment),
    ("ConfirmHold", {"id": "h"}, activities.ActivityConfirmHold),
    ("VoidHold", {"id": "h"}, activities.ActivityVoidHold),
    ("GetWallet", {"id": "w"}, activities.ActivityGetWallet),
    ("ListWallets", {"name": "alice"}, activities.ActivityListWallets),
    (
        "CreditWallet",
        {
            "id": "w",
            "data": {"amount": AMOUNT, "sources": [{"type": "ACCOUNT", "identifier": "world"}], "metadata": {}},
        },
        activities.ActivityCreditWallet,
    ),
    (
        "DebitWallet",
        {"id": "w", "data": {"amount": AMOUNT, "destination": {"type": "WALLET", "identifier": "x"}, "metadata": {}}},
        activities.ActivityDebitWallet,
    ),
]
PAYMENT = {
    "id": "p",
    "reference": "r",
    "connectorID": "c",
    "provider": "A-NEW-ONE",
    "sourceAccountID": "",
    "destinationAccountID": "",
    "type": "PAY-IN",
    "status": "REFUNDED",
    "scheme": "other",
    "asset": "USD/2",
    "initialAmount": BIG,
    "createdAt": NOW,
    "raw": None,
    "adjustments": [{"status": "X", "amount": 1, "date": NOW, "raw": {}, "absolute": True}],
    "metadata": None,
}
WALLET = {"id": "w", "name": "alice", "metadata": {}, "createdAt": NOW, "ledger": "wallets-002"}
OUTPUTS: list[tuple[str, dict[str, Any], type]] = [
    ("GetAccount", {"data": {"address": "a", "metadata": {}}}, activities.AccountOutput),
    ("GetPayment", {"data": PAYMENT}, activities.PaymentOutput),
    ("DebitWallet", {"data": {"id": "h", "walletID": "w", "metadata": {}, "description": ""}}, activities.HoldOutput),
    ("GetWallet", {"data": {**WALLET, "balances": {"main": {"assets": {"USD/2": BIG}}}}}, activities.WalletOutput),
    ("ListWallets", {"cursor": {"pageSize": 15, "hasMore": False, "data": [WALLET]}}, activities.WalletsOutput),
]


async def _activity(stub: Any, caller: Any, **members: Any) -> Any:
    entry = {"name": "x", "input": {}, "attempt": 1, "terminated": True, "startedAt": NOW, **members}
    stub.data([entry])
    return (await caller("get_instance_stage_history", instance_id="i1", number=0)).data[0]


@pytest.mark.parametrize(("name", "body", "kind"), INPUTS)
async def test_inputs_are_typed(stub: Any, caller: Any, name: str, body: Any, kind: type) -> None:
    entry = await _activity(stub, caller, input={name: body})
    assert type(entry.input.activity) is kind


@pytest.mark.parametrize(("name", "body", "kind"), OUTPUTS)
async def test_outputs_are_typed(stub: Any, caller: Any, name: str, body: Any, kind: type) -> None:
    entry = await _activity(stub, caller, output={name: body})
    assert type(entry.output.activity) is kind


async def test_subjects_are_told_apart(stub: Any, caller: Any) -> None:
    entry = await _activity(stub, caller, input={INPUTS[-2][0]: INPUTS[-2][1]})
    assert entry.input.credit_wallet.data.sources == [activities.LedgerAccountSubject("world")]
    entry = await _activity(stub, caller, input={INPUTS[-1][0]: INPUTS[-1][1]})
    assert entry.input.debit_wallet.data.destination == activities.WalletSubject("x")


async def test_balances_stay_exact(stub: Any, caller: Any) -> None:
    entry = await _activity(stub, caller, output={OUTPUTS[3][0]: OUTPUTS[3][1]})
    assert entry.output.get_wallet.data.balances.main.assets == {"USD/2": BIG}


async def test_an_unknown_activity_is_no_error(stub: Any, caller: Any) -> None:
    entry = await _activity(stub, caller, input={"MoonTransfer": {"id": "x"}}, output=None, lastFailure=None)
    assert entry.input.activity is None
    assert entry.output is None
