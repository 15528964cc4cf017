"""What the behaviour cases cannot say: that a stage leaves its input alone and answers alike every time."""

from __future__ import annotations

import copy
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidValue, StageError
from headrace.money import account_address
from headrace.workflows.activities import GetWallet, Json, ListWallets
from headrace.workflows.commands import Amend
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.send.parties import holding_account
from headrace.workflows.stages.stage import StageContext

IDS = st.text(st.sampled_from("abcXYZ019_-=+/.:|~@"), min_size=1, max_size=300)
BY_NAME: Json = {
    "source": {"wallet": {"name": "one"}},
    "destination": {"wallet": {"name": "two"}},
    "amount": {"asset": "USD/2", "amount": 100},
}


@given(IDS, IDS)
def test_holding_accounts_are_addresses_and_differ_where_ids_do(one: str, other: str) -> None:
    assert account_address(holding_account(one), "holding") == holding_account(one)
    assert (holding_account(one) == holding_account(other)) == (one == other)


@pytest.mark.parametrize(
    ("payment_id", "expected"),
    [
        ("p1", "payment:p1"),
        ("a" * 248, "payment:" + "a" * 248),
        ("a" * 249, "payment:sha256:" + hashlib.sha256(b"a" * 249).hexdigest()),
        ("a=", "payment:hex:613d"),
        ("=" * 122, "payment:hex:" + "3d" * 122),
        ("=" * 123, "payment:sha256:" + hashlib.sha256(b"=" * 123).hexdigest()),
        ("a\n", "payment:hex:610a"),
    ],
)
def test_holding_accounts(payment_id: str, expected: str) -> None:
    assert holding_account(payment_id) == expected


def test_a_run_leaves_its_body_alone_and_repeats_itself() -> None:
    stage, context = STAGES["send"], StageContext(0, BY_NAME)
    raw = copy.deepcopy(BY_NAME)
    body = stage.normalise(raw, context)
    assert raw == BY_NAME
    before = copy.deepcopy(body)
    assert _names_resolved(body, context) == _names_resolved(body, context)
    assert body == before


def _names_resolved(body: Json, context: StageContext) -> list[Json]:
    run = STAGES["send"].run(body, context)
    amendments: list[Json] = []
    command = next(run)
    while len(amendments) < 2:
        if isinstance(command, ListWallets):
            command = run.send(
                {"pageSize": 15, "data": [{"id": f"w-{command.wallet_name}", "name": command.wallet_name}]}
            )
        elif isinstance(command, GetWallet):
            command = run.send({"id": command.id, "ledger": "main", "metadata": {}})
        else:
            assert isinstance(command, Amend)
            amendments.append(command.input)
            command = run.send(None)
    run.close()
    return amendments


def test_amendments_fill_in_one_id_after_the_other() -> None:
    context = StageContext(0, BY_NAME)
    first, second = _names_resolved(STAGES["send"].normalise(BY_NAME, context), context)
    assert [side["wallet"]["id"] for side in (first["source"], first["destination"])] == ["w-one", ""]
    assert [side["wallet"]["id"] for side in (second["source"], second["destination"])] == ["w-one", "w-two"]


def test_more_wallets_than_a_page_may_hide_a_second_of_the_name() -> None:
    context = StageContext(0, BY_NAME)
    run = STAGES["send"].run(STAGES["send"].normalise(BY_NAME, context), context)
    next(run)
    with pytest.raises(StageError, match="several wallets"):
        run.send({"pageSize": 1, "hasMore": True, "data": [{"id": "w1", "name": "one"}]})


@pytest.mark.parametrize("answer", [None, [], "wallet", {}, {"ledger": None}, {"ledger": 5}])
def test_answers_that_are_no_wallet_end_the_stage(answer: object) -> None:
    body: Json = {**BY_NAME, "source": {"wallet": {"id": "w1"}}}
    context = StageContext(0, body)
    run = STAGES["send"].run(STAGES["send"].normalise(body, context), context)
    next(run)
    with pytest.raises((InvalidValue, StageError), match="wallet"):
        run.send(answer)


def test_a_payment_to_a_payment_that_was_stored_all_the_same_ends_its_stage() -> None:
    body: Json = {**BY_NAME, "source": {"payment": {"id": "p1"}}, "destination": {"payment": {"psp": "stripe"}}}
    context = StageContext(0, body)
    with pytest.raises(StageError, match="cannot be sent to a payment"):
        next(STAGES["send"].run(STAGES["send"].normalise(body, context), context))
