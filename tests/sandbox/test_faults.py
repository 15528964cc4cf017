"""How the sandbox misbehaves, and that it does so the same way under the same seed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, get_args

import pytest

from headrace.cli.servers import FaultOption
from headrace.effects.port import NoResponse, Request, Response
from headrace.errors import InvalidValue
from headrace.money import posting
from headrace.sandbox import Sandbox, parse_fault
from headrace.sandbox.faults import KINDS, NAMED_KINDS
from tests.sandbox.conftest import Ledger, ManualClock, Service
from tests.tidy.repository import ROOT

Make = Callable[..., Sandbox]


def transfer(key: str = "k", amount: int = 5, source: str = "world", **more: Any) -> dict[str, Any]:
    body = {"postings": [posting(source, "a", amount, "USD/2")], "metadata": {}, **more}
    return {"method": "POST", "path": "/v2/main/transactions", "body": body, "key": key}


def opened(sandbox: Sandbox) -> Ledger:
    """A ledger `main`, opened by the rules alone."""
    ledger = Ledger(sandbox, "ledger")
    ledger.post("/v2/main", {}, status=204)
    return ledger


async def outcome(sandbox: Sandbox, request: Request) -> Response | None:
    try:
        return await sandbox.send(request)
    except NoResponse:
        return None


async def statuses(sandbox: Sandbox, request: Request, times: int) -> list[int | None]:
    responses = [await outcome(sandbox, request) for _ in range(times)]
    return [response.status if response else None for response in responses]


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "kind", "rate", "status", "delay_s"),
        [
            ("ledger:503:1", "status", 1, 503, 1.0),
            ("wallets:429:0.5:2.5", "status", 0.5, 429, 2.5),
            ("payments:drop:.25", "drop", 0.25, 0, 1.0),
            ("ledger:delay:0:0.125", "delay", 0, 0, 0.125),
            ("wallets:overlap:0.2", "overlap", 0.2, 0, 1.0),
        ],
    )
    def test_good(self, text: str, kind: str, rate: float, status: int, delay_s: float) -> None:
        fault = parse_fault(text)
        assert (fault.service, fault.kind, fault.status) == (text.split(":", maxsplit=1)[0], kind, status)
        assert (fault.rate.numerator / fault.rate.denominator, fault.delay_s) == (rate, delay_s)

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("", "SERVICE:KIND:RATE"),
            ("ledger:drop", "SERVICE:KIND:RATE"),
            ("ledger:drop:1:1:1", "SERVICE:KIND:RATE"),
            ("bank:drop:1", "'bank' is not a service"),
            ("ledger:crash:1", "'crash' is not a kind"),
            ("ledger:200:1", "'200' is not a kind"),
            ("ledger:599:1", "'599' is not a kind"),
            ("ledger:5030:1", "'5030' is not a kind"),
            ("ledger:drop:1.5", "'1.5' is not a rate"),
            ("ledger:drop:-1", "'-1' is not a rate"),
            ("ledger:drop:nan", "'nan' is not a rate"),
            ("ledger:drop:1/2", "'1/2' is not a rate"),
            ("ledger:drop:", "'' is not a rate"),
            ("ledger:drop:1:2", "drop takes no seconds"),
            ("ledger:delay:1:soon", "'soon' is not a number of seconds"),
            ("payments:overlap:1", "payments takes no idempotency key"),
        ],
    )
    def test_bad(self, text: str, named: str) -> None:
        with pytest.raises(InvalidValue) as raised:
            parse_fault(text)
        assert named in str(raised.value)


def test_every_kind_is_explained_where_users_look() -> None:
    (option,) = (each for each in get_args(FaultOption) if hasattr(each, "help"))
    page = (ROOT / "docs/how-to/testing-in-ci.md").read_text()
    for kind in NAMED_KINDS:
        assert re.search(rf"\b{kind}\b", option.help), f"cli/servers.py: --fault does not name {kind}"
        assert f":{kind}:" in page, f"docs/how-to/testing-in-ci.md has no line about {kind}"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_changes_what_a_write_gets(make_sandbox: Make, clock: ManualClock, kind: str) -> None:
    """A kind that `Sandbox.send` does not know would do nothing."""
    sandbox = make_sandbox(f"ledger:{'503' if kind == 'status' else kind}:1")
    ledger = opened(sandbox)
    response = await outcome(sandbox, ledger.request(**transfer()))
    assert response is None or response.status != 200 or clock.slept


class TestStatus:
    @pytest.mark.parametrize("status", [429, 503])
    async def test_answers_without_carrying_out_reads_too(self, make_sandbox: Make, status: int) -> None:
        sandbox = make_sandbox(f"ledger:{status}:1")
        ledger = opened(sandbox)
        assert await statuses(sandbox, ledger.request(**transfer()), 2) == [status] * 2
        assert await statuses(sandbox, ledger.request("GET", "/v2/main"), 1) == [status]
        assert ledger.balance("a") == 0

    async def test_a_4xx_is_no_refusal_of_the_service(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:404:1")
        response = await sandbox.send(Request("ledger", "GET", "/v2/main"))
        assert response.headers["content-type"] == "text/plain"

    async def test_seconds_become_retry_after(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:503:1:1.5")
        assert (await sandbox.send(Request("ledger", "GET", "/v2/main"))).headers["retry-after"] == "2"

    async def test_other_services_are_spared(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:503:1", "payments:drop:1")
        assert await statuses(sandbox, Request("wallets", "GET", "/wallets"), 3) == [200] * 3


class TestDrop:
    async def test_is_carried_out_and_not_answered(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:drop:1")
        ledger = opened(sandbox)
        assert await statuses(sandbox, ledger.request(**transfer()), 3) == [None] * 3
        assert ledger.balance("a") == 5
        assert await statuses(sandbox, ledger.request("GET", "/v2/main"), 3) == [200] * 3

    async def test_one_in_five(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:drop:0.2", seed=7)
        ledger = opened(sandbox)
        found = [(await statuses(sandbox, ledger.request(**transfer(f"k{n}")), 1))[0] for n in range(500)]
        assert 70 <= found.count(None) <= 130
        assert ledger.balance("a") == 2_500

    async def test_the_seed_decides(self, make_sandbox: Make) -> None:
        async def played(seed: int) -> list[int | None]:
            sandbox = make_sandbox("ledger:drop:0.5", "ledger:503:0.3", seed=seed)
            return await statuses(sandbox, opened(sandbox).request(**transfer()), 60)

        first = await played(1)
        assert await played(1) == first
        assert await played(2) != first
        assert {None, 200, 503} == set(first)


class TestDelay:
    async def test_answers_late_by_the_clock_it_was_given(self, make_sandbox: Make, clock: ManualClock) -> None:
        sandbox = make_sandbox("ledger:delay:1:2.5", "wallets:delay:1")
        ledger = opened(sandbox)
        assert await statuses(sandbox, ledger.request(**transfer()), 1) == [200]
        assert await statuses(sandbox, Request("wallets", "GET", "/wallets"), 1) == [200]
        assert clock.slept == [2.5, 1.0]


class TestOverlap:
    async def test_no_answer_then_a_refusal_then_the_first_answer(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:overlap:1")
        ledger = opened(sandbox)
        request = ledger.request(**transfer(reference="r"))
        assert await outcome(sandbox, request) is None
        assert ledger.balance("a") == 5
        refused = await sandbox.send(request)
        assert (refused.status, b"CONFLICT" in refused.body) == (409, True)
        assert ledger.send("world", "a", 5, key="k", reference="r")["data"]["id"] == 1
        assert ledger.balance("a") == 5

    async def test_the_third_attempt_is_a_replay_at_a_rate_below_one(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:overlap:0.3", seed=3)
        ledger = opened(sandbox)
        seen: set[tuple[int | None, ...]] = set()
        for number in range(60):
            request = ledger.request(**transfer(f"k{number}", reference=f"r{number}"))
            seen.add(tuple(await statuses(sandbox, request, 3)))
        assert (None, 409, 200) in seen
        assert (200, 200, 200) in seen
        assert ledger.balance("a") == 300

    async def test_funds_are_what_is_missed_first(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:overlap:1")
        ledger = opened(sandbox)
        ledger.send("world", "pot", 7)
        request = ledger.request(**transfer(source="pot", reference="r"))
        assert await outcome(sandbox, request) is None
        refused = await sandbox.send(request)
        assert (refused.status, b"INSUFFICIENT_FUND" in refused.body) == (400, True)
        assert (ledger.balance("pot"), ledger.balance("a")) == (2, 5)

    async def test_the_race_books_nothing_even_where_nothing_is_missed(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:overlap:1")
        ledger = opened(sandbox)
        assert await statuses(sandbox, ledger.request(**transfer()), 2) == [None, 400]
        assert ledger.balance("a") == 5
        assert ledger.send("world", "a", 5, key="k")["data"]["id"] == 1

    async def test_what_was_refused_has_no_race(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:overlap:1")
        request = opened(sandbox).request(**transfer(source="poor"))
        assert await statuses(sandbox, request, 3) == [400] * 3

    async def test_only_writes_with_a_key(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:overlap:1")
        ledger = opened(sandbox)
        assert await statuses(sandbox, ledger.request(**transfer(key="")), 2) == [200] * 2
        assert await statuses(sandbox, ledger.request("GET", "/v2/main", key="k"), 2) == [200] * 2

    async def test_metadata_has_nothing_to_miss(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("ledger:overlap:1")
        request = opened(sandbox).request("POST", "/v2/main/accounts/a/metadata", {"a": "b"}, "k")
        assert await statuses(sandbox, request, 2) == [None, 204]

    async def test_wallets(self, make_sandbox: Make) -> None:
        sandbox = make_sandbox("wallets:overlap:1")
        wallets = Service(sandbox, "wallets")
        wallet = wallets.post("/wallets", {"name": "w", "metadata": {}}, status=201)["data"]["id"]
        amount = {"amount": {"amount": 5, "asset": "USD/2"}, "metadata": {}}
        credit = wallets.request("POST", f"/wallets/{wallet}/credit", {**amount, "reference": "r"}, "c")
        debit = wallets.request("POST", f"/wallets/{wallet}/debit", amount, "d")
        for request, code in ((credit, b"VALIDATION"), (debit, b"INSUFFICIENT_FUND")):
            assert await outcome(sandbox, request) is None
            refused = await sandbox.send(request)
            assert (refused.status, code in refused.body) == (400, True)
            assert sandbox.handle(request).status == 204
        assert len(wallets.get(f"/transactions?walletID={wallet}")["cursor"]["data"]) == 2


async def test_every_key_is_booked_once_under_all_faults_together(make_sandbox: Make) -> None:
    """64 callers that repeat until they are answered 200, never two attempts of one key at a time."""
    sandbox = make_sandbox("ledger:drop:0.2", "ledger:overlap:0.2", "ledger:503:0.2", "ledger:delay:0.1")
    ledger = opened(sandbox)

    async def insist(number: int) -> int:
        request = ledger.request(**transfer(f"k{number}", reference=f"r{number}"))
        attempts = 0
        while True:
            attempts += 1
            response = await outcome(sandbox, request)
            if response and response.status == 200:
                return attempts
            assert response is None or response.status in (503, 409)

    attempts = await asyncio.gather(*(insist(number) for number in range(64)))
    assert max(attempts) > 2
    assert ledger.balance("a") == 5 * 64
    assert len(ledger.get("/v2/main/transactions?pageSize=100")["cursor"]["data"]) == 64
