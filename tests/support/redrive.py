"""A case that fails at a chosen effect, and is redriven: services that refuse it once, and what the books must hold."""

from __future__ import annotations

import json
import re
from typing import Any

from headrace.effects.port import Request, Response
from headrace.usecases.idempotency import Answer, Caller, CallerKey
from headrace.usecases.redrive import Continuation, redrive_instance
from tests.contract.test_engine import CROSS, SEND, Scripted
from tests.support.attention import PAYOUT, UPDATE
from tests.support.in_process import InProcess

JSON = {"content-type": "application/json"}
POOR = Response(400, b'{"errorCode":"INSUFFICIENT_FUND","errorMessage":"not enough"}', JSON)
INVALID = Response(400, b'{"errorCode":"VALIDATION","errorMessage":"no"}', JSON)
STAGES: list[dict[str, Any]] = [CROSS, PAYOUT, UPDATE, SEND]
EFFECTS = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 0))
"""The effects of `STAGES`: stage and ordinal."""
_KEY = re.compile(rb"headrace:([0-9a-f-]{36}):(\d+):(\d+)")


class Refusing(Scripted):
    """Refuses every attempt of one effect, while `refuses`. `sent_keys`: of each write, in order."""

    def __init__(self, place: tuple[int, int] | None = None) -> None:
        super().__init__(self._plan)
        self.place = place
        self.refuses = True
        self.sent_keys: list[str] = []
        self.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-7"})

    def call(self, service: Any, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        response = self.sandbox.handle(Request(service, method, path, content))
        assert response.status < 300, response.body
        return json.loads(response.body) if response.body else None

    def _plan(self, request: Request, _: int) -> Any:
        key = key_of(request)
        if key is None:
            return None
        self.sent_keys.append(":".join(key))
        return self.answer(request) if (int(key[1]), int(key[2])) == self.place else None

    def answer(self, request: Request) -> Any:
        if not self.refuses:
            return None
        return POOR if request.path.endswith("/transactions") else INVALID

    def take(self, reference: str) -> int:
        """Book something else under a reference of this instance; the id of the transaction."""
        posting = {"source": "world", "destination": "shop", "amount": 7, "asset": "USD/2"}
        body = {"metadata": {}, "postings": [posting], "reference": reference}
        return self.call("ledger", "POST", "/v2/main/transactions", body)["data"]["id"]

    def balance(self, account: str, ledger: str = "main") -> int:
        rows = self.call("ledger", "GET", f"/v2/{ledger}/accounts?expand=volumes&pageSize=100")["cursor"]["data"]
        found = {row["address"]: row["volumes"] for row in rows}
        return found.get(account, {}).get("USD/2", {"balance": 0})["balance"]

    def keys_in_books(self) -> list[str]:
        """Of our transactions and transfer initiations, sorted; a key that is there twice was booked twice."""
        found: list[str] = []
        for ledger in ("main", "other"):
            rows = self.call("ledger", "GET", f"/v2/{ledger}/transactions?pageSize=100")["cursor"]["data"]
            found += [row["reference"] for row in rows if row.get("reference", "").startswith("headrace:")]
        rows = self.call("payments", "GET", "/transfer-initiations?pageSize=100")["cursor"]["data"]
        return sorted(found + [row["reference"] for row in rows])


def key_of(request: Request) -> tuple[str, str, str] | None:
    """Root, stage and ordinal of the effect that a request belongs to; None: it is no effect."""
    if request.method != "POST":
        return None
    found = _KEY.search((request.body or b"") + request.key.encode())
    return None if found is None else tuple(part.decode() for part in found.groups())  # pyright: ignore[reportReturnType]


async def redrive(alive: InProcess, instance_id: str, key: str | None = "redrive") -> Answer[Continuation]:
    """As a careful caller: with a key, so that it may be repeated."""
    caller = Caller("jane", "redriveInstance", key=None if key is None else CallerKey(key, b"meaning"))
    return await redrive_instance(alive.ports, caller, instance_id, {"reason": "the account is funded"})
