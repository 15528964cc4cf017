"""Compares the books with the histories, from outside and with nothing of the product's own code.

    python -m tests.crash.books URL        exit 0: they agree; 1: violated; 2: inconclusive (an instance has not ended)

The books are read from the sandbox over HTTP, the histories from the API. What must hold (INV-1 to INV-3, INV-10):

* one transaction for each effect key, an ingestion: for each payment and ledger;
* every done effect has its transaction, with equal postings; every refused one has none;
* every transaction that carries a key of ours has exactly one effect that explains it;
* the balances of each (ledger, asset) sum to zero, and each account's volumes are the sum of its postings;
* no stage begins before the one before it has ended, and nothing ends before it began.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]

PREFIX = "headrace:"
INGESTION = "headrace:ingest:"
INTERNAL_LEDGER = "orchestration-000-internal"
EFFECTS = ("CreateTransaction", "AddAccountMetadata", "CreditWallet", "DebitWallet", "CreateTransferInitiation")
API = "/api/orchestration"


class Inconclusive(Exception):
    """Nothing is violated, but an instance is stuck or a fault was hardly met. That is no pass."""


class Violated(Exception):
    """What must never happen has happened."""


class Reader:
    """GETs on a kept connection to the API and one to the services; numbers stay exact."""

    def __init__(self, url: str, stack_url: str | None = None) -> None:
        self._api = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._stack = http.client.HTTPConnection(urlsplit(stack_url or url).netloc, timeout=60)

    def get(self, path: str, **query: Any) -> Json | None:
        """The decoded body; None for 404."""
        connection = self._api if path.startswith(API) else self._stack
        connection.request("GET", f"{path}?{urlencode(query)}" if query else path)
        response = connection.getresponse()
        body = response.read()
        if response.status == 404:
            return None
        if response.status != 200:
            raise Inconclusive(f"GET {path}: {response.status} {body[:200]!r}")
        return json.loads(body)

    def data(self, path: str) -> Any:
        found = self.get(path)
        return None if found is None else found["data"]

    def pages(self, path: str, **query: Any) -> Iterator[Json]:
        while True:
            found = self.get(path, pageSize=100, **query)
            if found is None:
                return
            yield from found["cursor"]["data"]
            if not found["cursor"].get("hasMore"):
                return
            query = {"cursor": found["cursor"]["next"]}

    def close(self) -> None:
        self._api.close()
        self._stack.close()


@dataclass(frozen=True)
class Effect:
    """A write that history tells of."""

    instance: str
    stage: int
    key: str
    """As derived here from instance, stage and ordinal; an ingestion's from its payment."""
    name: str
    input: Json
    entry: Json

    @property
    def is_done(self) -> bool:
        return self.entry["terminated"] and not self.entry.get("error")

    @property
    def label(self) -> str:
        return f"{self.key} ({self.name} of instance {self.instance})"


@dataclass(frozen=True)
class Booking:
    ledger: str
    transaction: Json

    @property
    def key(self) -> str:
        return self.transaction.get("reference") or self.transaction["metadata"].get("headrace_effect") or ""


