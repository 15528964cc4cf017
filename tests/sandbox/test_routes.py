"""The sandbox over HTTP: prefixes, encoded paths, headers, limits, and an answer that never comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from headrace.effects.port import NoResponse
from headrace.sandbox import Sandbox, sandbox_routes
from tests.sandbox.conftest import Ledger, Service

TRANSFER = {
    "metadata": {},
    "postings": [{"source": "world", "destination": "a", "amount": 10**30, "asset": "USD/2"}],
}


@pytest.fixture
def client(sandbox: Sandbox) -> TestClient:
    return TestClient(Starlette(routes=sandbox_routes(sandbox)))


class TestOverHttp:
    def test_each_service_below_its_prefix(self, client: TestClient) -> None:
        for service in ("ledger", "wallets", "payments"):
            assert client.get(f"/api/{service}/_info").json()["service"] == service
        assert client.post("/api/ledger/v2/main", json={}).status_code == 204
        assert client.get("/api/wallets/wallets").json()["cursor"]["data"] == []
        assert client.get("/api/payments/payments?pageSize=3").json()["cursor"]["pageSize"] == 3

    def test_key_query_and_exact_numbers(self, client: TestClient) -> None:
        client.post("/api/ledger/v2/main", json={})
        path, headers = "/api/ledger/v2/main/transactions", {"Idempotency-Key": "k"}
        dry = client.post(path, params={"dryRun": "true"}, json=TRANSFER, headers=headers)
        first, second = (client.post(path, json=TRANSFER, headers=headers) for _ in range(2))
        assert [dry.status_code, first.status_code, second.status_code] == [200, 200, 200]
        assert first.headers["content-type"] == "application/json"
        assert (second.content, second.headers["idempotency-hit"]) == (first.content, "true")
        account = json.loads(client.get("/api/ledger/v2/main/accounts/a?expand=volumes").content)
        assert account["data"]["volumes"]["USD/2"]["balance"] == 10**30

    def test_a_path_part_may_hold_anything_encoded(self, client: TestClient, ledger: Ledger) -> None:
        for part in ("a%2Fb", "%C3%A9", "payment%3Aab%3D", "a%20b", "%3F"):
            assert client.post(f"/api/ledger/v2/main/accounts/{part}/metadata", json={"a": "1"}).status_code == 204
        found = [one["address"] for one in ledger.get("/v2/main/accounts")["cursor"]["data"]]
        assert found == ["?", "a b", "a/b", "payment:ab=", "é"]

    def test_no_content_is_empty_and_typed(self, client: TestClient) -> None:
        response = client.post("/api/ledger/v2/main")
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["content-type"] == "application/json"

    @pytest.mark.parametrize("path", ["/api/ledger", "/api/ledger/", "/api/ledger/v2/main/x/y", "/api/wallets/nope"])
    def test_unknown_routes(self, client: TestClient, path: str) -> None:
        response = client.get(path)
        assert (response.status_code, response.headers["content-type"]) == (404, "text/plain")

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
    def test_unknown_methods(self, client: TestClient, method: str) -> None:
        assert client.request(method, "/api/ledger/v2/main").status_code == 404

    def test_a_long_body(self, client: TestClient, ledger: Ledger) -> None:
        response = client.post("/api/ledger/v2/main/transactions", content=b" " * (1 << 20) + b" ")
        assert (response.status_code, response.json()["errorCode"]) == (413, "VALIDATION")
        assert ledger.call("POST", "/v2/main/transactions", b" " * ((1 << 20) + 1)).status == 413

    def test_where_the_connection_is_out_of_reach_the_server_is_told(
        self, make_sandbox: Callable[..., Sandbox]
    ) -> None:
        client = TestClient(Starlette(routes=sandbox_routes(make_sandbox("wallets:drop:1"))))
        with pytest.raises(NoResponse):
            client.post("/api/wallets/wallets", json={"name": "w", "metadata": {}})


class TestHangUp:
    @pytest.fixture
    async def served(self, make_sandbox: Callable[..., Sandbox]) -> AsyncIterator[tuple[Sandbox, str]]:
        sandbox = make_sandbox("wallets:drop:1")
        app = Starlette(routes=sandbox_routes(sandbox))
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield sandbox, f"http://127.0.0.1:{port}"
        server.should_exit = True
        await task

    async def test_the_connection_is_closed_without_a_byte(
        self, served: tuple[Sandbox, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox, url = served
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.post(f"{url}/api/wallets/wallets", json={"name": "w", "metadata": {}})
            async with session.get(f"{url}/api/wallets/wallets") as response:
                assert [wallet["name"] for wallet in (await response.json())["cursor"]["data"]] == ["w"]
        assert len(Service(sandbox, "wallets").get("/wallets")["cursor"]["data"]) == 1
        assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
