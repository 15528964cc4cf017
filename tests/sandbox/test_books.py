"""Double entry: what holds whatever is asked of the ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.clock import RandomIds, SystemClock
from headrace.effects.port import NoResponse, Request
from headrace.money import posting
from headrace.sandbox import Releases, Sandbox, scripts
from headrace.sandbox.books import Draft, InsufficientFund, Volume, volumes_after
from headrace.sandbox.releases import LedgerRelease
from headrace.sandbox.store import Job
from tests.sandbox.conftest import CountedIds, Ledger, ManualClock

ACCOUNTS = ["world", "a", "b", "c:d"]
ASSETS = ["USD/2", "JPY"]

postings = st.builds(
    posting,
    st.sampled_from(ACCOUNTS),
    st.sampled_from(ACCOUNTS),
    st.one_of(st.integers(0, 12), st.integers(0, 2**200)),
    st.sampled_from(ASSETS),
)


def flat_balances(answer: Any) -> dict[tuple[str, str], int]:
    return {
        (account["address"], asset): volume["balance"]
        for account in answer["cursor"]["data"]
        for asset, volume in account["volumes"].items()
    }


class TestRules:
    @given(st.lists(st.lists(postings, min_size=1, max_size=4), max_size=12))
    def test_sums_are_zero_and_nobody_but_world_is_negative(self, transactions: list[list[Any]]) -> None:
        books = {(account, asset): Volume() for account in ACCOUNTS for asset in ASSETS}
        for made in transactions:
            before = dict(books)
            try:
                books = volumes_after(books, Draft("main", made, {}))
            except InsufficientFund:
                assert books == before
            for asset in ASSETS:
                assert sum(books[account, asset].balance for account in ACCOUNTS) == 0
            assert all(volume.balance >= 0 for (account, _), volume in books.items() if account != "world")

    @given(st.lists(postings, min_size=1, max_size=6))
    def test_each_amount_is_one_output_and_one_input(self, made: list[Any]) -> None:
        books = {(account, asset): Volume() for account in ACCOUNTS for asset in ASSETS}
        after = volumes_after(books, Draft("main", made, {}, unbounded=ACCOUNTS))
        expected: Counter[tuple[str, str]] = Counter()
        for one in made:
            expected[one["source"], one["asset"]] -= one["amount"]
            expected[one["destination"], one["asset"]] += one["amount"]
        assert {pair: volume.balance for pair, volume in after.items()} == {pair: expected[pair] for pair in books}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.lists(postings, min_size=1, max_size=3), st.booleans()), max_size=10))
def test_the_stored_books_agree_with_a_model(steps: list[tuple[list[Any], bool]]) -> None:
    """Balances, sums and lists of the sandbox against plain arithmetic over what it accepted."""
    sandbox = Sandbox(None, clock=ManualClock(), ids=CountedIds(), seed=1)
    ledger = Ledger(sandbox, "ledger")
    ledger.post("/v2/main", {}, status=204)
    model: Counter[tuple[str, str]] = Counter()
    accepted: list[Any] = []
    for made, is_dry_run in steps:
        path = "/v2/main/transactions" + ("?dryRun=true" if is_dry_run else "")
        response = ledger.call("POST", path, {"postings": made, "metadata": {}})
        assert response.status in (200, 400)
        if response.status == 200 and not is_dry_run:
            accepted.append(made)
            for one in made:
                model[one["source"], one["asset"]] -= one["amount"]
                model[one["destination"], one["asset"]] += one["amount"]
    found = flat_balances(ledger.get("/v2/main/accounts?expand=volumes"))
    assert found == {pair: model[pair] for pair in found}
    assert {pair for pair, amount in model.items() if amount} <= set(found)
    assert all(amount == 0 for amount in ledger.get("/v2/main/aggregate/balances")["data"].values())
    listed = ledger.get("/v2/main/transactions?pageSize=100")["cursor"]["data"]
    assert [one["postings"] for one in reversed(listed)] == accepted
    sandbox._store.close()


def test_a_thousand_digits_are_exact(ledger: Ledger) -> None:
    amount = 10**1_000 - 1
    ledger.send("world", "rich", amount)
    ledger.send("world", "rich", amount)
    ledger.send("rich", "other", 1)
    assert ledger.balance("rich") == 2 * amount - 1
    assert ledger.balance("world") == -2 * amount


def test_amounts_beyond_what_python_reads_are_refused_cleanly(ledger: Ledger) -> None:
    body = b'{"metadata":{},"postings":[{"source":"world","destination":"a","amount":%s,"asset":"USD/2"}]}'
    ledger.post("/v2/main/transactions", body % (b"9" * 4_000), status=200)
    ledger.post("/v2/main/transactions", body % (b"9" * 4_000), status=200)
    assert ledger.balance("a") == 2 * (10**4_000 - 1)
    for digits in (4_001, 5_000, 100_000):
        assert ledger.post("/v2/main/transactions", body % (b"9" * digits), status=400)["errorCode"] == "VALIDATION"


@pytest.mark.parametrize("amount", ["USD/2 007", "USD/2 +7"])
def test_script_amounts_as_a_real_ledger_reads_them(ledger: Ledger, amount: str) -> None:
    variables = {"amount": amount, "src": "poor", "dst": "out"}
    body = {"metadata": {}, "script": {"plain": scripts.OVERDRAFT, "vars": variables}}
    ledger.post("/v2/main/transactions", body, status=200)
    assert ledger.balance("poor") == -7


@pytest.mark.parametrize(
    "amount",
    [
        "USD/2 -7",
        "USD/2",
        "USD/2 ",
        "7",
        "USD/2  7",
        "usd 7",
        "USD/2 7\n",
        "USD/2 \u0667",
        "USD/2 " + "7" * 4001,
        7,
        None,
    ],
)
def test_script_amounts_refused(ledger: Ledger, amount: object) -> None:
    variables = {"amount": amount, "src": "world", "dst": "out"}
    body = {"metadata": {}, "script": {"plain": scripts.PLAIN, "vars": variables}}
    assert ledger.post("/v2/main/transactions", body, status=400)["errorCode"] == "COMPILATION_FAILED"


def test_only_the_named_source_may_be_overdrawn_and_only_with_the_overdraft(ledger: Ledger) -> None:
    variables = {"amount": "USD/2 5", "src": "poor", "dst": "out"}
    plain = {"metadata": {}, "script": {"plain": scripts.PLAIN, "vars": variables}}
    assert ledger.post("/v2/main/transactions", plain, status=400)["errorCode"] == "INSUFFICIENT_FUND"
    overdraft = {"metadata": {}, "script": {"plain": scripts.OVERDRAFT, "vars": variables}}
    ledger.post("/v2/main/transactions", overdraft, status=200)
    assert (ledger.balance("poor"), ledger.balance("out")) == (-5, 5)
    assert ledger.send("poor", "out", 1, status=400)["errorCode"] == "INSUFFICIENT_FUND"
    ledger.send("poor", "out", 0)


@pytest.mark.parametrize("change", [("\n", " "), ("  source", "   source"), ("$amount (", "$amount  ("), (")\n", ")")])
def test_other_scripts_do_not_compile(ledger: Ledger, change: tuple[str, str]) -> None:
    variables = {"amount": "USD/2 5", "src": "world", "dst": "out"}
    body = {"metadata": {}, "script": {"plain": scripts.PLAIN.replace(*change), "vars": variables}}
    assert ledger.post("/v2/main/transactions", body, status=400)["errorCode"] == "COMPILATION_FAILED"


class TestKeysAndReferences:
    def test_a_key_is_answered_with_the_same_bytes(self, ledger: Ledger) -> None:
        body = b'{"metadata": {}, "reference": "r", "postings": [%s]}'
        one = b'{"source": "world", "destination": "a", "amount": 5, "asset": "USD/2"}'
        other = b'{"asset": "USD/2", "amount": 5, "destination": "a", "source": "world"}'
        first = ledger.call("POST", "/v2/main/transactions", body % one, "k")
        second = ledger.call("POST", "/v2/main/transactions", body % other, "k")
        assert (first.status, second.status) == (200, 200)
        assert json.loads(second.body)["data"] == json.loads(first.body)["data"]
        assert second.body == first.body
        assert "idempotency-hit" not in first.headers
        assert second.headers["idempotency-hit"] == "true"
        assert ledger.balance("a") == 5

    async def test_the_hint_can_be_off_as_on_older_ledgers(self, make_sandbox: Callable[..., Sandbox]) -> None:
        ledger = Ledger(make_sandbox(releases=Releases(ledger="2.2")), "ledger")
        ledger.post("/v2/main", {}, status=204)
        ledger.send("world", "a", 5, key="k")
        body = {"postings": [posting("world", "a", 5, "USD/2")], "metadata": {}}
        response = ledger.call("POST", "/v2/main/transactions", body, "k")
        assert response.status == 200
        assert "idempotency-hit" not in response.headers
        assert ledger.balance("a") == 5

    def test_a_key_with_other_content_says_so(self, ledger: Ledger) -> None:
        ledger.send("world", "a", 5, key="k")
        for answer in (
            ledger.send("world", "a", 6, key="k", status=400),
            ledger.post("/v2/main/accounts/a/metadata", {"a": "b"}, key="k", status=400),
        ):
            assert answer["errorCode"] == "VALIDATION"
            assert "invalid idempotency hash" in answer["errorMessage"]
        assert ledger.balance("a") == 5

    def test_keys_and_references_are_per_ledger(self, ledger: Ledger) -> None:
        ledger.post("/v2/other", {}, status=204)
        ledger.send("world", "a", 5, key="k", reference="r")
        body = {"postings": [posting("world", "a", 7, "USD/2")], "metadata": {}, "reference": "r"}
        ledger.post("/v2/other/transactions", body, key="k", status=200)
        assert (ledger.balance("a"), ledger.balance("a", "other")) == (5, 7)

    def test_funds_are_checked_before_the_reference(self, ledger: Ledger) -> None:
        ledger.send("world", "a", 5)
        ledger.send("a", "b", 5, reference="r")
        assert ledger.send("a", "b", 5, reference="r", status=400)["errorCode"] == "INSUFFICIENT_FUND"
        assert ledger.send("world", "b", 5, reference="r", status=409)["errorCode"] == "CONFLICT"

    def test_a_conflict_leaves_a_gap_in_the_ids_and_nothing_else(self, ledger: Ledger) -> None:
        ledger.send("world", "a", 5, reference="r")
        ledger.send("world", "new", 5, reference="r", key="k", status=409)
        assert ledger.call("GET", "/v2/main/accounts/new").status == 404
        assert ledger.send("world", "a", 5, key="k")["data"]["id"] == 3

    def test_a_dry_run_writes_nothing(self, ledger: Ledger) -> None:
        body = {"postings": [posting("world", "a", 5, "USD/2")], "metadata": {}, "reference": "r"}
        for value in ("true", "1"):
            ledger.post(f"/v2/main/transactions?dryRun={value}", body, key="k", status=200)
        ledger.post("/v2/main/accounts/a/metadata?dryRun=true", {"a": "b"}, key="m", status=204)
        assert ledger.call("GET", "/v2/main/accounts/a").status == 404
        assert ledger.get("/v2/main/transactions")["cursor"]["data"] == []
        ledger.post("/v2/main/transactions?dryRun=yes", body, key="k", status=200)
        assert ledger.balance("a") == 5


class TestLists:
    def test_pages_newest_first_to_the_end(self, ledger: Ledger) -> None:
        for number in range(1, 8):
            ledger.send("world", f"users:{number}", number)
        seen: list[int] = []
        path = "/v2/main/transactions?pageSize=3"
        sizes: list[int] = []
        while path:
            cursor = ledger.get(path)["cursor"]
            seen += [one["id"] for one in cursor["data"]]
            sizes.append(len(cursor["data"]))
            assert cursor["hasMore"] == ("next" in cursor)
            path = f"/v2/main/transactions?cursor={cursor['next']}" if cursor["hasMore"] else ""
        assert seen == [7, 6, 5, 4, 3, 2, 1]
        assert sizes == [3, 3, 1]

    def test_a_page_holds_what_was_asked_for_while_new_ones_come(self, ledger: Ledger) -> None:
        for _ in range(4):
            ledger.send("world", "a", 1)
        cursor = ledger.get("/v2/main/transactions?pageSize=2")["cursor"]
        ledger.send("world", "a", 1)
        after = ledger.get(f"/v2/main/transactions?cursor={cursor['next']}")["cursor"]
        assert [one["id"] for one in after["data"]] == [2, 1]

    def test_accounts_by_address_with_volumes_on_every_page(self, ledger: Ledger) -> None:
        for name in ("b", "a", "c"):
            ledger.send("world", name, 1)
        cursor = ledger.get("/v2/main/accounts?pageSize=2&expand=volumes")["cursor"]
        after = ledger.get(f"/v2/main/accounts?cursor={cursor['next']}")["cursor"]
        assert [one["address"] for one in cursor["data"] + after["data"]] == ["a", "b", "c", "world"]
        assert all("volumes" in one for one in cursor["data"] + after["data"])

    def test_by_account(self, ledger: Ledger) -> None:
        for name in ("a", "b", "a", "ab"):
            ledger.send("world", name, 1)
        found = ledger.get('/v2/main/transactions?pageSize=1&query={"$match":{"account":"a"}}')["cursor"]
        after = ledger.get(f"/v2/main/transactions?cursor={found['next']}")["cursor"]
        assert [one["id"] for one in found["data"] + after["data"]] == [3, 1]

    @pytest.mark.parametrize(
        ("pattern", "total"), [("users:1", 1), ("users:", 3), ("users", 0), ("users::main", 4), (":1", 1)]
    )
    def test_balances_of_an_address_pattern(self, ledger: Ledger, pattern: str, total: int) -> None:
        for number, name in enumerate(("users:1", "users:2", "users:3:main"), 1):
            ledger.send("world", name, {1: 1, 2: 2, 3: 4}[number])
        found = ledger.get(f'/v2/main/aggregate/balances?query={{"$match":{{"address":"{pattern}"}}}}')["data"]
        assert found.get("USD/2", 0) == total

    @pytest.mark.parametrize(
        "query",
        [
            "pageSize=0",
            "pageSize=-1",
            "pageSize=x",
            "pageSize=1e1",
            "cursor=x",
            "cursor=W10",
            "cursor=WzAsMSx7fV0",
            "cursor=%ff",
            "query=1",
            "query=[]",
            "query={}",
            'query={"$match":1}',
            'query={"$match":{"reference":1}}',
            'query={"$match":{"metadata[a]":"b"}}',
            'query={"$or":[]}',
            "query=" + "[" * 5_000,
        ],
    )
    def test_questions_that_make_no_sense(self, ledger: Ledger, query: str) -> None:
        assert ledger.get(f"/v2/main/transactions?{query}", status=400)["errorCode"] == "VALIDATION"

    def test_page_size_is_clamped(self, ledger: Ledger) -> None:
        assert ledger.get("/v2/main/transactions?pageSize=5000")["cursor"]["pageSize"] == 100

    def test_ledgers(self, ledger: Ledger) -> None:
        ledger.post("/v2/other", {"metadata": {"a": "b"}}, status=204)
        found = ledger.get("/v2")["cursor"]["data"]
        assert [(one["name"], one["metadata"]) for one in found] == [("other", {"a": "b"}), ("main", {})]


def test_nothing_is_created_implicitly(ledger: Ledger) -> None:
    body = {"postings": [posting("world", "a", 5, "USD/2")], "metadata": {}}
    assert ledger.post("/v2/other/transactions", body, status=404)["errorCode"] == "LEDGER_NOT_FOUND"
    assert ledger.get("/v2/other", status=404)["errorCode"] == "NOT_FOUND"


def test_it_says_what_it_is(sandbox: Sandbox) -> None:
    for service in ("ledger", "wallets", "payments"):
        response = sandbox.handle(Request(service, "GET", "/_info"))
        assert "sandbox" in json.loads(response.body)["server"]
        assert sandbox.handle(Request(service, "GET", "/_healthcheck")).status == 200


async def test_books_outlive_the_process(make_sandbox: Callable[..., Sandbox], tmp_path: Path) -> None:
    first = Ledger(make_sandbox(path=tmp_path / "sandbox.db"), "ledger")
    first.post("/v2/main", {}, status=204)
    first.send("world", "a", 5, key="k", reference="r")
    await first.sandbox.close()
    with pytest.raises(NoResponse):
        first.call("GET", "/v2/main")
    second = Ledger(make_sandbox(path=tmp_path / "sandbox.db"), "ledger")
    assert second.send("world", "a", 5, key="k", reference="r")["data"]["id"] == 1
    assert second.balance("a") == 5


async def test_many_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    import asyncio

    sandbox = Sandbox(tmp_path / "sandbox.db", clock=SystemClock(), ids=RandomIds())
    ledger = Ledger(sandbox, "ledger")
    ledger.post("/v2/main", {}, status=204)
    ledger.send("world", "pot", 100)
    body = {"postings": [posting("pot", "a", 1, "USD/2")], "metadata": {}}
    requests = [ledger.request("POST", "/v2/main/transactions", body, f"k{number % 150}") for number in range(300)]
    responses = await asyncio.gather(*(sandbox.send(request) for request in requests))
    assert Counter(response.status for response in responses[:150]) == {200: 100, 400: 50}
    assert (ledger.balance("a"), ledger.balance("pot")) == (100, 0)
    await sandbox.close()


def test_a_caller_that_gives_up_before_its_turn_harms_nobody(ledger: Ledger) -> None:
    job = Job(ledger.request("POST", "/v2/other", {}), is_rehearsal=False)
    assert job.response.cancel()
    ledger.sandbox._store._jobs.put(job)
    assert ledger.get("/v2/other", status=404)["errorCode"] == "NOT_FOUND"


class TestReverts:
    def test_it_is_dated_as_the_original_only_if_asked(self, ledger: Ledger) -> None:
        for _ in range(2):
            ledger.send("world", "a", 5, timestamp="2020-01-02T03:04:05Z")
        dated = ledger.post("/v2/main/transactions/1/revert?atEffectiveDate=true", status=201)["data"]
        today = ledger.post("/v2/main/transactions/2/revert", status=201)["data"]
        assert dated["timestamp"] == "2020-01-02T03:04:05Z"
        assert today["timestamp"].startswith("2024-05-01T10:00:00")
        assert ledger.balance("a") == 0

    def test_a_key_stands_for_what_was_asked(self, ledger: Ledger) -> None:
        ledger.send("world", "a", 5)
        ledger.post("/v2/main/transactions/1/revert", key="k", status=201)
        again = ledger.call("POST", "/v2/main/transactions/1/revert", None, "k")
        assert (again.status, again.headers["idempotency-hit"]) == (201, "true")
        for path in ("1/revert?force=true", "1/revert?atEffectiveDate=true", "9/revert"):
            assert ledger.post(f"/v2/main/transactions/{path}", key="k", status=400)["errorCode"] == "VALIDATION"
        assert ledger.balance("a") == 0

    def test_it_goes_below_zero_only_if_forced(self, ledger: Ledger) -> None:
        ledger.send("world", "a", 5)
        ledger.send("a", "b", 3)
        assert ledger.post("/v2/main/transactions/1/revert", status=400)["errorCode"] == "INSUFFICIENT_FUND"
        assert ledger.get("/v2/main/transactions/1")["data"]["reverted"] is False
        ledger.post("/v2/main/transactions/1/revert?force=true", status=201)
        assert (ledger.balance("a"), ledger.balance("b"), ledger.balance("world")) == (-3, 3, 0)

    @pytest.mark.parametrize("body", [b"[]", b'{"metadata": {"a": 1}}', b"{"])
    def test_a_body_that_is_wrong_reverts_nothing(self, ledger: Ledger, body: bytes) -> None:
        ledger.send("world", "a", 5)
        assert ledger.call("POST", "/v2/main/transactions/1/revert", body).status == 400
        assert ledger.balance("a") == 5


@pytest.mark.parametrize(("release", "year"), [("2.4", "2024"), ("2.2", "0001")])
def test_the_year_1_is_no_time_for_a_current_ledger(
    make_sandbox: Callable[..., Sandbox], release: LedgerRelease, year: str
) -> None:
    ledger = Ledger(make_sandbox(releases=Releases(ledger=release)), "ledger")
    ledger.post("/v2/main", {}, status=204)
    booked = ledger.send("world", "a", 5, timestamp="0001-01-01T00:00:00Z")["data"]
    assert booked["timestamp"].startswith(year)


def test_an_account_knows_when_it_was_first_used_and_changed(ledger: Ledger) -> None:
    ledger.send("world", "a", 5)
    first = ledger.get("/v2/main/accounts/a")["data"]
    ledger.send("world", "a", 5, timestamp="2020-01-02T03:04:05Z")
    used = ledger.get("/v2/main/accounts/a")["data"]
    assert used == {**first, "firstUsage": "2020-01-02T03:04:05Z"}
    ledger.post("/v2/main/accounts/a/metadata", {"k": "v"}, status=204)
    changed = ledger.get("/v2/main/accounts/a")["data"]
    assert changed["updatedAt"] > used["updatedAt"] and changed["insertionDate"] == used["insertionDate"]
    assert changed["firstUsage"] == used["firstUsage"]


@pytest.mark.parametrize("body", [{}, None, {"$match": {"reference": "r1"}}])
def test_a_list_takes_its_filter_in_the_body(ledger: Ledger, body: object) -> None:
    ledger.send("world", "a", 5, reference="r1")
    ledger.send("world", "a", 5, reference="r2")
    found = json.loads(ledger.call("GET", "/v2/main/transactions", body).body)["cursor"]["data"]
    assert [row["reference"] for row in found] == (["r1"] if body else ["r2", "r1"])
    assert ledger.call("GET", "/v2/main/transactions", b"\xff").status == 400
    assert ledger.call("GET", "/v2/main/transactions", b"[").status == 400
