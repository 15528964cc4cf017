"""The computed workflow that undoes a case, and what it leaves as it is.

A case is an instance and what continues it. From its recorded history alone, and from the statuses of its transfer
initiations as far as they have been read, this computes one `revert` stage for each effect that is done, the last one
first. Nothing here sends or reads: the stages read when they run, because a case goes on to change after its end, by
hand or at a bank.

What is never reverted is listed with the reason: a payment that came in, metadata, a payout that is paid, and what
funded such a payout, since reverting that would return money that is paid out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headrace.errors import InvalidValue, StageError
from headrace.workflows.activities import Json
from headrace.workflows.activity import check_complete, effect_names
from headrace.workflows.interpreter import filled_in
from headrace.workflows.stages import STAGES
from headrace.workflows.stages.send.parties import Account, PaymentSource, send_of

External = Literal["keep", "reverse"]
"""The choice for a payout that is paid: keep it, or ask the provider for a reversal."""

INGESTION_PREFIX = "headrace:ingest:"
SETTLED = frozenset({"REJECTED", "REVERSED"})
"""Statuses of a transfer initiation that no longer change and leave nothing paid."""
BLOCKING = frozenset({"PARTIALLY_REVERSED", "REVERSE_FAILED"})
WITHOUT_ID = "a person said that it was booked, without its transaction's id"


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
    """The stages of the computed workflow, what is kept, and what a person must decide before any undo.

    `effects`: all that the case has done.
    """

    stages: list[Json]
    kept: list[Kept]
    blocked: list[Kept]
    effects: Sequence[DoneEffect] = ()


def undo_of(case: Case, external: External = "keep") -> Undo:
    """Compute the undo of a case. An undo without stages has nothing to do; one that is blocked must not run."""
    undoing = _Undoing(case, external)
    for effect in reversed(case.effects):
        EFFECTS[effect.activity](undoing, effect)
    return undoing.undo


def reverted_key(stage: Json) -> str:
    """The key of the effect that a stage of an undo reverts."""
    given = next(iter(stage["revert"].values()))
    return given.get("key") or given["reference"]


def reverted_stages(stages: Iterable[Json]) -> set[int]:
    """The numbers of the stages of the case of which these stages of its undo revert effects."""
    return {int(reverted_key(stage).split(":")[-2]) for stage in stages}


class _Undoing:
    """The undo of a case while it is computed, from the last effect to the first."""

    __slots__ = ("_case", "_external", "_may_overdraw", "_payouts", "undo")

    def __init__(self, case: Case, external: External) -> None:
        self.undo = Undo([], [], [], case.effects)
        self._case = case
        self._external = external
        self._may_overdraw = overdrawn_accounts(case.stages, case.variables)
        self._payouts = {each.stage: each for each in case.effects if each.activity == "CreateTransferInitiation"}

    def initiation(self, effect: DoneEffect) -> None:
        """Add the stage of a transfer initiation. The stage reads the status again: it may have changed."""
        status = self._case.statuses.get(effect.key)
        if status in BLOCKING:
            self.undo.blocked.append(Kept(effect, f"the transfer initiation is {status}: a person must decide"))
        elif status == "PROCESSED" and self._external == "keep":
            self._keep(effect, "the payout is paid")
        elif status not in SETTLED and status != "FAILED":
            given: Json = {"reference": effect.key, "amount": effect.input["amount"], "asset": effect.input["asset"]}
            self.undo.stages.append({"revert": {"initiation": {**given, "external": self._external}}})

    def metadata(self, effect: DoneEffect) -> None:
        """Keep metadata, with its values."""
        values = ", ".join(f"{name}={value}" for name, value in effect.input["metadata"].items())
        self._keep(effect, f"the values before were not read; now: {values}")

    def transaction(self, effect: DoneEffect) -> None:
        """Revert a transaction on its ledger, unless it is the ingestion of a payment."""
        data: Json = (effect.output or {}).get("data") or {}
        if effect.input["data"]["reference"].startswith(INGESTION_PREFIX):
            self._keep(effect, "the payment did arrive, and others may use it")
        elif data.get("id") is None:
            self._keep(effect, WITHOUT_ID)
        else:
            ledger: str = effect.input["ledger"]
            receivers = [(ledger, posting["destination"]) for posting in effect.input["data"]["postings"]]
            given = {"id": data["id"], "ledger": ledger, "reference": effect.key}
            self._revert(effect, "transaction", given, receivers)

    def wallet(self, effect: DoneEffect) -> None:
        """Revert a credit or debit on the wallet's ledger. A debit alone can pay an account that may be overdrawn."""
        if effect.is_attested:
            self._keep(effect, WITHOUT_ID)
            return
        ledger, data = self._case.wallet_ledgers.get(effect.input["id"], ""), effect.input["data"]
        amount = {"amount": data["amount"]["amount"], "asset": data["amount"]["asset"]}
        given = {"id": effect.input["id"], "key": effect.key, **amount, **({"ledger": ledger} if ledger else {})}
        self._revert(effect, "wallet", given, [(ledger, _account(data.get("destination")))])

    def of_undo(self, effect: DoneEffect) -> None:
        """Keep what an undo did: no undo is computed of one."""
        self._keep(effect, "it is of an undo")

    def _revert(self, effect: DoneEffect, kind: str, given: Json, receivers: Iterable[tuple[str, str]]) -> None:
        """Add the stage that reverts an effect, unless that funded a payout which is paid and kept.

        `receivers`: the accounts, each with its ledger, that pay back.
        """
        payout = self._payouts.get(effect.stage)
        funded = payout if payout is not None and effect.ordinal < payout.ordinal else None
        status = None if funded is None else self._case.statuses.get(funded.key)
        if funded is not None and status == "PROCESSED" and self._external == "keep":
            self._keep(effect, f"it funded the payout {funded.key}, which is paid")
            return
        # Where the definition lets the case overdraw the account that pays back, it may be below zero already.
        if not self._may_overdraw.isdisjoint(receivers):
            given["force"] = True
        is_certain = status in SETTLED or (self._external == "reverse" and status != "FAILED")
        if funded is not None and not is_certain:
            given["unlessPaid"] = funded.key
        self.undo.stages.append({"revert": {kind: given}})

    def _keep(self, effect: DoneEffect, reason: str) -> None:
        self.undo.kept.append(Kept(effect, reason))


EFFECTS: dict[str, Callable[[_Undoing, DoneEffect], None]] = {
    "CreateTransaction": _Undoing.transaction,
    "AddAccountMetadata": _Undoing.metadata,
    "CreditWallet": _Undoing.wallet,
    "DebitWallet": _Undoing.wallet,
    "CreateTransferInitiation": _Undoing.initiation,
    "RevertTransaction": _Undoing.of_undo,
    "RejectTransferInitiation": _Undoing.of_undo,
    "ReverseTransferInitiation": _Undoing.of_undo,
}
"""By the name of an effect, how it is undone, or why it is kept."""
check_complete(EFFECTS, effect_names(), "undo", "to EFFECTS of headrace.workflows.undo")


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
