"""The demo's checker must see each way in which books and histories can differ."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest

from headrace.demo.books import Ended, Report, check_books
from headrace.demo.examples import AccountBalance, Expected, Initiation
from headrace.demo.stack import Stack

Json = dict[str, Any]

KEY = "headrace:i1:0:0"
POSTING: Json = {"source": "world", "destination": "a", "amount": 10**30, "asset": "USD/2"}
CREDIT_KEY = "headrace:i1:0:1"
CREDIT_POSTING: Json = {"source": "world", "destination": "wallets:w:main", "amount": 5, "asset": "USD/2"}


class Books:
    """Books as a Stack reads them, to be spoiled."""

    def __init__(self) -> None:
        self.booked: dict[str, list[Json]] = {
            "shop": [{"id": 1, "reference": KEY, "postings": [POSTING], "metadata": {}}],
            "wallets-002": [{"id": 1, "reference": CREDIT_KEY, "postings": [CREDIT_POSTING], "metadata": {}}],
        }
        self.initiated: list[Json] = [
            {
                "reference": "headrace:i1:0:2",
                "destinationAccountID": "bank",
                "type": "PAYOUT",
                "amount": 5,
                "asset": "USD/2",
                "status": "PROCESSED",
            }
        ]
        self.account_balance = 10**30
        self.total = 0

    def ledgers(self, candidates: list[str]) -> list[str]:
        return [name for name in candidates if name in self.booked]

    def transactions(self, ledger: str) -> list[Json]:
        return self.booked[ledger]

    def initiations(self) -> list[Json]:
        return self.initiated

    def balance(self, ledger: str, account: str, asset: str) -> int:
        return self.account_balance

    def aggregated(self, ledger: str) -> dict[str, int]:
        return {"USD/2": self.total}


def activity(name: str, body: Json, **more: Any) -> Json:
    return {"name": name, "input": {name: body}, "attempt": 2, "terminated": True, **more}


def run() -> Ended:
    transaction = {"ledger": "shop", "data": {"reference": KEY, "postings": [POSTING], "metadata": {}}}
    amount = {"amount": 5, "asset": "USD/2"}
    credit = {"id": "w", "data": {"amount": amount, "reference": CREDIT_KEY, "metadata": {}}}
    stages = [
        [
            activity("CreateTransaction", transaction),
            activity("CreditWallet", credit),
            activity("CreateTransferInitiation", {"amount": 5}),
        ]
    ]
    expected = Expected(
        stages=(("CreateTransaction", "CreditWallet", "CreateTransferInitiation"),),
        accounts=(AccountBalance("shop", "a", "USD/2", 10**30),),
        initiations=(Initiation("bank", "PAYOUT", 5, "USD/2", "PROCESSED"),),
    )
    return Ended("run", {"id": "i1", "terminated": True}, stages, expected)


def check(books: Books, ended: Ended) -> Report:
    return check_books(cast("Stack", books), ["shop"], [ended])


def test_exact_books_have_no_problems() -> None:
    report = check(Books(), run())
    assert report.problems == []
    assert (report.transactions, report.effects, report.repeated_attempts) == (2, 3, 3)


def booked_twice(books: Books, _: Ended) -> None:
    books.booked["shop"].append({**books.booked["shop"][0], "id": 2})


def booked_on_another_ledger_too(books: Books, _: Ended) -> None:
    books.booked["wallets-002"].append({**books.booked["shop"][0], "id": 2})


def not_booked(books: Books, _: Ended) -> None:
    books.booked["shop"].clear()


def booked_with_another_amount(books: Books, _: Ended) -> None:
    books.booked["shop"][0] = {**books.booked["shop"][0], "postings": [{**POSTING, "amount": 10**30 + 1}]}


def credited_another_amount(books: Books, _: Ended) -> None:
    books.booked["wallets-002"][0] = {
        **books.booked["wallets-002"][0],
        "postings": [{**CREDIT_POSTING, "amount": 6}],
    }


def booked_but_in_no_history(books: Books, ended: Ended) -> None:
    extra = {"id": 9, "metadata": {"headrace_effect": "headrace:i2:0:0"}, "postings": [POSTING]}
    books.booked["shop"].append(extra)


def refused_but_booked(_: Books, ended: Ended) -> None:
    ended.activities[0][0]["error"] = "INSUFFICIENT_FUND"


def initiated_twice(books: Books, _: Ended) -> None:
    books.initiated.append({**books.initiated[0], "reference": "headrace:i1:0:3"})


def initiated_by_nobody(books: Books, _: Ended) -> None:
    books.initiated.append({**books.initiated[0], "reference": "headrace:i9:0:0", "destinationAccountID": "x"})


def initiation_is_missing(books: Books, _: Ended) -> None:
    books.initiated.clear()


def balance_is_off(books: Books, _: Ended) -> None:
    books.account_balance += 1


def sum_is_off(books: Books, _: Ended) -> None:
    books.total = 1


def instance_failed(_: Books, ended: Ended) -> None:
    ended.instance["error"] = "canceled"


def instance_still_runs(_: Books, ended: Ended) -> None:
    ended.instance["terminated"] = False


def did_something_else(_: Books, ended: Ended) -> None:
    ended.activities[0].append(activity("GetAccount", {"id": "a", "ledger": "shop"}))


SPOILERS = [
    booked_twice,
    booked_on_another_ledger_too,
    not_booked,
    booked_with_another_amount,
    credited_another_amount,
    booked_but_in_no_history,
    refused_but_booked,
    initiated_twice,
    initiated_by_nobody,
    initiation_is_missing,
    balance_is_off,
    sum_is_off,
    instance_failed,
    instance_still_runs,
    did_something_else,
]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda spoil: spoil.__name__)
def test_each_difference_is_seen(spoil: Callable[[Books, Ended], None]) -> None:
    books, ended = Books(), copy.deepcopy(run())
    spoil(books, ended)
    assert check(books, ended).problems
