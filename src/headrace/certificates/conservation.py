"""Conservation: both sides of each `send`, from the books.

A side of a posting is *bridge* where the flow uses it as the way to elsewhere: the through account of another ledger,
`world` of a wallet leg, the account from which a payment is ingested. For each `send` and asset

    bridge in - bridge out = external out - external in + stranded + attested

External out are initiations that were neither rejected nor reversed and have not failed; external in are the
ingestions. Stranded is money on a bridge that did not go on: it must be 0 where the `send` succeeded and its payout did
not fail later, else it is declared with its ledger and account. Attested legs are those that the books do not show.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from headrace.certificates.books import Entry
from headrace.certificates.replay import ReplayedStage
from headrace.errors import NotCertifiable
from headrace.money import WORLD
from headrace.workflows.activities import Json
from headrace.workflows.stages.send.parties import Account, PaymentDestination, PaymentSource, Send, Wallet, send_of

Leg = Literal["inner", "leaves", "arrives", "ingests", "initiates"]
"""The part of an effect in its `send`.

inner      both sides are the parties': nothing leaves the ledger
leaves     its destination is the bridge
arrives    its source is the bridge
ingests    its source is the bridge, over which a payment came in
initiates  a provider pays out
"""


@dataclass(slots=True)
class Totals:
    """The sums of one asset over a case, as a certificate has them.

    `sent`: by stages that succeeded; `taken_back`: of that, by an undo, where all of a stage was reverted.
    """

    sent: int = 0
    taken_back: int = 0
    bridge_in: int = 0
    bridge_out: int = 0
    external_in: int = 0
    external_out: int = 0
    issued: int = 0
    retired: int = 0
    stranded: int = 0
    attested: int = 0

    def shown(self) -> Json:
        return {
            "sent": self.sent,
            "takenBack": self.taken_back,
            "bridge": {"in": self.bridge_in, "out": self.bridge_out},
            "in": self.external_in,
            "out": self.external_out,
            "issued": self.issued,
            "retired": self.retired,
            "stranded": self.stranded,
            "attested": self.attested,
        }


@dataclass(slots=True)
class Balance:
    """The result: totals by asset, and the exceptions that a certificate declares.

    `ingested`: asset and amount of each payment that came in, by the ledger and the id of its transaction.
    """

    totals: dict[str, Totals] = field(default_factory=dict[str, Totals])
    exceptions: list[Json] = field(default_factory=list[Json])
    ingested: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict[tuple[str, int], tuple[str, int]])


def balance(stages: Iterable[ReplayedStage], entries: Iterable[Entry], *, has_undo: bool = False) -> Balance:
    """Balance every `send` of a case. `has_undo`: the case has reversed some of it.

    Raises NotCertifiable (`unbalanced`), which names the stage.
    """
    found = Balance()
    by_stage: dict[int, list[Entry]] = {}
    for entry in entries:
        by_stage.setdefault(entry.effect.stage, []).append(entry)
    for stage in stages:
        if stage.keyword == "send" and stage.is_started:
            booked = by_stage.get(stage.number, [])
            _balance_send(stage, booked, found, has_undo=has_undo)
    return found


def legs_of(send: Send, wallets: dict[str, str]) -> tuple[Leg, ...]:
    """The legs of a `send`, in the order of its effects. `wallets`: the ledger of each wallet, by its id."""
    ingests: tuple[Leg, ...] = ("ingests",) if isinstance(send.source, PaymentSource) else ()
    if isinstance(send.destination, PaymentDestination):
        return (*ingests, "leaves", "initiates")
    source, destination = _ledger(send.source, wallets), _ledger(send.destination, wallets)
    return (*ingests, "inner") if source == destination else (*ingests, "leaves", "arrives")


def _ledger(party: Account | Wallet | PaymentSource, wallets: dict[str, str]) -> str:
    return wallets[party.id] if isinstance(party, Wallet) else party.ledger


@dataclass(slots=True)
class _Sums(Totals):
    """The sums of one `send`. `stranded_at`: ledger and account of the bridge, where money went in on one."""

    stranded_at: tuple[str, str] = ("", "")
    has_failed_payout: bool = False


def _balance_send(
    stage: ReplayedStage,
    entries: list[Entry],
    found: Balance,
    *,
    has_undo: bool,
) -> None:
    done = [entry for entry in entries if entry.effect.state == "done"]
    if stage.error is not None and not done:
        return
    assert stage.body is not None, "a stage with a done effect, or one that succeeded, has a valid body"
    send = send_of(stage.body)
    legs = _legs(stage, send, len(done))
    sums = _Sums()
    for entry, leg in zip(done, legs, strict=False):
        if entry.standing == "attested":
            sums.attested += {"arrives": send.amount, "initiates": send.amount, "leaves": -send.amount}.get(leg, 0)
            members = {"leg": leg, "amount": send.amount, "key": entry.effect.key}
            found.exceptions.append(_exception("attested", stage, send, **members))
        elif leg == "initiates":
            _pay_out(stage, send, entry, sums, found)
        elif not entry.is_reverted:
            _book(stage, send, entry, leg, sums, found.ingested)
    sums.stranded = (sums.bridge_in - sums.bridge_out) - (sums.external_out - sums.external_in) - sums.attested
    if sums.stranded:
        may_strand = stage.error is not None or sums.has_failed_payout or has_undo
        least = -send.amount if has_undo else 1  # below 0: the leg to a bridge is reverted, and the one from it kept
        if not may_strand or not least <= sums.stranded <= send.amount:
            raise _unbalanced(stage, f"{sums.stranded} {send.asset} went in on a bridge and did not come out")
        ledger, account = sums.stranded_at
        members = {"ledger": ledger, "account": account, "amount": sums.stranded}
        found.exceptions.append(_exception("stranded", stage, send, **members))
    if stage.error is None:
        sums.sent = send.amount
        own = [entry for entry, leg in zip(done, legs, strict=True) if leg != "ingests"]
        if has_undo and all(entry.is_reverted or (entry.initiation_id and not entry.paid) for entry in own):
            sums.taken_back = send.amount
    total = found.totals.setdefault(send.asset, Totals())
    for name in Totals.__slots__:
        setattr(total, name, getattr(total, name) + getattr(sums, name))


def _legs(stage: ReplayedStage, send: Send, done: int) -> tuple[Leg, ...]:
    try:
        legs = legs_of(send, stage.wallets)
    except LookupError as error:
        raise _unbalanced(stage, f"the ledger of wallet {error} is not known") from None
    if done > len(legs) or (stage.error is None and done < len(legs)):
        raise _unbalanced(stage, f"{done} of its {len(legs)} legs are done")
    return legs


def _pay_out(stage: ReplayedStage, send: Send, entry: Entry, sums: _Sums, found: Balance) -> None:
    """Add what a provider has paid out. One that paid less than was asked for is declared."""
    if not 0 <= entry.paid <= send.amount:
        raise _unbalanced(stage, f"its payout is of {entry.paid} {send.asset}, not of {send.amount}")
    sums.external_out += entry.paid
    if entry.paid != send.amount:
        sums.has_failed_payout = True
        members = {"status": entry.status, "initiation": entry.initiation_id}
        found.exceptions.append(_exception("payout", stage, send, **members))


def _book(
    stage: ReplayedStage,
    send: Send,
    entry: Entry,
    leg: Leg,
    sums: _Sums,
    ingested: dict[tuple[str, int], tuple[str, int]],
) -> None:
    """Add the postings of a leg. A payment that an earlier stage of the case has ingested counts once."""
    assert entry.transaction_id is not None
    place = entry.ledger, entry.transaction_id
    if leg == "ingests":
        if place in ingested:
            return
        ingested[place] = send.asset, sum(posting["amount"] for posting in entry.postings or ())
    for posting in entry.postings or ():
        amount, source, destination = posting["amount"], posting["source"], posting["destination"]
        if posting["asset"] != send.asset:
            raise _unbalanced(stage, f"transaction {entry.transaction_id} moves {posting['asset']}, not {send.asset}")
        if leg == "leaves":
            sums.bridge_in += amount
            sums.stranded_at = entry.ledger, destination
        elif leg != "inner":
            sums.bridge_out += amount
            sums.stranded_at = sums.stranded_at if sums.bridge_in else (entry.ledger, source)
        if leg == "ingests":
            sums.external_in += amount
        if source == WORLD and leg in ("inner", "leaves"):
            sums.issued += amount
        if destination == WORLD and leg != "leaves":
            sums.retired += amount


def _exception(kind: str, stage: ReplayedStage, send: Send, **members: object) -> Json:
    return {"kind": kind, "instance": stage.instance_id, "stage": stage.number, "asset": send.asset, **members}


def _unbalanced(stage: ReplayedStage, why: str) -> NotCertifiable:
    return NotCertifiable("unbalanced", f"instance {stage.instance_id}, stage {stage.number}: {why}")