@dataclass
class Verdict:
    instances: int = 0
    effects: int = 0
    transactions: int = 0
    repeated: int = 0
    """Effects that took more than one attempt."""
    attempts: int = 0
    failed: int = 0
    """Instances that ended with an error."""
    problems: list[str] = field(default_factory=list[str])
    unfinished: list[str] = field(default_factory=list[str])

    def must(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def shown(self) -> str:
        """What was counted, and each problem on a line."""
        head = (
            f"{self.instances} instances, {self.failed} failed, {self.effects} effects, {self.repeated} repeated, "
            f"{self.attempts} attempts, "
            f"{self.transactions} transactions: {len(self.problems)} violations, {len(self.unfinished)} unfinished"
        )
        return "\n".join([head, *self.problems[:50], *self.unfinished[:20]])

    def raise_if_bad(self) -> None:
        if self.problems:
            raise Violated(self.shown())
        if self.unfinished:
            raise Inconclusive(self.shown())


def check(url: str, stack_url: str | None = None) -> Verdict:
    """Read everything and compare. Raises Inconclusive when something cannot be read.

    `stack_url`: the root of the services where they are not those of `headrace dev` at `url`.
    """
    reader, verdict = Reader(url, stack_url), Verdict()
    try:
        effects = list(_effects(reader, verdict))
        ledgers = sorted(_ledgers(reader, effects))
        bookings = [Booking(ledger, one) for ledger in ledgers for one in _transactions(reader, ledger)]
        _compare(reader, effects, bookings, verdict)
        _compare_initiations(reader, effects, verdict)
        for ledger in ledgers:
            _check_balances(reader, ledger, [b.transaction for b in bookings if b.ledger == ledger], verdict)
    finally:
        reader.close()
    verdict.effects, verdict.transactions = len(effects), len(bookings)
    return verdict


# histories


def _effects(reader: Reader, verdict: Verdict) -> Iterator[Effect]:
    for instance in reader.data(f"{API}/instances"):
        verdict.instances += 1
        verdict.failed += bool(instance.get("error"))
        if not instance["terminated"]:
            verdict.unfinished.append(f"instance {instance['id']} has not ended")
        stages = reader.data(f"{API}/instances/{instance['id']}/history")
        _check_order(instance, stages, verdict)
        for number in range(len(stages)):
            yield from _stage_effects(reader, instance["id"], number, verdict)


def _stage_effects(reader: Reader, instance: str, number: int, verdict: Verdict) -> Iterator[Effect]:
    ordinal, payment = 0, ""
    for entry in reader.data(f"{API}/instances/{instance}/stages/{number}/history"):
        name, shown = entry["name"], entry["input"][entry["name"]]
        if name == "GetPayment":
            payment = shown["id"]
        if name not in EFFECTS:
            continue
        key = f"{PREFIX}{instance}:{number}:{ordinal}"
        if _reference(shown).startswith(INGESTION):
            key = INGESTION + hashlib.sha256(payment.encode()).hexdigest()
        ordinal += 1
        verdict.repeated += entry["attempt"] > 1
        verdict.attempts += entry["attempt"]
        if not entry["terminated"]:
            verdict.unfinished.append(f"{key} is open: {entry.get('lastFailure')}")
        yield Effect(instance, number, key, name, shown, entry)


def _check_order(instance: Json, stages: list[Json], verdict: Verdict) -> None:
    label = f"instance {instance['id']}"
    for earlier, later in pairwise(stages):
        verdict.must(earlier["terminated"], f"{label}: a stage began before the one before it had ended")
        verdict.must(
            earlier.get("terminatedAt", "~") <= later["startedAt"], f"{label}: a stage began before the last one ended"
        )
    for stage in stages:
        verdict.must(stage["startedAt"] <= stage.get("terminatedAt", "~"), f"{label}: a stage ended before it began")
    verdict.must(instance["terminated"] == ("terminatedAt" in instance), f"{label}: terminated without terminatedAt")


# books


def _ledgers(reader: Reader, effects: list[Effect]) -> set[str]:
    names = {effect.input["ledger"] for effect in effects if "ledger" in effect.input} | {INTERNAL_LEDGER}
    names |= {wallet["ledger"] for wallet in reader.pages("/api/wallets/wallets")}
    return {name for name in names if reader.get(f"/api/ledger/v2/{name}") is not None}


def _transactions(reader: Reader, ledger: str) -> Iterator[Json]:
    return reader.pages(f"/api/ledger/v2/{ledger}/transactions")


def _check_balances(reader: Reader, ledger: str, transactions: list[Json], verdict: Verdict) -> None:
    totals: defaultdict[str, int] = defaultdict(int)
    volumes: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for transaction in transactions:
        for posting in transaction["postings"]:
            volumes[posting["destination"], posting["asset"]][0] += posting["amount"]
            volumes[posting["source"], posting["asset"]][1] += posting["amount"]
    for account in reader.pages(f"/api/ledger/v2/{ledger}/accounts", expand="volumes"):
        for asset, volume in account.get("volumes", {}).items():
            totals[asset] += volume["input"] - volume["output"]
            booked = volumes.pop((account["address"], asset), [0, 0])
            told = [volume["input"], volume["output"]]
            verdict.must(told == booked, f"{ledger}: {account['address']} tells {told} {asset}, its postings {booked}")
    for address, asset in volumes:
        verdict.must(False, f"{ledger}: {address} has postings in {asset} but is not among the accounts")
    for asset, total in totals.items():
        verdict.must(total == 0, f"{ledger}: balances in {asset} sum to {total}")
    aggregated = reader.data(f"/api/ledger/v2/{ledger}/aggregate/balances")
    verdict.must(not any(aggregated.values()), f"{ledger}: aggregated balances are {aggregated}")


# both


def _compare(reader: Reader, effects: list[Effect], bookings: list[Booking], verdict: Verdict) -> None:
    booked: defaultdict[tuple[str, str], list[Booking]] = defaultdict(list)
    for booking in bookings:
        if booking.key.startswith(PREFIX):
            booked[_place(booking.key, booking.ledger)].append(booking)
    for place, several in booked.items():
        verdict.must(len(several) == 1, f"{place[0]}: booked {len(several)} times on {[b.ledger for b in several]}")
    explained: defaultdict[tuple[str, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        _check_told_key(effect, verdict)
        if effect.name in ("CreateTransaction", "CreditWallet", "DebitWallet"):
            place = _place(effect.key, effect.input.get("ledger", ""))
            explained[place].append(effect)
            _compare_one(reader, effect, booked.get(place, []), verdict)
        elif effect.name == "AddAccountMetadata" and effect.is_done:
            _compare_metadata(reader, effect, verdict)
    for place in booked:
        verdict.must(place in explained, f"{place[0]}: booked, but no effect in any history explains it")
    for place, several in explained.items():
        once = len(several) == 1 or place[0].startswith(INGESTION)
        verdict.must(once, f"{place[0]}: {len(several)} effects share a key")


def _compare_one(reader: Reader, effect: Effect, found: list[Booking], verdict: Verdict) -> None:
    if not effect.is_done:
        is_settled = effect.entry["terminated"] and not effect.key.startswith(INGESTION)
        verdict.must(not (is_settled and found), f"{effect.label}: {effect.entry.get('error')!r}, and yet it is booked")
        return
    if not found:
        verdict.must(False, f"{effect.label}: done, but not in the books")
        return
    wanted = _postings(reader, effect)
    told = [{key: posting.get(key) for key in wanted[0]} for posting in found[0].transaction["postings"]]
    verdict.must(told == wanted, f"{effect.label}: booked {told}, wanted {wanted}")


def _postings(reader: Reader, effect: Effect) -> list[Json]:
    """What history's input asks for; of a wallet's transaction only what the input tells."""
    if effect.name == "CreateTransaction":
        return [dict(posting) for posting in effect.input["data"]["postings"]]
    data = effect.input["data"]
    wanted: Json = {"amount": data["amount"]["amount"], "asset": data["amount"]["asset"]}
    subjects = data["sources"] if effect.name == "CreditWallet" else [data.get("destination")]
    side = "source" if effect.name == "CreditWallet" else "destination"
    if subjects and subjects[0] and subjects[0]["type"] == "ACCOUNT":
        wanted[side] = subjects[0]["identifier"]
    elif not subjects or not subjects[0]:
        wanted[side] = "world"
    return [wanted]


def _compare_metadata(reader: Reader, effect: Effect, verdict: Verdict) -> None:
    path = f"/api/ledger/v2/{effect.input['ledger']}/accounts/{quote(effect.input['id'], safe='')}"
    account = reader.data(path) or {"metadata": {}}
    missing = {k: v for k, v in effect.input["metadata"].items() if account["metadata"].get(k) != v}
    verdict.must(not missing, f"{effect.label}: the account lacks {missing}")


def _compare_initiations(reader: Reader, effects: list[Effect], verdict: Verdict) -> None:
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for initiation in reader.pages("/api/payments/transfer-initiations"):
        found[initiation["reference"]].append(initiation)
    wanted = {effect.key: effect for effect in effects if effect.name == "CreateTransferInitiation"}
    for key, effect in wanted.items():
        several = found.get(key, [])
        if not effect.is_done:
            verdict.must(
                not (effect.entry["terminated"] and several), f"{effect.label}: not done, and yet it was initiated"
            )
            continue
        verdict.must(len(several) == 1, f"{effect.label}: initiated {len(several)} times")
        pairs = (("amount", "initialAmount"), ("asset", "asset"), ("destination", "destinationAccountID"))
        for initiation in several:
            for name, told_as in pairs:
                told = (initiation[told_as], effect.input[name])
                verdict.must(told[0] == told[1], f"{effect.label}: {name} is {told[0]}, wanted {told[1]}")
    for reference in found:
        known = reference in wanted or not reference.startswith(PREFIX)
        verdict.must(known, f"{reference}: initiated, but no effect in any history explains it")


def _check_told_key(effect: Effect, verdict: Verdict) -> None:
    told = _reference(effect.input)
    if effect.name in ("CreateTransaction", "CreditWallet", "DebitWallet"):
        verdict.must(told == effect.key, f"{effect.label}: history tells the key {told!r}")


def _reference(shown: Json) -> str:
    data = shown.get("data", {})
    return data.get("reference") or data.get("metadata", {}).get("headrace_effect") or ""


def _place(key: str, ledger: str) -> tuple[str, str]:
    """An effect's key is unique everywhere; an ingestion's once for each ledger."""
    return (key, ledger if key.startswith(INGESTION) else "")


def main() -> int:
    try:
        verdict = check(sys.argv[1])
    except Inconclusive as error:
        print(f"inconclusive: {error}")
        return 2
    print(verdict.shown())
    return 1 if verdict.problems else 2 if verdict.unfinished else 0


if __name__ == "__main__":
    sys.exit(main())
