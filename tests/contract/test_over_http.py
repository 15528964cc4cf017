"""Effects through the engine and real sockets, against services that answer badly, list badly or are of another time.

Each of them books in a sandbox behind it, so the books can be compared with what the run says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from headrace.clock import SystemClock
from headrace.effects.port import Request, Response
from headrace.effects.transport import HttpDownstream, ServiceAddresses
from headrace.journal.records import ActivityRow, Instance
from headrace.runner.policy import Policy
from headrace.sandbox import Sandbox
from headrace.workflows.durations import moment_text, moment_us
from tests.effects.stub import Answer, Seen, Stub, answer
from tests.support.in_process import InProcess, new_sandbox, running

Json = dict[str, Any]
LIMIT_S = 20.0
HOUR_US = 3_600 * 1_000_000
DROP = b"drop"
"""What a plan answers to have the service carry the request out, and close the connection without an answer."""
LOSE = b"lose"
"""The same, and nothing is carried out."""

Plan = Callable[["Services", Request], bytes | Response | None]


def as_booked(services: Services, request: Request) -> None:
    return None


@dataclass
class Services:
    """Ledger, wallets and payments on a socket. `plan` may answer in place of the sandbox; None lets it through."""

    plan: Plan = as_booked
    sandbox: Sandbox = field(default_factory=new_sandbox)
    seen: list[Request] = field(default_factory=list[Request])
    is_crowded: bool = False

    def __call__(self, seen: Seen) -> Answer:
        _, _, service, path = seen.target.split("/", 3)
        key = seen.headers.get("idempotency-key", "")
        request = Request(service, seen.method, f"/{path}", seen.body or None, key)  # pyright: ignore[reportArgumentType]
        self.seen.append(request)
        planned = self.plan(self, request)
        if planned == LOSE:
            return None
        response = planned if isinstance(planned, Response) else self.sandbox.handle(request)
        return None if planned == DROP else answer(response.status, response.body)

    def writes(self, end: str) -> list[Request]:
        return [each for each in self.seen if each.method == "POST" and each.path.split("?")[0].endswith(end)]

    def post(self, service: Any, path: str, body: Json) -> Any:
        response = self.sandbox.handle(Request(service, "POST", path, msgspec.json.encode(body)))
        assert response.status < 300, response
        return msgspec.json.decode(response.body)["data"] if response.body else None

    def get(self, service: Any, path: str) -> Any:
        return msgspec.json.decode(self.sandbox.handle(Request(service, "GET", path)).body)

    def balance(self, ledger: str, account: str) -> int:
        volumes = (
            self.get("ledger", f"/v2/{ledger}/accounts/{account}?expand=volumes").get("data", {}).get("volumes", {})
        )
        return volumes.get("USD/2", {}).get("balance", 0)

    def initiations(self) -> list[Json]:
        return self.get("payments", "/transfer-initiations?pageSize=1000")["cursor"]["data"]


@asynccontextmanager
async def stack(file: Path, plan: Plan = as_booked, **limits: Any) -> AsyncIterator[tuple[Services, InProcess, str]]:
    """The services, a server that uses them, and the id of a wallet that holds 1,000."""
    services = Services(plan)
    services.post("ledger", "/v2/shop", {})
    funds = [{"source": "world", "destination": "alice", "amount": 1_000, "asset": "USD/2"}]
    services.post("ledger", "/v2/shop/transactions", {"metadata": {}, "postings": funds})
    services.post("ledger", "/v2/shop/accounts/alice/metadata", {"formanceAccountID": "bank"})
    wallet = services.post("wallets", "/wallets", {"name": "w", "metadata": {}})["id"]
    credit = {"amount": {"asset": "USD/2", "amount": 1_000}, "metadata": {}, "sources": [], "balance": "main"}
    services.post("wallets", f"/wallets/{wallet}/credit", credit)
    async with Stub(services) as stub:
        downstream = HttpDownstream(ServiceAddresses.of(stack_url=stub.url), credentials=None, clock=SystemClock())
        try:
            async with running(file, downstream, **limits) as alive:
                yield services, alive, wallet
        finally:
            await downstream.close()
            await services.sandbox.close()


def send(source: Json, destination: Json, amount: int = 100) -> Json:
    return {"send": {"source": source, "destination": destination, "amount": {"asset": "USD/2", "amount": amount}}}


def account(name: str, ledger: str = "shop") -> Json:
    return {"account": {"id": name, "ledger": ledger}}


PAYOUT = send(account("alice"), {"payment": {"psp": "stripe", "type": "PAYOUT"}})


async def run(alive: InProcess, stage: Json) -> Instance:
    started = await alive.start(await alive.workflow("w", [stage]), {})
    return await alive.ended(started.id, LIMIT_S)


async def attention(alive: InProcess, stage: Json) -> tuple[str, ActivityRow]:
    """Of a run that ends in an effect that needs a person."""
    instance_id = (await alive.start(await alive.workflow("w", [stage]), {})).id
    async with asyncio.timeout(LIMIT_S):
        while True:
            rows = await alive.journal.activities(instance_id, 0)
            if rows and rows[-1].needs_attention and not alive.engine.active_instances:
                return instance_id, rows[-1]
            await asyncio.sleep(0.005)


# done means what the contract says

PAGES = [
    Response(200, b""),
    Response(200, b'{"status":"maintenance"}'),
    Response(201, b'{"data":{"id":"h","walletID":"w"}}'),
    Response(202, b"{}"),
    Response(200, b'{"data":{}}'),
    Response(201, b""),
]
EFFECTS = {
    "/credit": lambda wallet: send(account("alice", "shop"), {"wallet": {"id": wallet}}),
    "/debit": lambda wallet: send({"wallet": {"id": wallet}}, account("bob", "shop")),
    "/metadata": lambda wallet: {"update": {"account": {"id": "carol", "ledger": "shop", "metadata": {"k": "v"}}}},
    "/transactions": lambda wallet: send(account("alice"), account("dave")),
    "/transfer-initiations": lambda wallet: PAYOUT,
}


@pytest.mark.parametrize("end", sorted(EFFECTS))
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.status} {page.body.decode()[:12]}")
async def test_a_page_of_a_proxy_is_no_booking(tmp_path: Path, end: str, page: Response) -> None:
    """The first answer is a proxy's, and nothing was booked behind it."""

    def plan(services: Services, request: Request) -> Response | None:
        return page if len(services.writes(end)) == 1 and request == services.writes(end)[0] else None

    async with stack(tmp_path / "j.db", plan) as (services, alive, wallet):
        instance = await run(alive, EFFECTS[end](wallet))
        assert instance.error is None
        written = services.writes(end)
        assert len(written) == 2 and written[0] == written[1]
        rows = await alive.journal.activities(instance.id, 0)
        retried = [row for row in rows if row.attempt == 2]
        assert len(retried) == 1 and f": {page.status}, " in (retried[0].last_failure or "")
        match end:
            case "/credit":
                assert services.get("wallets", f"/wallets/{wallet}")["data"]["balances"]["main"]["assets"] == {
                    "USD/2": 1_100
                }
            case "/debit":
                assert services.get("wallets", f"/wallets/{wallet}")["data"]["balances"]["main"]["assets"] == {
                    "USD/2": 900
                }
            case "/metadata":
                assert services.get("ledger", "/v2/shop/accounts/carol")["data"]["metadata"] == {"k": "v"}
            case "/transactions":
                assert services.balance("shop", "dave") == 100
            case _:
                assert [each["initialAmount"] for each in services.initiations()] == [100]


