"""A sandbox in memory, on a clock that only the test moves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.port import Request, Response
from headrace.sandbox import Sandbox, parse_fault

START_AT = 1_714_557_600_000_000  # 2024-05-01T10:00:00Z


class ManualClock:
    def __init__(self) -> None:
        self.moment_at = START_AT
        self.slept: list[float] = []

    def now_at(self) -> int:
        self.moment_at += 1
        return self.moment_at

    def monotonic_s(self) -> float:
        return self.moment_at / 1_000_000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class CountedIds:
    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"00000000-0000-7000-8000-{self.count:012d}"


class Service:
    """One service of a sandbox, by short calls: `ledger.post("/v2/main/transactions", {...}, key="k")`."""

    def __init__(self, sandbox: Sandbox, service: Any) -> None:
        self.sandbox = sandbox
        self.service = service

    def request(self, method: str, path: str, body: object = None, key: str = "") -> Request:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return Request(self.service, method, path, data, key)

    def call(self, method: str, path: str, body: object = None, key: str = "") -> Response:
        return self.sandbox.handle(self.request(method, path, body, key))

    def post(self, path: str, body: object = None, *, key: str = "", status: int) -> Any:
        return self._checked(self.call("POST", path, body, key), status)

    def get(self, path: str, *, status: int = 200) -> Any:
        return self._checked(self.call("GET", path), status)

    @staticmethod
    def _checked(response: Response, status: int) -> Any:
        assert response.status == status, response
        is_json = response.headers["content-type"] == "application/json"
        return json.loads(response.body) if is_json and response.body else response.body


class Ledger(Service):
    """The ledger `main`."""

    def send(self, source: str, destination: str, amount: int, *, key: str = "", status: int = 200, **more: Any) -> Any:
        posting = {"source": source, "destination": destination, "amount": amount, "asset": "USD/2"}
        body = {"postings": [posting], "metadata": {}, **more}
        return self.post("/v2/main/transactions", body, key=key, status=status)

    def balance(self, account: str, ledger: str = "main", asset: str = "USD/2") -> int:
        path = f"/v2/{ledger}/accounts/{account}"
        response = self.call("GET", f"{path}?expand=volumes")
        volumes = json.loads(response.body)["data"]["volumes"] if response.status == 200 else {}
        return volumes[asset]["balance"] if asset in volumes else 0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def make_sandbox(clock: ManualClock) -> AsyncIterator[Callable[..., Sandbox]]:
    made: list[Sandbox] = []

    def make(*faults: str, path: Path | None = None, seed: int = 1, **options: Any) -> Sandbox:
        plan = [parse_fault(fault) for fault in faults]
        made.append(Sandbox(path, faults=plan, clock=clock, ids=CountedIds(), seed=seed, **options))
        return made[-1]

    yield make
    for sandbox in made:
        await sandbox.close()


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_sandbox()


@pytest.fixture
def ledger(sandbox: Sandbox) -> Ledger:
    service = Ledger(sandbox, "ledger")
    service.post("/v2/main", {}, status=204)
    return service


@pytest.fixture
def wallets(sandbox: Sandbox) -> Service:
    return Service(sandbox, "wallets")


@pytest.fixture
def payments(sandbox: Sandbox) -> Service:
    return Service(sandbox, "payments")
