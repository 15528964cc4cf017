"""An activity says everything about itself, or it cannot be defined."""

from __future__ import annotations

import runpy
from types import ModuleType
from typing import Any

import pytest

from headrace.cli import plan_text
from headrace.effects.services import SEARCHES
from headrace.money import posting
from headrace.planning import planner
from headrace.workflows import undo
from headrace.workflows.activities import ACTIVITIES, Activity, CreateTransaction, Family
from headrace.workflows.activity import check_complete

FAMILIES = {
    "GetAccount": Family.READ,
    "GetPayment": Family.READ,
    "GetWallet": Family.READ,
    "ListWallets": Family.READ,
    "CreateTransaction": Family.TRANSACTION,
    "AddAccountMetadata": Family.METADATA,
    "CreditWallet": Family.WALLET,
    "DebitWallet": Family.WALLET,
    "CreateTransferInitiation": Family.INITIATION,
    "GetTransaction": Family.READ,
    "RevertTransaction": Family.REVERT,
    "ListWalletTransactions": Family.READ,
    "ListTransferInitiations": Family.READ,
    "GetTransferInitiation": Family.READ,
    "AwaitReversal": Family.READ,
    "RejectTransferInitiation": Family.REVERSAL,
    "ReverseTransferInitiation": Family.REVERSAL,
}


def complete(**changes: Any) -> dict[str, Any]:
    """The members of an effect's class that lacks nothing."""
    return {
        "name": "HoldWallet",
        "service": "wallets",
        "family": Family.WALLET,
        "known_by": "`reference`",
        "input": lambda self, key: {},
        "summary": classmethod(lambda cls, shown: ""),
        "booked": lambda self, result: "",
        "searched": classmethod(lambda cls, shown: []),
        "movements": classmethod(lambda cls, shown: []),
        "example": classmethod(lambda cls: cls()),
        **changes,
    }


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = dict(ACTIVITIES)
    monkeypatch.setattr("headrace.workflows.activity.REGISTRY", kept)


def test_each_activity_is_settled_as_its_service_allows() -> None:
    assert {name: activity.family for name, activity in ACTIVITIES.items()} == FAMILIES


def test_what_books_a_whole_payment_is_an_ingestion() -> None:
    moved = posting("world", "payment:p", 1, "USD/2")
    assert CreateTransaction("main", moved).settlement is Family.TRANSACTION
    assert CreateTransaction("main", moved, payment_id="p").settlement is Family.INGESTION


@pytest.mark.parametrize("activity", ACTIVITIES.values(), ids=list(ACTIVITIES))
def test_only_a_read_is_no_effect(activity: type[Activity]) -> None:
    example = activity.example()
    assert activity.is_effect == (activity.family is not Family.READ) == (activity.name in SEARCHES)
    assert activity.summary(example.input("key" if activity.is_effect else ""))
    if activity.is_effect:
        assert example.booked({})


def test_a_complete_class_is_registered() -> None:
    made = type("HoldWallet", (Activity,), complete())
    assert made.is_effect  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "fact", ["name", "service", "family", "known_by", "input", "summary", "booked", "movements", "searched", "example"]
)
def test_a_class_that_leaves_out_a_fact_is_refused(fact: str) -> None:
    members = complete()
    del members[fact]
    with pytest.raises(TypeError, match=f"HoldWallet.*`{fact}`"):
        type("HoldWallet", (Activity,), members)


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two activities are named CreditWallet"):
        type("HoldWallet", (Activity,), complete(name="CreditWallet"))


def test_an_activity_that_the_effects_forget_is_refused() -> None:
    with pytest.raises(TypeError, match="no look-up for HoldWallet"):
        check_complete(SEARCHES, [*SEARCHES, "HoldWallet"], "look-up")


@pytest.mark.parametrize(
    ("module", "what"),
    [(planner, "plan"), (undo, "undo"), (plan_text, "sentence")],
    ids=["planner", "undo", "plan_text"],
)
def test_an_effect_that_a_table_of_all_effects_forgets_is_an_error_at_import(module: ModuleType, what: str) -> None:
    type("HoldWallet", (Activity,), complete())
    assert module.__file__
    with pytest.raises(TypeError, match=f"no {what} for HoldWallet: add it to "):
        runpy.run_path(module.__file__, run_name="a_copy")