# errors name the thing


async def test_a_lack_of_funds_names_account_ledger_amount_and_asset(tmp_path: Path) -> None:
    def plan(services: Services, request: Request) -> Response | None:
        response = services.sandbox.handle(request) if request.method == "POST" else None
        return (
            Response(400, b'{"errorCode":"INSUFFICIENT_FUND"}')
            if response is not None and response.status == 400
            else response
        )

    async with stack(tmp_path / "j.db", plan) as (_, alive, wallet):
        poor = await run(alive, send(account("poor"), account("bob"), 7))
        lacks = "INSUFFICIENT_FUND: account poor of ledger shop has not enough for 7 USD/2"
        assert poor.error == f"CreateTransaction: {lacks}"
        (row,) = await alive.journal.activities(poor.id, 0)
        assert row.error == lacks
    async with stack(tmp_path / "k.db", plan) as (_, alive, wallet):
        spent = await run(alive, send({"wallet": {"id": wallet}}, account("bob"), 5_000))
        assert spent.error == (
            f"DebitWallet: INSUFFICIENT_FUND: balance main of wallet {wallet} has not enough for 5000 USD/2"
        )


async def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    async with stack(tmp_path / "j.db") as (_, alive, _wallet):
        lost = await run(alive, send(account("world", "nowhere"), account("bob", "nowhere"), 7))
        assert lost.error is not None
        assert lost.error.startswith("CreateTransaction: LEDGER_NOT_FOUND: ledger nowhere does not exist")


