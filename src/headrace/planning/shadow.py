"""The books as a plan sees them: what was read, once each, overlaid by what is planned.

So a payout sees the metadata that an earlier `update` writes, and a second payment from one account sees what the
first one leaves. The money of a wallet is on accounts of its ledger: a plan that reaches it both ways counts it once.

Several plans may share one shadow, each of which sees what the ones before it would do; what a plan that is dropped
would have done is taken back.

An account that lacks what it should give does not end a plan: the plan counts what is missing, and goes on as if that
had been paid in before. Balances are shown as they would really be, below zero where nothing is paid in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from headrace.effects.port import Done, Refused
from headrace.effects.services import prepare
from headrace.money import WORLD, Posting
from headrace.planning.questions import Asking, Reading, ask
from headrace.workflows.activities import (
    INTERNAL_LEDGER,
    Activity,
    AddAccountMetadata,
    GetAccount,
    GetWallet,
    Json,
)
from headrace.workflows.durations import moment_text
from headrace.workflows.reversals import AwaitReversal, GetTransferInitiation, ListTransferInitiations

Place = tuple[str, str]
"""A ledger and an account of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One posting of a plan, and the balances of its ends before and after it. `world` has no balance here."""

    ledger: str
    posting: Posting
    balances: tuple[Json, ...]
    missing: int
    """The amount that the source lacks for it, in the asset's smallest unit."""


@dataclass(slots=True)
class _Held:
    """An account's balances by asset, and when they were read."""

    balances: dict[str, int]
    read_at: int


