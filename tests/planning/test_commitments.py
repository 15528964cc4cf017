"""A commitment holds what an effect does, all of it, and nothing of the instance that does it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest

from headrace.errors import InvalidValue
from headrace.planning.canonical import canonical_json, sha
from headrace.planning.commitments import commitment_of
from headrace.workflows.activities import ACTIVITIES, Activity, CreateTransaction, CreateTransferInitiation, DebitWallet

EFFECTS = [activity.example() for activity in ACTIVITIES.values() if activity.is_effect]
OTHER: dict[str, Any] = {
    "ledger": "other",
    "posting": {"source": "users:2", "destination": "merchants:7", "amount": 2500, "asset": "USD/2"},
    "metadata": {"order": "2"},
    "timestamp": "2024-05-01T10:00:00Z",
    "allow_overdraft": True,
    "force": True,
    "payment_id": "other",
    "id": "other",
    "amount": 2501,
    "asset": "EUR/2",
    "sources": [{"type": "ACCOUNT", "identifier": "users:2"}],
    "balance": "coupons",
    "balances": ["coupons"],
    "destination": {"type": "ACCOUNT", "identifier": "users:2"},
    "provider": "wise",
    "source": "acct_2",
    "type": "TRANSFER",
    "connector_id": "other",
    "waiting_validation": True,
    "description": "other",
}


def changed() -> list[Any]:
    return [
        pytest.param(effect, name, id=f"{effect.name}-{name}")
        for effect in EFFECTS
        for name in (each.name for each in fields(effect))
    ]


@pytest.mark.parametrize(("effect", "name"), changed())
def test_any_change_of_an_effect_changes_its_commitment(effect: Activity, name: str) -> None:
    """Each field of each activity, so a signed plan cannot be met by another effect."""
    special = {("CreateTransferInitiation", "destination"): "acct_2", ("RevertTransaction", "id"): 8}
    other = special.get((effect.name, name), OTHER[name])
    assert getattr(effect, name) != other
    before, after = commitment_of(effect, 0, 0), commitment_of(replace(effect, **{name: other}), 0, 0)
    assert before.sha() != after.sha()


def test_place_and_schema_are_part_of_it() -> None:
    effect = CreateTransaction.example()
    shas = {
        commitment_of(effect, 0, 0).sha(),
        commitment_of(effect, 1, 0).sha(),
        commitment_of(effect, 0, 1).sha(),
        commitment_of(effect, 0, 0, {"shop": "v1"}).sha(),
    }
    assert len(shas) == 4


def test_a_commitment_holds_no_key_but_the_placeholder_and_no_time() -> None:
    assert commitment_of(CreateTransaction.example(), 2, 1).body["reference"] == "headrace:plan:2:1"
    assert commitment_of(DebitWallet.example(), 2, 1).body["metadata"]["headrace_effect"] == "headrace:plan:2:1"
    body = commitment_of(CreateTransferInitiation.example(), 2, 1).body
    assert (body["reference"], body["scheduledAt"]) == ("headrace:plan:2:1", "1970-01-01T00:00:00Z")


def test_a_commitment_as_it_is_shown() -> None:
    assert commitment_of(CreateTransaction.example(), 0, 0).shown() == {
        "stage": 0,
        "ordinal": 0,
        "activity": "CreateTransaction",
        "service": "ledger",
        "method": "POST",
        "path": "/v2/shop/transactions",
        "body": {
            "metadata": {"order": "1"},
            "postings": [{"source": "users:1", "destination": "merchants:7", "amount": 2500, "asset": "USD/2"}],
            "reference": "headrace:plan:0:0",
        },
    }


def test_canonical_json_is_that_of_the_standard_library() -> None:
    """So a script without this product can recompute a hash."""
    random = Random(1)
    for _ in range(500):
        value = _value(random, 4)
        expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert canonical_json(value) == expected


def _value(random: Random, depth: int) -> Any:
    match random.randrange(6 if depth else 4):
        case 0:
            return _text(random)
        case 1:
            return random.choice((0, -1, 2**63, 2**64, 10**999, random.randrange(10**30)))
        case 2:
            return random.choice((True, False))
        case 3:
            return None
        case 4:
            return [_value(random, depth - 1) for _ in range(random.randrange(4))]
        case _:
            return {_text(random): _value(random, depth - 1) for _ in range(random.randrange(5))}


def _text(random: Random) -> str:
    characters = 'abZ09 "\\/\b\f\n\r\t\x00\x01\x1f\x7f\u00e9\u2028\uffff\U0001f600'
    return "".join(random.choice(characters) for _ in range(random.randrange(5)))


def test_members_are_ordered_by_code_point() -> None:
    assert canonical_json({"\U00010000": 1, "\uffff": 2, "b": 3, "B": 4}).decode() == (
        '{"B":4,"b":3,"\uffff":2,"\U00010000":1}'
    )


@pytest.mark.parametrize("value", [1.0, [1.5], {"a": {"b": 0.0}}, {1: "a"}, {"a": b"bytes"}, "\ud800", float("nan")])
def test_what_has_no_canonical_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidValue):
        sha(value)


def test_a_hash_names_its_function() -> None:
    assert sha({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
