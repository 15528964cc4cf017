"""The computed workflow that undoes a case, and what it leaves as it is.

A case is an instance and what continues it. From its recorded history alone, and from the statuses of its transfer
initiations as far as they have been read, this computes one `revert` stage for each effect that is done, the last one
first. Nothing here sends or reads: the stages read when they run, because a case goes on to change after its end, by
hand or at a bank.

What is never reverted is listed with the reason: a payment that came in, metadata, a payout that is paid, and what
funded such a payout, since reverting that would return money that is paid out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headrace.errors import InvalidValue, StageError
from headrace.workflows.activities import Json
from headrace.workflows.interpreter import filled_in
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.send.parties import Account, PaymentSource, send_of

External = Literal["keep", "reverse"]
"""The choice for a payout that is paid: keep it, or ask the provider for a reversal."""

INGESTION_PREFIX = "headrace:ingest:"
SETTLED = frozenset({"REJECTED", "REVERSED"})
"""Statuses of a transfer initiation that no longer change and leave nothing paid."""
BLOCKING = frozenset({"PARTIALLY_REVERSED", "REVERSE_FAILED"})


@dataclass(frozen=True, slots=True)
class DoneEffect:
    """An effect of a case that is done, as its history shows it.

    `key`: as it was sent, of the root of the case. `input`, `output`: as stored under the activity's name.
    `is_attested`: a person has said that it was booked; `output` is what was read then, if anything was.
    """

    key: str
    stage: int
    ordinal: int
    activity: str
    input: Json
    output: Json | None = None
    is_attested: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """An effect that an undo leaves as it is, and why."""

    effect: DoneEffect
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """A case as far as it is known.

    `effects`: in the order in which they were done. `stages`, `variables`: of its definition. `wallet_ledgers`: ledgers
    by wallet, as the case has read them. `statuses`: of its transfer initiations by key, as far as they were read.
    """

    effects: Sequence[DoneEffect]
    stages: list[Json]
    variables: Mapping[str, str]
    wallet_ledgers: Mapping[str, str] = field(default_factory=dict[str, str])
    statuses: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Undo:
    """The stages of the computed workflow, what is kept, and what a person must decide before any undo."""

    stages: list[Json]
    kept: list[Kept]
    blocked: list[Kept]


def undo_of(case: Case, external: External = "keep") -> Undo:
    """Compute the undo of a case. An undo without stages has nothing to do; one that is blocked must not run."""
    undo = Undo([], [], [])
    may_overdraw = overdrawn_accounts(case.stages, case.variables)
    payouts = {effect.stage: effect for effect in case.effects if effect.activity == "CreateTransferInitiation"}
    for effect in reversed(case.effects):
        payout = payouts.get(effect.stage)
        if effect is payout:
            _undo_initiation(undo, effect, case.statuses.get(effect.key), external)
            continue
        funded = payout if payout is not None and effect.ordinal < payout.ordinal else None
        status = None if funded is None else case.statuses.get(funded.key)
        if reason := _reason_to_keep(effect):
            undo.kept.append(Kept(effect, reason))
        elif funded is not None and status == "PROCESSED" and external == "keep":
            undo.kept.append(Kept(effect, f"it funded the payout {funded.key}, which is paid"))
        else:
            given = _reverted(effect, case.wallet_ledgers, may_overdraw)
            is_certain = status in SETTLED or (external == "reverse" and status != "FAILED")
            if funded is not None and not is_certain:
                next(iter(given.values()))["unlessPaid"] = funded.key
            undo.stages.append({"revert": given})
    return undo


def reverted_key(stage: Json) -> str:
    """The key of the effect that a stage of an undo reverts."""
    given = next(iter(stage["revert"].values()))
    return given.get("key") or given["reference"]


def reverted_stages(stages: Iterable[Json]) -> set[int]:
    """The numbers of the stages of the case of which these stages of its undo revert effects."""
    return {int(reverted_key(stage).split(":")[-2]) for stage in stages}


def _undo_initiation(undo: Undo, effect: DoneEffect, status: str | None, external: External) -> None:
    """Add the stage of a transfer initiation. The stage reads the status again: it may have changed."""
    if status in BLOCKING:
        undo.blocked.append(Kept(effect, f"the transfer initiation is {status}: a person must decide"))
    elif status == "PROCESSED" and external == "keep":
        undo.kept.append(Kept(effect, "the payout is paid"))
    elif status not in SETTLED and status != "FAILED":
        given: Json = {"reference": effect.key, "amount": effect.input["amount"], "asset": effect.input["asset"]}
        undo.stages.append({"revert": {"initiation": {**given, "external": external}}})


def _reason_to_keep(effect: DoneEffect) -> str:
    """Why an effect other than a payout is never reverted; empty for one that can be."""
    match effect.activity:
        case "AddAccountMetadata":
            values = ", ".join(f"{name}={value}" for name, value in effect.input["metadata"].items())
            return f"the values before were not read; now: {values}"
        case "CreateTransaction":
            if effect.input["data"]["reference"].startswith(INGESTION_PREFIX):
                return "the payment did arrive, and others may use it"
            if _transaction_id(effect) is None:
                return "a person said that it was booked, without its transaction's id"
            return ""
        case _:
            return "a person said that it was booked, without its transaction's id" if effect.is_attested else ""


def _transaction_id(effect: DoneEffect) -> int | None:
    data: Json = (effect.output or {}).get("data") or {}
    return data.get("id")


def _reverted(effect: DoneEffect, wallet_ledgers: Mapping[str, str], may_overdraw: set[tuple[str, str]]) -> Json:
    """The body of the stage that reverts a transaction, or a credit or debit of a wallet."""
    data = effect.input["data"]
    if effect.activity == "CreateTransaction":
        ledger = effect.input["ledger"]
        given: Json = {"id": _transaction_id(effect), "ledger": ledger, "reference": effect.key}
        receivers = [posting["destination"] for posting in data["postings"]]
        kind = "transaction"
    else:
        ledger = wallet_ledgers.get(effect.input["id"], "")
        amount = {"amount": data["amount"]["amount"], "asset": data["amount"]["asset"]}
        given = {"id": effect.input["id"], "key": effect.key, **amount, **({"ledger": ledger} if ledger else {})}
        receivers = [_account(data.get("destination"))] if effect.activity == "DebitWallet" else []
        kind = "wallet"
    # Where the definition lets the case overdraw the account that pays back, it may be below zero already.
    if any((ledger, account) in may_overdraw for account in receivers):
        given["force"] = True
    return {kind: given}


def _account(subject: Json | None) -> str:
    """The ledger account of a subject; empty for a wallet, whose balances never go below zero."""
    return subject["identifier"] if subject is not None and subject["type"] == "ACCOUNT" else ""


def overdrawn_accounts(stages: Iterable[Json], variables: Mapping[str, str]) -> set[tuple[str, str]]:
    """The accounts, each with its ledger, that a definition lets its instances overdraw."""
    accounts: set[tuple[str, str]] = set()
    for stage in stages:
        if "send" not in stage:
            continue
        body = filled_in(STAGES["send"], stage["send"], variables)
        if body is None:  # the stage fails before it moves anything
            continue
        try:
            send = send_of(STAGES["send"].completed(body))
        except (InvalidValue, StageError):
            continue
        for party, pays_by in ((send.source, "id"), (send.destination, "through")):
            if isinstance(party, Account) and party.allows_overdraft:
                accounts.add((party.ledger, getattr(party, pays_by)))
        if isinstance(send.source, PaymentSource) and send.source.allows_overdraft:
            accounts.add((send.source.ledger, send.source.through))
    return accounts