# a ledger with a schema


async def test_the_version_of_a_ledgers_schema_goes_with_its_writes(tmp_path: Path) -> None:
    missing = Response(400, b'{"errorCode":"SCHEMA_NOT_SPECIFIED","errorMessage":"schema not specified"}')

    def strict(services: Services, request: Request) -> Response | None:
        is_write = request.method == "POST" and request.service == "ledger"
        return missing if is_write and parse_qs(urlsplit(request.path).query).get("schemaVersion") != ["v1"] else None

    stage = send(account("alice"), account("dave"))
    async with stack(tmp_path / "j.db", strict) as (services, alive, _):
        refused = await run(alive, stage)
        assert refused.error is not None and "set HEADRACE_LEDGER_SCHEMAS=shop=VERSION" in refused.error
        assert services.balance("shop", "dave") == 0
    async with stack(tmp_path / "k.db", strict, policy=Policy(ledger_schemas={"shop": "v1"})) as (services, alive, _):
        assert (await run(alive, stage)).error is None
        assert services.balance("shop", "dave") == 100


async def test_a_stored_effect_keeps_its_bytes_when_the_setting_changes(tmp_path: Path) -> None:
    def plan(services: Services, request: Request) -> bytes | None:
        return LOSE if request.service == "ledger" and len(services.writes("/transactions")) == 1 else None

    stage = send(account("alice"), account("dave"))
    services = Services(plan)
    services.post("ledger", "/v2/shop", {})
    funds = [{"source": "world", "destination": "alice", "amount": 1_000, "asset": "USD/2"}]
    services.post("ledger", "/v2/shop/transactions", {"metadata": {}, "postings": funds})
    async with Stub(services) as stub:
        downstream = HttpDownstream(ServiceAddresses.of(stack_url=stub.url), credentials=None, clock=SystemClock())
        before, after = Policy(ledger_schemas={"shop": "v1"}), Policy(ledger_schemas={"shop": "v2"})
        async with running(
            tmp_path / "j.db", downstream, policy=before, retry_base_s=4_000.0, retry_cap_s=4_000.0
        ) as alive:
            instance_id = (await alive.start(await alive.workflow("w", [stage]), {})).id
            async with asyncio.timeout(LIMIT_S):
                while not services.writes("/transactions"):
                    await asyncio.sleep(0.005)
        async with running(tmp_path / "j.db", downstream, policy=after) as again:
            assert (await again.ended(instance_id, LIMIT_S)).error is None
        await downstream.close()
    written = services.writes("/transactions")
    assert len(written) == 2 and written[0] == written[1]
    assert written[0].path == "/v2/shop/transactions?schemaVersion=v1"
    assert services.balance("shop", "dave") == 100
    await services.sandbox.close()


# look-ups end, rightly

REFUSED = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"unknown key when building query"}')
EMPTY = Response(200, b'{"cursor":{"pageSize":15,"hasMore":false,"data":[]}}')
FILTERS = ["works", "refused", "ignored", "empty"]


def filtered(services: Services, request: Request, filter_: str) -> Request | Response:
    """A look-up as this service takes it."""
    if "query=" not in request.path or filter_ == "works":
        return request
    if filter_ == "ignored":
        return Request("payments", "GET", "/transfer-initiations")
    return REFUSED if filter_ == "refused" else EMPTY


