"""Wallets: their money sits in the books of their ledger."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.sandbox import Sandbox
from tests.sandbox.conftest import Ledger, Service

TEN = {"amount": 10, "asset": "USD/2"}


def create(wallets: Service, name: str = "w", **more: Any) -> str:
    return wallets.post("/wallets", {"name": name, "metadata": {}, **more}, status=201)["data"]["id"]


def credit(wallets: Service, wallet: str, status: int = 204, key: str = "", **more: Any) -> Any:
    return wallets.post(f"/wallets/{wallet}/credit", {"amount": TEN, "metadata": {}, **more}, key=key, status=status)


def debit(wallets: Service, wallet: str, status: int = 204, key: str = "", **more: Any) -> Any:
    return wallets.post(f"/wallets/{wallet}/debit", {"amount": TEN, "metadata": {}, **more}, key=key, status=status)


def balance(wallets: Service, wallet: str, name: str = "main", asset: str = "USD/2") -> int:
    return wallets.get(f"/wallets/{wallet}")["data"]["balances"][name]["assets"].get(asset, 0)


def account(wallet: str, name: str = "main") -> str:
    return f"wallets:{wallet.replace('-', '')}:{name}"


@pytest.fixture
def books(sandbox: Sandbox) -> Ledger:
    return Ledger(sandbox, "ledger")


class TestWallets:
    def test_a_new_wallet_and_its_ledger(self, wallets: Service, books: Ledger) -> None:
        answer = wallets.post("/wallets", {"name": "alice", "metadata": {"k": "v"}}, status=201)["data"]
        assert answer == {
            "id": answer["id"],
            "name": "alice",
            "metadata": {"k": "v"},
            "createdAt": answer["createdAt"],
            "ledger": "wallets-002",
        }
        assert answer["createdAt"].startswith("2024-05-01T10:00:00.") and answer["createdAt"].endswith("Z")
        assert wallets.get(f"/wallets/{answer['id']}")["data"] == {**answer, "balances": {"main": {"assets": {}}}}
        assert books.get("/v2/wallets-002")["data"]["name"] == "wallets-002"

    def test_a_wallet_on_a_ledger_of_choice(self, wallets: Service, books: Ledger) -> None:
        books.post("/v2/main", {}, status=204)
        wallet = create(wallets, ledger="main")
        assert wallets.get(f"/wallets/{wallet}")["data"]["ledger"] == "main"
        credit(wallets, wallet)
        assert books.balance(account(wallet), "main") == 10

    def test_creation_with_a_key_is_one_creation(self, wallets: Service) -> None:
        body = {"name": "w", "metadata": {}}
        first = wallets.post("/wallets", body, key="k", status=201)
        assert wallets.post("/wallets", body, key="k", status=201) == first
        answer = wallets.post("/wallets", {**body, "name": "x"}, key="k", status=400)
        assert "invalid idempotency hash" in answer["errorMessage"]
        assert len(wallets.get("/wallets")["cursor"]["data"]) == 1

    @pytest.mark.parametrize(
        "body",
        [{}, {"name": ""}, {"name": 1}, {"name": "w", "metadata": {"a": 1}}, {"name": "w", "ledger": "a.b"}, []],
    )
    def test_what_cannot_be_a_wallet(self, wallets: Service, body: object) -> None:
        assert wallets.post("/wallets", body, status=400)["errorCode"] == "VALIDATION"

    def test_unknown(self, wallets: Service) -> None:
        response = wallets.call("GET", "/wallets/nobody")
        assert (response.status, response.body) == (404, b"")
        for path in ("credit", "debit"):
            answer = wallets.post(f"/wallets/nobody/{path}", {"amount": TEN, "metadata": {}}, status=400)
            assert answer["errorCode"] == "VALIDATION"

    def test_lists_by_exact_name(self, wallets: Service) -> None:
        ids = [create(wallets, name) for name in ("ann", "bob", "ann", "anna")]
        found = wallets.get("/wallets?name=ann")["cursor"]
        assert [one["id"] for one in found["data"]] == [ids[2], ids[0]]
        assert found["pageSize"] == 15 and found["hasMore"] is False
        assert wallets.get("/wallets?name=nobody")["cursor"]["data"] == []

    def test_lists_by_metadata_and_by_page(self, wallets: Service) -> None:
        ids = [create(wallets, "w", metadata={"team": team, "a.b": "c"}) for team in ("red", "blue", "red", "red")]
        first = wallets.get("/wallets?metadata%5Bteam%5D=red&metadata%5Ba.b%5D=c&pageSize=2")["cursor"]
        second = wallets.get(f"/wallets?cursor={first['next']}")["cursor"]
        assert [one["id"] for one in first["data"] + second["data"]] == [ids[3], ids[2], ids[0]]
        assert "balances" not in first["data"][0]
        assert wallets.get("/wallets?expand=balances")["cursor"]["data"][0]["balances"] == {"main": {"assets": {}}}

    @pytest.mark.parametrize("size", ["0", "1001", "x"])
    def test_page_sizes(self, wallets: Service, size: str) -> None:
        assert wallets.get(f"/wallets?pageSize={size}", status=400)["errorCode"] == "VALIDATION"


class TestCredit:
    def test_from_world_by_default(self, wallets: Service, books: Ledger) -> None:
        wallet = create(wallets)
        credit(wallets, wallet, sources=None, metadata=None)
        assert balance(wallets, wallet) == 10
        assert books.balance("world", "wallets-002") == -10

    def test_from_an_account_and_no_more_than_it_has(self, wallets: Service, books: Ledger) -> None:
        books.post("/v2/main", {}, status=204)
        books.send("world", "shop", 15)
        wallet = create(wallets, ledger="main")
        sources = [{"type": "ACCOUNT", "identifier": "shop"}]
        credit(wallets, wallet, sources=sources)
        assert credit(wallets, wallet, 400, sources=sources)["errorCode"] == "INSUFFICIENT_FUND"
        assert (books.balance("shop"), balance(wallets, wallet)) == (5, 10)

    def test_from_another_wallet(self, wallets: Service) -> None:
        giver, taker = create(wallets), create(wallets)
        credit(wallets, giver, balance="gifts")
        source = {"type": "WALLET", "identifier": giver}
        assert credit(wallets, taker, 400, sources=[source])["errorCode"] == "INSUFFICIENT_FUND"
        credit(wallets, taker, sources=[{**source, "balance": "gifts"}])
        assert (balance(wallets, giver, "gifts"), balance(wallets, taker)) == (0, 10)

    def test_several_sources_are_emptied_in_order(self, wallets: Service, books: Ledger) -> None:
        books.post("/v2/main", {}, status=204)
        books.send("world", "a", 4)
        books.send("world", "b", 100)
        wallet = create(wallets, ledger="main")
        credit(wallets, wallet, sources=[{"type": "ACCOUNT", "identifier": name} for name in ("a", "a", "b")])
        assert (books.balance("a"), books.balance("b"), balance(wallets, wallet)) == (0, 94, 10)

    def test_reference_metadata_and_time_end_in_the_transaction(self, wallets: Service, books: Ledger) -> None:
        wallet = create(wallets)
        credit(wallets, wallet, reference="r", metadata={"k": "v"}, timestamp="2020-01-02T03:04:05.5+01:00")
        expected = {
            "id": 1,
            "reference": "r",
            "metadata": {"k": "v"},
            "timestamp": "2020-01-02T02:04:05.5Z",
            "postings": [{"source": "world", "destination": account(wallet), **TEN}],
        }
        assert wallets.get(f"/transactions?walletID={wallet}")["cursor"]["data"] == [
            {**expected, "ledger": "wallets-002"}
        ]
        booked = books.get("/v2/wallets-002/transactions/1")["data"]
        assert {name: booked[name] for name in expected} == expected

    def test_a_second_use_of_a_reference(self, wallets: Service) -> None:
        wallet = create(wallets)
        credit(wallets, wallet, reference="r", key="a")
        answer = credit(wallets, wallet, 400, reference="r", key="b")
        assert (answer["errorCode"], balance(wallets, wallet)) == ("VALIDATION", 10)

    def test_a_key_credits_once_and_a_refusal_does_not_use_it_up(self, wallets: Service, books: Ledger) -> None:
        wallet = create(wallets)
        sources = [{"type": "ACCOUNT", "identifier": "poor"}]
        credit(wallets, wallet, 400, key="k", sources=sources)
        for _ in range(3):
            credit(wallets, wallet, key="k")
        assert balance(wallets, wallet) == 10
        answer = debit(wallets, wallet, 400, key="k")
        assert "invalid idempotency hash" in answer["errorMessage"]

    @pytest.mark.parametrize(
        "change",
        [
            {"amount": None},
            {"amount": 10},
            {"amount": {"amount": "10", "asset": "USD/2"}},
            {"amount": {"amount": 1.0, "asset": "USD/2"}},
            {"amount": {"amount": -1, "asset": "USD/2"}},
            {"amount": {"amount": True, "asset": "USD/2"}},
            {"amount": {"amount": 1, "asset": "usd"}},
            {"amount": {"amount": 1}},
            {"sources": {}},
            {"sources": [1]},
            {"sources": [{"type": "account", "identifier": "a"}]},
            {"sources": [{"type": "ACCOUNT", "identifier": "a b"}]},
            {"sources": [{"type": "ACCOUNT"}]},
            {"sources": [{"type": "WALLET", "identifier": "nobody"}]},
            {"balance": "a:b"},
            {"balance": ""},
            {"balance": 1},
            {"reference": 1},
            {"timestamp": "yesterday"},
            {"metadata": {"a": 1}},
        ],
    )
    def test_refused(self, wallets: Service, change: dict[str, Any]) -> None:
        wallet = create(wallets)
        assert credit(wallets, wallet, 400, **change)["errorCode"] == "VALIDATION"
        assert wallets.get(f"/transactions?walletID={wallet}")["cursor"]["data"] == []

    def test_wallets_on_two_ledgers_do_not_mix(self, wallets: Service) -> None:
        here, there = create(wallets), create(wallets, ledger="there")
        credit(wallets, there)
        answer = credit(wallets, here, 400, sources=[{"type": "WALLET", "identifier": there}])
        assert answer["errorCode"] == "VALIDATION" and "there" in answer["errorMessage"]


class TestDebit:
    def test_to_world_by_default(self, wallets: Service, books: Ledger) -> None:
        wallet = create(wallets)
        credit(wallets, wallet)
        debit(wallets, wallet, metadata={"headrace_effect": "e"})
        assert (balance(wallets, wallet), books.balance("world", "wallets-002")) == (0, 0)
        newest = wallets.get(f"/transactions?walletID={wallet}")["cursor"]["data"][0]
        assert newest["metadata"] == {"headrace_effect": "e"}
        assert "reference" not in newest

    def test_no_overdraft(self, wallets: Service) -> None:
        wallet = create(wallets)
        assert debit(wallets, wallet, 400)["errorCode"] == "INSUFFICIENT_FUND"
        assert debit(wallets, wallet, 400, balances=["gifts"])["errorCode"] == "INSUFFICIENT_FUND"
        debit(wallets, wallet, amount={"amount": 0, "asset": "USD/2"})

    def test_to_an_account_or_a_wallet(self, wallets: Service, books: Ledger) -> None:
        giver, taker = create(wallets), create(wallets)
        for _ in range(3):
            credit(wallets, giver)
        debit(wallets, giver, destination={"type": "ACCOUNT", "identifier": "shop"})
        debit(wallets, giver, destination={"type": "WALLET", "identifier": taker})
        debit(wallets, giver, destination={"type": "WALLET", "identifier": taker, "balance": "gifts"})
        assert books.balance("shop", "wallets-002") == 10
        assert (balance(wallets, giver), balance(wallets, taker), balance(wallets, taker, "gifts")) == (0, 10, 10)

    def test_balances_in_the_order_given(self, wallets: Service) -> None:
        wallet = create(wallets)
        six = {"amount": 6, "asset": "USD/2"}
        credit(wallets, wallet, amount=six, balance="gifts")
        credit(wallets, wallet, amount=six)
        debit(wallets, wallet, balances=["gifts", "main"])
        assert (balance(wallets, wallet, "gifts"), balance(wallets, wallet)) == (0, 2)

    def test_all_balances(self, wallets: Service) -> None:
        wallet = create(wallets)
        six = {"amount": 6, "asset": "USD/2"}
        credit(wallets, wallet, amount=six, balance="gifts")
        credit(wallets, wallet, amount=six)
        debit(wallets, wallet, balances=["*"])
        assert (balance(wallets, wallet, "gifts"), balance(wallets, wallet)) == (2, 0)

    @pytest.mark.parametrize(
        "change",
        [
            {"pending": True},
            {"pending": "no"},
            {"balances": "main"},
            {"balances": [1]},
            {"balances": ["a:b"]},
            {"destination": "world"},
            {"destination": {"type": "WALLET", "identifier": "nobody"}},
            {"description": 1},
            {"timestamp": ""},
        ],
    )
    def test_refused(self, wallets: Service, change: dict[str, Any]) -> None:
        wallet = create(wallets)
        credit(wallets, wallet)
        assert debit(wallets, wallet, 400, **change)["errorCode"] == "VALIDATION"
        assert balance(wallets, wallet) == 10

    def test_a_refused_debit_leaves_no_balance_behind(self, wallets: Service) -> None:
        giver, taker = create(wallets), create(wallets)
        debit(wallets, giver, 400, destination={"type": "WALLET", "identifier": taker, "balance": "gifts"})
        assert [one["name"] for one in wallets.get(f"/wallets/{taker}/balances")["cursor"]["data"]] == ["main"]


class TestBalances:
    def test_created_by_hand_or_by_the_first_credit(self, wallets: Service) -> None:
        wallet = create(wallets)
        made = wallets.post(f"/wallets/{wallet}/balances", {"name": "gifts"}, status=201)
        assert made["data"] == {"name": "gifts"}
        wallets.post(f"/wallets/{wallet}/balances", {"name": "gifts"}, status=400)
        credit(wallets, wallet, balance="coupons")
        first = wallets.get(f"/wallets/{wallet}/balances?pageSize=2")["cursor"]
        second = wallets.get(f"/wallets/{wallet}/balances?cursor={first['next']}")["cursor"]
        assert [one["name"] for one in first["data"] + second["data"]] == ["coupons", "gifts", "main"]
        assert wallets.get(f"/wallets/{wallet}/balances/coupons")["data"] == {
            "name": "coupons",
            "assets": {"USD/2": 10},
        }
        assert wallets.call("GET", f"/wallets/{wallet}/balances/nope").status == 404


def test_transactions_of_a_wallet_are_its_own_and_paged(wallets: Service, books: Ledger) -> None:
    one, other = create(wallets), create(wallets)
    for number in range(5):
        credit(wallets, one, reference=f"r{number}")
        credit(wallets, other)
    body = {"postings": [{"source": account(one), "destination": "shop", **TEN}], "metadata": {}}
    books.post("/v2/wallets-002/transactions", body, status=200)
    path, seen = f"/transactions?walletID={one}&pageSize=4", []
    while path:
        cursor = wallets.get(path)["cursor"]
        seen += [item.get("reference") for item in cursor["data"]]
        path = f"/transactions?cursor={cursor['next']}" if cursor["hasMore"] else ""
    assert seen == [None, "r4", "r3", "r2", "r1", "r0"]
    assert wallets.get("/transactions", status=400)["errorCode"] == "VALIDATION"
