"""Row "value with newline, `)`, `send [...]`, `../`, ...": the stage ends with an error, and nobody is asked anything.

A whole server with its real clients of ledger, wallets and payments, and a recorder in place of these. Each place of a
definition whose value reaches an address, a script or a request's body; each way by which a value gets there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import httpx2
import pytest
import pytest_asyncio

from headrace.composition import Composition, compose
from headrace.engine.port import Engine
from headrace.settings import Settings
from tests.effects.stub import Seen, Stub, answer
from tests.support.hostile import VALUES

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = dict[str, Any]
HOLE = "${hole}"
FREE = "free text"
"""Where any text is good: it is encoded, or stands in JSON."""

ACCOUNT: Json = {"account": {"id": "users:1", "ledger": "main"}}
PAYMENT: Json = {"payment": {"id": "p1"}}
AMOUNT: Json = {"amount": 5, "asset": "USD/2"}


def send(source: Json = ACCOUNT, destination: Json = ACCOUNT, **more: Any) -> Json:
    return {"send": {"source": source, "destination": destination, "amount": AMOUNT, **more}}


def account(**members: Any) -> Json:
    return {"account": {**ACCOUNT["account"], **members}}


def payment(**members: Any) -> Json:
    return {"payment": {**PAYMENT["payment"], **members}}


def wallet(**members: Any) -> Json:
    return {"wallet": {"id": "w1", **members}}


def provider(**members: Any) -> Json:
    return {"payment": {"psp": "stripe", **members}}


def update(**members: Any) -> Json:
    return {"update": {"account": {"id": "users:1", "ledger": "main", "metadata": {}, **members}}}


PLACES: dict[str, Json] = {
    "source.account.id": send(account(id=HOLE)),
    "source.account.id with overdraft": send(account(id=HOLE, allowOverdraft=True)),
    "source.account.ledger": send(account(ledger=HOLE)),
    "source.account.throughAccount": send(account(throughAccount=HOLE), account(ledger="other")),
    "destination.account.id": send(destination=account(id=HOLE)),
    "destination.account.id within": send(destination=account(id=f"users:{HOLE}:main")),
    "destination.account.ledger": send(destination=account(ledger=HOLE)),
    "destination.account.throughAccount": send(destination=account(ledger="other", throughAccount=HOLE)),
    "source.wallet.id": send(wallet(id=HOLE)),
    "source.wallet.balance": send(wallet(balance=HOLE)),
    "destination.wallet.id": send(destination=wallet(id=HOLE)),
    "destination.wallet.balance": send(destination=wallet(balance=HOLE)),
    "source.payment.id": send(payment(id=HOLE)),
    "source.payment.ledger": send(payment(ledger=HOLE)),
    "source.payment.holdingAccount": send(payment(holdingAccount=HOLE)),
    "source.payment.throughAccount": send(payment(throughAccount=HOLE)),
    "destination.payment.psp": send(destination=provider(psp=HOLE)),
    "destination.payment.type": send(destination=provider(type=HOLE)),
    "destination.payment.sourceAccount": send(destination=provider(sourceAccount=HOLE)),
    "destination.payment.connectorID": send(destination=provider(connectorID=HOLE)),
    "destination.payment.waitingValidation": send(destination=provider(waitingValidation=HOLE)),
    "amount.amount": send(amount={"amount": HOLE, "asset": "USD/2"}),
    "amount.asset": send(amount={"amount": 5, "asset": HOLE}),
    "timestamp": send(timestamp=HOLE),
    "account.id": update(id=HOLE),
    "account.ledger": update(ledger=HOLE),
}
"""By what the error names."""

LONGER = ("source.payment.id", "destination.payment.sourceAccount", "destination.payment.connectorID")
"""Ids of the payments service have up to 1,024 bytes."""

FREE_PLACES: dict[str, Json] = {
    "metadata of a transaction": send(metadata={"k": HOLE}),
    "metadata of an account": update(metadata={"k": HOLE}),
    "name of a wallet": send({"wallet": {"name": HOLE}}),
    "key of a provider's metadata": send(destination=provider(metadata=HOLE)),
}


def hostile(place: str) -> dict[str, str]:
    name = place.partition(" ")[0]
    return VALUES | ({"257 bytes": "a" * 1_025} if name in LONGER else {"257 bytes": "a" * 257})


def filled(value: Any, text: str) -> Any:
    """A constant in a definition. `${a}` would be a placeholder there."""
    if isinstance(value, dict):
        return {name: filled(member, text) for name, member in value.items()}
    return value.replace(HOLE, text) if isinstance(value, str) else value


@dataclass
class Place:
    """A server, and what reaches its services."""

    http: httpx2.AsyncClient
    composition: Composition
    services: Stub

    async def call(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        return await self.http.request(method, f"/api/orchestration{path}", json=body)

    async def created(self, stage: Json) -> str:
        response = await self.call("POST", "/workflows", {"stages": [stage]})
        assert response.status_code == 201, response.text
        return response.json()["data"]["id"]

    async def ended(self, instance_id: str) -> Json:
        await cast(Engine, self.composition.engine).ended(instance_id, 10)
        response = await self.call("GET", f"/instances/{instance_id}")
        assert response.json()["data"]["terminated"], response.text
        return response.json()["data"]

    async def ran(self, path: str, variables: Json) -> Json:
        response = await self.call("POST", path, variables)
        assert response.status_code == 201, response.text
        return await self.ended(response.json()["data"]["id"])


def answered(seen: Seen) -> bytes:
    """As services would that find whatever they are asked for."""
    if seen.method == "GET" and "/wallets?" in seen.target:
        return answer(200, b'{"cursor":{"pageSize":1000,"data":[]}}')
    if seen.method == "GET":
        return answer(200, b'{"data":{"address":"users:1","metadata":{}}}')
    if seen.target.endswith("/metadata"):
        return answer(204)
    return answer(400, b'{"errorCode":"INSUFFICIENT_FUND","errorMessage":"as good as any answer here"}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with Stub(answered) as services:
        settings = Settings(stack_url=services.url)
        async with compose(settings, data=tmp_path_factory.mktemp("server")) as composition:
            transport = httpx2.ASGITransport(app=composition.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://x") as http:
                yield Place(http, composition, services)


# the ways


async def by_v1(place: Place, stage: Json, text: str) -> Json:
    return await place.ran(f"/workflows/{await place.created(stage)}/instances", {"hole": text})


async def by_v2(place: Place, stage: Json, text: str) -> Json:
    return await place.ran(f"/v2/workflows/{await place.created(stage)}/instances", {"hole": text})


async def by_a_member(place: Place, stage: Json, text: str) -> Json:
    """Of a variable that holds JSON."""
    named = json.loads(json.dumps(stage).replace(HOLE, "${event.hole}"))
    variables = {"event": json.dumps({"hole": text})}
    return await place.ran(f"/workflows/{await place.created(named)}/instances", variables)


async def by_a_trigger(place: Place, stage: Json, source: str, payload: Json) -> Json:
    body = {"event": "E", "workflowID": await place.created(stage), "vars": {"hole": source}}
    trigger_id = (await place.call("POST", "/triggers", body)).json()["data"]["id"]
    response = await place.call("POST", "/ext/events", {"type": "E", "payload": payload})
    assert response.status_code == 202, response.text
    found: list[Json] = []
    while not found:
        await asyncio.sleep(0.001)
        found = (await place.call("GET", f"/triggers/{trigger_id}/occurrences")).json()["data"]
    assert (await place.call("DELETE", f"/triggers/{trigger_id}")).status_code == 204
    return await place.ended(found[0]["workflowInstanceID"])


async def by_a_trigger_constant(place: Place, stage: Json, text: str) -> Json:
    return await by_a_trigger(place, stage, json.dumps(text), {})


async def by_event_data(place: Place, stage: Json, text: str) -> Json:
    return await by_a_trigger(place, stage, "event.hole", {"hole": text})


Way = Callable[[Place, Json, str], Awaitable[Json]]
WAYS: dict[str, Way] = {
    "a variable, V1": by_v1,
    "a variable, V2": by_v2,
    "a member of a variable": by_a_member,
    "a trigger's constant": by_a_trigger_constant,
    "an event's data": by_event_data,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PLACES)
async def test_the_stage_ends_and_nothing_is_asked(place: Place, name: str, way: str) -> None:
    place.services.seen.clear()
    for kind, text in hostile(name).items():
        ended = await WAYS[way](place, PLACES[name], text)
        assert ended["error"].startswith(f"{_field(name)}: "), (kind, ended["error"])
        assert ended["status"][0]["error"] == ended["error"]
        history = (await place.call("GET", f"/instances/{ended['id']}/stages/0/history")).json()["data"]
        assert history == [], kind
    assert place.services.seen == []


@pytest.mark.parametrize("version", ["", "/v2"])
@pytest.mark.parametrize("name", PLACES)
async def test_a_constant_is_refused_at_creation(place: Place, name: str, version: str) -> None:
    for kind, text in hostile(name).items():
        if text == "${a}":
            continue
        response = await place.call("POST", f"{version}/workflows", {"stages": [filled(PLACES[name], text)]})
        assert response.status_code == 400, (kind, response.text)
        keyword = next(iter(PLACES[name]))
        assert response.json()["errorMessage"].startswith(f"stages[0].{keyword}.{_field(name)}: "), kind


def _field(name: str) -> str:
    return name.partition(" ")[0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FREE_PLACES)
async def test_free_text_is_data_and_nothing_else(place: Place, name: str, way: str) -> None:
    """It goes into JSON or is encoded: it ends no line, no path and no query."""
    for text in VALUES.values():
        place.services.seen.clear()
        ended = await WAYS[way](place, FREE_PLACES[name], text)
        for seen in place.services.seen:
            assert set(seen.headers) <= HEADERS
            assert seen.target.isascii() and seen.target.split("?")[0] in TARGETS
            if text.isascii() and "\r" not in text:
                assert seen.target.count("&") <= 1
            if seen.method == "POST":
                assert text in json.loads(seen.body).get("metadata", json.loads(seen.body)).values()
        if name.startswith("metadata"):
            assert [seen.method for seen in place.services.seen] == ["POST"]
        elif "\n" in text:
            assert place.services.seen == [] and "control character" in ended["error"]


HEADERS = {
    *("host", "accept", "accept-encoding", "user-agent", "content-length", "content-type", "idempotency-key"),
    "connection",
}
TARGETS = {
    "/api/ledger/v2/main/transactions",
    "/api/ledger/v2/main/accounts/users:1",
    "/api/ledger/v2/main/accounts/users:1/metadata",
    "/api/wallets/wallets",
}


async def test_good_values_get_through(place: Place) -> None:
    """Else silence would prove nothing."""
    for way in WAYS.values():
        place.services.seen.clear()
        await way(place, PLACES["destination.account.id"], "users:2")
        (seen,) = place.services.seen
        assert (seen.method, seen.target) == ("POST", "/api/ledger/v2/main/transactions")
        assert json.loads(seen.body)["postings"][0]["destination"] == "users:2"


KEYS = ["a\n", "a\r\nX-Injected: 1", "a\x00", "", ".", "..", "x" * 256, "\x7f"]


@pytest.mark.parametrize("version", ["", "/v2"])
@pytest.mark.parametrize("stage", [send, update])
async def test_keys_of_metadata_are_checked_at_creation(place: Place, stage: Any, version: str) -> None:
    for key in KEYS:
        response = await place.call("POST", f"{version}/workflows", {"stages": [stage(metadata={key: "v"})]})
        assert response.status_code == 400, (key, response.text)
    response = await place.call("POST", "/workflows", {"stages": [send(metadata={"headrace_effect": "forged"})]})
    assert "stages[0].send.metadata.headrace_effect: " in response.json()["errorMessage"]


# what services answer is no more to be trusted


@pytest.mark.parametrize("text", VALUES.values(), ids=VALUES)
async def test_what_a_service_answers_leads_nowhere(place: Place, text: str) -> None:
    """A wallet on a ledger of such a name; an account whose metadata names such an account to pay to."""
    given = json.dumps({"data": {"id": "w1", "ledger": text, "metadata": {}, "address": "users:1"}})
    paying = json.dumps({"data": {"address": "users:1", "metadata": {"formanceAccountID": f"{text}\n"}}})
    for stage, body in ((send(wallet(), ACCOUNT), given), (send(ACCOUNT, provider()), paying)):
        place.services.seen.clear()
        place.services.handler = lambda seen, body=body: answer(200, body.encode())
        try:
            instance = (await place.call("POST", f"/workflows/{await place.created(stage)}/instances")).json()["data"]
            await cast(Engine, place.composition.engine).ended(instance["id"], 0.5)
        finally:
            place.services.handler = answered
        assert [seen.method for seen in place.services.seen].count("POST") == 0
        assert (await place.call("GET", f"/instances/{instance['id']}/stages/0/history")).json()["data"]
        await place.call("PUT", f"/instances/{instance['id']}/abort")