def at_another_time(services: Services, request: Request, skew_us: int) -> Response:
    """Payments whose clock is `skew_us` from ours."""
    response = services.sandbox.handle(request)
    body = msgspec.json.decode(response.body)
    for item in body.get("cursor", {}).get("data", []):
        item["createdAt"] = moment_text(moment_us(item["createdAt"]) + skew_us)
    return Response(response.status, msgspec.json.encode(body))


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("skew_us", [HOUR_US + 1, -HOUR_US - 1, -30 * HOUR_US])
async def test_a_payout_whose_answer_was_lost_is_found(tmp_path: Path, filter_: str, skew_us: int) -> None:
    def plan(services: Services, request: Request) -> bytes | Response | None:
        if request.service != "payments":
            return None
        if request.method == "POST":
            return DROP if len(services.writes("/transfer-initiations")) == 1 else None
        if not services.is_crowded:  # what came later stands before it in the list
            services.is_crowded = True
            for number in range(230):
                services.post("payments", "/transfer-initiations", other(number))
        asked = filtered(services, request, filter_)
        return asked if isinstance(asked, Response) else at_another_time(services, asked, skew_us)

    async with stack(tmp_path / "j.db", plan) as (services, alive, _):
        instance = await run(alive, PAYOUT)
        assert instance.error is None
        assert len(services.writes("/transfer-initiations")) == 1, "found by the look-up, not sent again"
        assert sum(each["reference"].startswith("headrace:") for each in services.initiations()) == 1


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("skew_us", [HOUR_US + 1, -30 * HOUR_US])
async def test_a_payout_that_was_lost_itself_is_sent_again(tmp_path: Path, filter_: str, skew_us: int) -> None:
    def plan(services: Services, request: Request) -> bytes | Response | None:
        if request.service != "payments":
            return None
        if request.method == "POST":
            return LOSE if len(services.writes("/transfer-initiations")) == 1 else None
        asked = filtered(services, request, filter_)
        return asked if isinstance(asked, Response) else at_another_time(services, asked, skew_us)

    async with stack(tmp_path / "j.db", plan) as (services, alive, _):
        for number in range(230):
            services.post("payments", "/transfer-initiations", other(number))
        instance = await run(alive, PAYOUT)
        assert instance.error is None
        written = services.writes("/transfer-initiations")
        assert len(written) == 2 and written[0] == written[1]
        assert sum(each["reference"].startswith("headrace:") for each in services.initiations()) == 1


def other(number: int) -> Json:
    accounts = {"sourceAccountID": "", "destinationAccountID": "x", "type": "PAYOUT", "provider": "STRIPE"}
    values = {
        "amount": 1,
        "asset": "USD/2",
        "validated": True,
        "description": "",
        "scheduledAt": "2024-05-01T10:00:00Z",
    }
    return {"reference": f"other-{number}", **accounts, **values}


def for_ever(request: Request, items: list[Json]) -> Response:
    """A list that never ends."""
    place = int(parse_qs(urlsplit(request.path).query).get("cursor", ["0"])[0])
    cursor = {"pageSize": 100, "hasMore": True, "next": str(place + 100), "data": items}
    return Response(200, msgspec.json.encode({"cursor": cursor}))


@pytest.mark.parametrize("filter_", ["refused", "ignored", "empty"])
@pytest.mark.parametrize("first", [DROP, LOSE])
async def test_a_list_of_payouts_without_an_end_is_a_persons_to_decide(
    tmp_path: Path, filter_: str, first: bytes
) -> None:
    def plan(services: Services, request: Request) -> bytes | Response | None:
        if request.service != "payments":
            return None
        if request.method == "POST":
            return first
        asked = filtered(services, request, filter_)
        return asked if isinstance(asked, Response) else for_ever(asked, [{"id": "x", "reference": "headrace:x"}] * 100)

    async with stack(tmp_path / "j.db", plan) as (services, alive, _):
        _, row = await attention(alive, PAYOUT)
        assert row.last_failure is not None
        assert row.last_failure.startswith(
            "needs attention: payments: the connection was closed without an answer; payments: not among the 10000 "
        )
        assert row.next_execution_at is None
        assert len(services.writes("/transfer-initiations")) == 1, "never sent again while nothing is proven"


async def test_a_wallet_whose_transactions_have_no_end_is_a_persons_to_decide(tmp_path: Path) -> None:
    poor = Response(400, b'{"errorCode":"INSUFFICIENT_FUND","errorMessage":""}')

    def plan(services: Services, request: Request) -> bytes | Response | None:
        if request.service == "wallets" and request.path.startswith("/transactions"):
            return for_ever(request, [{"id": 1, "postings": [], "timestamp": "2024-05-01T10:00:00Z", "metadata": {}}])
        if request.path.endswith("/debit"):
            return LOSE if len(services.writes("/debit")) == 1 else poor
        return None

    async with stack(tmp_path / "j.db", plan) as (services, alive, wallet):
        instance_id, row = await attention(alive, send({"wallet": {"id": wallet}}, account("bob")))
        assert row.last_failure is not None and "wallets: not among the 100 transactions" in row.last_failure
        looked_up = [each for each in services.seen if each.path.startswith("/transactions")]
        assert len(looked_up) == 100
        await alive.abort(instance_id)  # a person has decided
        instance = await alive.ended(instance_id, LIMIT_S)
        assert instance.error == "canceled"
