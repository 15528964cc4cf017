"""Compares the books with the histories: each effect once, each booking explained, every balance as expected.

It reads both from outside, over HTTP, and trusts neither. It returns what is wrong, in sentences.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from headrace.demo.examples import Expected
from headrace.demo.stack import Stack

Json = dict[str, Any]

EFFECT_PREFIX = "headrace:"
INGESTION_PREFIX = "headrace:ingest:"
ALWAYS_LEDGERS = ("orchestration-000-internal", "wallets-002")


@dataclass(frozen=True, slots=True)
class Ended:
    """An instance that has ended, with the activities of each of its stages."""

    label: str
    instance: Json
    activities: list[list[Json]]
    expected: Expected


@dataclass(slots=True)
class Report:
    problems: list[str] = field(default_factory=list[str])
    transactions: int = 0
    effects: int = 0
    repeated_attempts: int = 0


@dataclass(frozen=True, slots=True)
class Booking:
    ledger: str
    transaction: Json


def check_books(stack: Stack, ledgers: list[str], ended: list[Ended]) -> Report:
    """Compare every booking with the histories of the instances that have ended."""
    report = Report()
    bookings = _read_bookings(stack, ledgers, report)
    _check_effects(bookings, ended, report)
    _check_initiations(stack.initiations(), ended, report)
    for run in ended:
        if not run.instance["terminated"] or run.instance.get("error"):
            report.problems.append(f"{run.label} did not succeed: {run.instance.get('error', 'it has not ended')}")
        names = tuple(tuple(activity["name"] for activity in stage) for stage in run.activities)
        if names != run.expected.stages:
            report.problems.append(f"{run.label} did {names}, not {run.expected.stages}")
        _check_balances(stack, run, report)
    for ledger in stack.ledgers([*ledgers, *ALWAYS_LEDGERS]):
        for asset, total in stack.aggregated(ledger).items():
            _expect(report, f"sum of all {asset} balances on {ledger}", total, 0)
    return report


def effect_key(activity: Json) -> str | None:
    """The key under which an effect's booking is found; None for reads and for what books nothing."""
    values: Json = activity["input"].get(activity["name"]) or {}
    data: Json = values.get("data") or {}
    metadata: Json = data.get("metadata") or {}
    return data.get("reference") or metadata.get("headrace_effect")


def _read_bookings(stack: Stack, ledgers: list[str], report: Report) -> dict[str, list[Booking]]:
    """By the key each transaction carries, as its reference or in its metadata."""
    bookings: dict[str, list[Booking]] = defaultdict(list)
    for ledger in stack.ledgers([*ledgers, *ALWAYS_LEDGERS]):
        for transaction in stack.transactions(ledger):
            report.transactions += 1
            key = transaction.get("reference") or transaction["metadata"].get("headrace_effect") or ""
            if key.startswith(EFFECT_PREFIX):
                unique = f"{ledger}/{key}" if key.startswith(INGESTION_PREFIX) else key
                bookings[unique].append(Booking(ledger, transaction))
    return bookings


def _check_effects(bookings: dict[str, list[Booking]], ended: list[Ended], report: Report) -> None:
    explained: set[str] = set()
    for run in ended:
        for activity in (entry for stage in run.activities for entry in stage):
            report.repeated_attempts += activity["attempt"] - 1
            key = effect_key(activity)
            if key is None:
                continue
            unique = (
                f"{activity['input'][activity['name']].get('ledger')}/{key}"
                if key.startswith(INGESTION_PREFIX)
                else key
            )
            explained.add(unique)
            report.effects += 1
            booked = bookings.get(unique, [])
            what = f"{run.label}: {activity['name']} {effect_key(activity)}"
            wanted = 0 if activity.get("error") else 1
            if len(booked) != wanted:
                report.problems.append(f"{what} is booked {len(booked)} times, not {wanted}")
            elif booked and not _matches(activity, booked[0]):
                report.problems.append(f"{what} is booked as {booked[0].transaction['postings']}")
    report.problems += [f"{key} is booked, but no history has it" for key in bookings.keys() - explained]


def _matches(activity: Json, booking: Booking) -> bool:
    body = activity["input"][activity["name"]]
    postings = booking.transaction["postings"]
    if activity["name"] == "CreateTransaction":
        return booking.ledger == body["ledger"] and postings == body["data"]["postings"]
    amount = body["data"]["amount"]
    return [(each["amount"], each["asset"]) for each in postings] == [(amount["amount"], amount["asset"])]


def _check_initiations(initiations: list[Json], ended: list[Ended], report: Report) -> None:
    """A transfer initiation carries its key as reference only: it is counted for each instance and stage."""
    found: dict[str, int] = defaultdict(int)
    for initiation in initiations:
        found[initiation["reference"].rpartition(":")[0]] += 1
    wanted = {
        f"{EFFECT_PREFIX}{run.instance['id']}:{number}": sum(
            entry["name"] == "CreateTransferInitiation" for entry in stage
        )
        for run in ended
        for number, stage in enumerate(run.activities)
    }
    report.effects += sum(wanted.values())
    for key, count in wanted.items():
        if found.pop(key, 0) != count:
            report.problems.append(f"{key}: not exactly {count} transfer initiations")
    report.problems += [
        f"transfer initiation {key} belongs to no history" for key in found if key.startswith(EFFECT_PREFIX)
    ]


def _check_balances(stack: Stack, run: Ended, report: Report) -> None:
    for account in run.expected.accounts:
        has = stack.balance(account.ledger, account.account, account.asset)
        _expect(report, f"{run.label}: {account.account} on {account.ledger}", has, account.balance)
    for wallet in run.expected.wallets:
        has = stack.wallet_balance(wallet.wallet, wallet.asset)
        _expect(report, f"{run.label}: wallet {wallet.wallet}", has, wallet.balance)
    for described in run.expected.metadata:
        has_metadata = stack.account_metadata(described.ledger, described.account)
        _expect(report, f"{run.label}: metadata of {described.account}", has_metadata, described.metadata)
    for initiation in run.expected.initiations:
        same = [each for each in stack.initiations() if each["destinationAccountID"] == initiation.destination]
        has_values = [(each["type"], each["amount"], each["asset"], each["status"]) for each in same]
        wanted = [(initiation.type, initiation.amount, initiation.asset, initiation.status)]
        _expect(report, f"{run.label}: initiations to {initiation.destination}", has_values, wanted)


def _expect(report: Report, what: str, has: Any, wanted: Any) -> None:
    if has != wanted:
        report.problems.append(f"{what} is {has}, not {wanted}")