class Shadow:
    """One view of ledger, wallets and payments. It starts empty and asks for what it lacks."""

    __slots__ = (
        "_created",
        "_funded",
        "_held",
        "_ingested",
        "_ledgers",
        "_metadata",
        "_planned",
        "_reads",
        "_statuses",
        "_wallets",
    )

    def __init__(self) -> None:
        self._planned: list[Callable[[], object]] = []
        """Functions that take back the changes since the last plan was kept, in the order of these changes."""
        self._held: dict[Place, _Held] = {}
        self._metadata: dict[Place, tuple[dict[str, str], int]] = {}
        self._funded: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._ledgers: set[str] = set()
        self._created: set[str] = set()
        self._wallets: dict[str, Reading] = {}
        self._reads: dict[str, Reading] = {}
        self._ingested: dict[tuple[str, str], Posting] = {}
        self._statuses: dict[str, str] = {}

    # plans that share it

    def keep(self) -> None:
        """Keep what has been planned: later plans see it."""
        self._planned.clear()

    def drop(self) -> None:
        """Take back what has been planned since the last `keep`. What was read stays."""
        while self._planned:
            self._planned.pop()()

    def _forget_ledger(self, ledger: str) -> None:
        self._created.discard(ledger)
        for place in [place for place in self._metadata if place[0] == ledger]:
            del self._metadata[place]

    # what stages read

    def read(self, activity: Activity) -> Asking[Reading]:
        """Answer an activity that reads, asking the service only for what was not read before.

        Raises Silent, and InvalidValue where no request can be made of the activity.
        """
        match activity:
            case GetAccount():
                prepare(activity, "", 0)
                return (yield from self._read_account(activity))
            case GetWallet():
                return (yield from self._read_wallet(activity))
            case AwaitReversal() if (status := self._statuses.get(activity.id)) is not None:
                return Reading(Done({"data": {"id": activity.id, "status": status}}), 0)  # it is planned, not booked
            case ListTransferInitiations() | GetTransferInitiation() | AwaitReversal():
                return self._with_statuses((yield from self._read(activity)))
            case _:
                return (yield from self._read(activity))

    def _read(self, activity: Activity) -> Asking[Reading]:
        request = prepare(activity, "", 0)
        if request.path not in self._reads:
            self._reads[request.path] = yield from ask(activity.name, request)
        return self._reads[request.path]

    def _with_statuses(self, reading: Reading) -> Reading:
        """Transfer initiations as they are after what is planned."""
        if isinstance(reading.outcome, Refused) or not self._statuses:
            return reading
        output = reading.outcome.output
        if "data" in output:
            return replace(reading, outcome=Done({"data": self._as_planned(output["data"])}))
        page: Json = output["cursor"]
        return replace(
            reading, outcome=Done({"cursor": {**page, "data": [self._as_planned(each) for each in page["data"]]}})
        )

    def _as_planned(self, initiation: Json) -> Json:
        return {**initiation, "status": self._statuses.get(initiation["id"], initiation["status"])}

    def set_status(self, initiation_id: str, status: str) -> None:
        """Plan the status of a transfer initiation."""
        self._planned.append(partial(self._restore_status, initiation_id, self._statuses.get(initiation_id)))
        self._statuses[initiation_id] = status

    def _restore_status(self, initiation_id: str, before: str | None) -> None:
        if before is None:
            self._statuses.pop(initiation_id, None)
        else:
            self._statuses[initiation_id] = before

    def _read_account(self, activity: GetAccount) -> Asking[Reading]:
        refused = yield from self.open_account(activity.ledger, activity.id)
        if refused is not None:
            return refused
        metadata, read_at = self._metadata[activity.ledger, activity.id]
        return Reading(Done({"data": {"address": activity.id, "metadata": dict(metadata)}}), read_at)

    def _read_wallet(self, activity: GetWallet) -> Asking[Reading]:
        reading = self._wallets.get(activity.id)
        if reading is None:
            reading = yield from ask(activity.name, prepare(activity, "", 0))
            self._wallets[activity.id] = reading
        if isinstance(reading.outcome, Refused):
            return reading
        wallet: Json = reading.outcome.output["data"]
        balances: Json = {}
        for name, balance in wallet["balances"].items():
            held = self._held.setdefault(
                (wallet["ledger"], wallet_account(wallet["id"], name)), _Held(dict(balance["assets"]), reading.at)
            )
            balances[name] = {"assets": dict(held.balances)}
        return replace(reading, outcome=Done({"data": {**wallet, "balances": balances}}))

    def wallet(self, wallet_id: str) -> Asking[Json | Refused]:
        """A wallet, or why there is none."""
        outcome = (yield from self._read_wallet(GetWallet(wallet_id))).outcome
        return outcome if isinstance(outcome, Refused) else outcome.output["data"]

    # what effects need to know

    def open_account(self, ledger: str, address: str) -> Asking[Reading | None]:
        """Read an account with its balances, unless it is known. Returns the refusal of a ledger that is missing."""
        place = (ledger, address)
        if place in self._metadata:
            return None
        request = prepare(GetAccount(address, ledger), "", 0)
        reading = yield from ask(GetAccount.name, replace(request, path=f"{request.path}?expand=volumes"))
        account: Json = {"metadata": {}}
        if isinstance(reading.outcome, Done):
            self._ledgers.add(ledger)
            account = reading.outcome.output["data"]
        elif ledger not in self._created:
            return reading
        self._metadata[place] = account["metadata"], reading.at
        volumes: Json = account.get("volumes", {})
        balances = {asset: volume["balance"] for asset, volume in volumes.items()}
        self._held.setdefault(place, _Held(balances, reading.at))
        return None

    def open_ends(self, ledger: str, posting: Posting, *, creates: bool) -> Asking[Refused | None]:
        """Read the accounts of a posting. Returns the refusal of a ledger that is missing.

        `creates`: a run would create the internal ledger where it is missing.
        """
        addresses = [posting[end] for end in ("source", "destination") if posting[end] != WORLD]
        if not addresses and ledger not in self._ledgers | self._created:
            addresses = [WORLD]
        for address in addresses:
            reading = yield from self.open_account(ledger, address)
            if reading is None:
                continue
            refused = reading.outcome
            assert isinstance(refused, Refused)
            if refused.code != "LEDGER_NOT_FOUND" or ledger != INTERNAL_LEDGER or not creates:
                return refused
            self._created.add(ledger)
            self._planned.append(partial(self._forget_ledger, ledger))
            yield from self.open_account(ledger, address)
        return None

    def open_balance(self, ledger: str, account: str) -> Asking[None]:
        """Read an account on a wallet's ledger, unless its balance is known: a wallet may not list all of its own."""
        if account != WORLD and (ledger, account) not in self._held:
            yield from self.open_account(ledger, account)

    def add_metadata(self, activity: AddAccountMetadata) -> Asking[Refused | None]:
        """Plan metadata of an account. Returns the refusal of a ledger that is missing."""
        reading = yield from self.open_account(activity.ledger, activity.id)
        if reading is not None:
            assert isinstance(reading.outcome, Refused)
            return reading.outcome
        place = (activity.ledger, activity.id)
        known, read_at = self._metadata[place]
        self._metadata[place] = {**known, **activity.metadata}, read_at
        self._planned.append(partial(self._metadata.__setitem__, place, (known, read_at)))
        return None

    def ingested(self, ledger: str, reference: str) -> Posting | None:
        """The posting of an ingestion that this plan books itself."""
        return self._ingested.get((ledger, reference))

    def ingest(self, ledger: str, reference: str, posting: Posting) -> None:
        self._planned.append(
            partial(self._restore_ingested, (ledger, reference), self._ingested.get((ledger, reference)))
        )
        self._ingested[ledger, reference] = posting

    def _restore_ingested(self, place: tuple[str, str], before: Posting | None) -> None:
        if before is None:
            self._ingested.pop(place, None)
        else:
            self._ingested[place] = before

    # what effects move

    def available(self, ledger: str, account: str, asset: str) -> int:
        """Return what an account can give: its balance, and the amounts that the plan has counted as missing before."""
        held = self._held.get((ledger, account))
        balance = held.balances.get(asset, 0) if held else 0
        return balance + self._funded[ledger, account, asset]

    def move(self, ledger: str, posting: Posting, *, is_unbounded: bool = False) -> Change:
        """Plan a posting. `is_unbounded`: its source may go below zero, as `world` always may."""
        source, amount, asset = posting["source"], posting["amount"], posting["asset"]
        missing = 0
        if source != WORLD and not is_unbounded:
            available = self.available(ledger, source, asset)
            if amount > max(available, 0):
                missing = amount - available
                self._fund(ledger, source, asset, missing)
                self._planned.append(partial(self._fund, ledger, source, asset, -missing))
        ends = [(source, -amount), (posting["destination"], amount)]
        before = {account: self._balance(ledger, account, asset) for account, _ in ends}
        for account, change in ends:
            self._add(ledger, account, asset, change)
            self._planned.append(partial(self._add, ledger, account, asset, -change))
        return Change(ledger, posting, tuple(self._shown(ledger, asset, before)), missing)

    def _fund(self, ledger: str, account: str, asset: str, missing: int) -> None:
        self._funded[ledger, account, asset] += missing

    def _add(self, ledger: str, account: str, asset: str, change: int) -> None:
        held = self._held.setdefault((ledger, account), _Held({}, 0))
        held.balances[asset] = held.balances.get(asset, 0) + change

    def _balance(self, ledger: str, account: str, asset: str) -> int:
        held = self._held.get((ledger, account))
        return held.balances.get(asset, 0) if held else 0

    def _shown(self, ledger: str, asset: str, before: dict[str, int]) -> Iterable[Json]:
        for account, balance in before.items():
            if account != WORLD:
                yield {
                    "ledger": ledger,
                    "account": account,
                    "asset": asset,
                    "before": balance,
                    "after": self._balance(ledger, account, asset),
                    "readAt": moment_text(self._held[ledger, account].read_at),
                }


def wallet_account(wallet_id: str, balance: str) -> str:
    """The account that holds a balance of a wallet, as the wallets service names it."""
    return f"wallets:{wallet_id.replace('-', '')}:{balance}"
