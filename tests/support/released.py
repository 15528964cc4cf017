"""Journals of earlier releases, as they were left by `kill -9`, and what those releases said about them.

    python -m tests.support.released 0.3.0 CHECKOUT

runs the release of a checkout against `Stack` until its instances have ended, wait or hang, kills it, and stores its
journal as `tests/data/journal/0.3.0.sql`. Then it starts the release again on a copy, on services that never respond,
and stores its responses to PATHS as `0.3.0.json`. A later release must give the same responses, and send what is open
once more with the same bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib import request as http
from urllib.error import URLError

from aiohttp import web

FOLDER = Path(__file__).parents[1] / "data/journal"
PREFIX = "/api/orchestration"
LIMIT_S = 60.0
SENT_S = 1.0

METADATA = {
    "order": "${order}",
    "note": 'said "yes" in Zürich, \u20ac 5',
    "customer": "customer-0123456789-0123456789-0123456789-0123456789",
    "channel": "a channel whose name is long enough to be worth its own part of the text",
    "branch": "0123456789abcdefghijklmnopqrstuvwxyz-0123456789abcdefghijklmnopqrstuvwxyz",
}
VARIABLES = {"order": "order-0123456789-0123456789-0123456789-0123456789"}
AMOUNT = {"asset": "USD/2", "amount": 100}


def _send(source: Any, destination: Any, amount: Any = AMOUNT) -> Any:
    return {"send": {"source": source, "destination": destination, "amount": amount, "metadata": METADATA}}


def _account(ledger: str, name: str = "users:1") -> Any:
    return {"account": {"id": name, "ledger": ledger}}


_PAY = _send(_account("main"), _account("main", "shops:7"))
_WALLET = {"wallet": {"id": "w1", "balance": "main"}}

DEFINITIONS: dict[str, list[Any]] = {
    "paid": [_PAY, _send(_account("main"), _account("main", "shops:8"), {"asset": "USD/2", "amount": 10**40})],
    "to-wallet": [_send(_account("internal"), _WALLET), _send(_WALLET, _account("internal"))],
    "payout": [_send(_account("main"), {"payment": {"psp": "stripe", "type": "PAYOUT", "metadata": "bank"}})],
    "described": [{"update": {"account": {"id": "users:1", "ledger": "main", "metadata": METADATA}}}],
    "waiting": [_PAY, {"wait_event": {"event": "go"}}, _PAY],
    "delayed": [_PAY, {"delay": {"duration": "90000h"}}, _PAY],
    "refused": [_send(_account("empty"), _account("empty", "shops:7"))],
    "busy": [_send(_account("busy"), _account("busy", "shops:7"))],
    "stuck": [_PAY, _send(_account("stuck"), _account("stuck", "shops:7"))],
}
"""By name. The last two have an open activity when the process is killed."""
EVENT = {
    "date": "2024-05-01T10:00:00Z",
    "app": "payments",
    "version": "v1",
    "type": "SAVED_PAYMENT",
    "payload": {"id": "p1", "note": "x" * 1_500, "amount": 10**25},
}


class Stack:
    """Ledger, wallets and payments, as far as DEFINITIONS need them. Where it `hangs`, nothing is ever answered."""

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs
        self._closing = asyncio.Event()
        self.posts: list[tuple[str, bytes, str]] = []
        """Path with query, body and Idempotency-Key of each POST."""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.method == "POST":
            self.posts.append((request.path_qs, body, request.headers.get("Idempotency-Key", "")))
        if self._hangs or "/stuck/" in request.path:
            await self._closing.wait()
            return web.Response(status=503)
        if "/busy/" in request.path:
            return web.json_response({"errorCode": "INTERNAL", "errorMessage": "busy"}, status=503)
        if "/empty/" in request.path:
            refusal = {"errorCode": "INSUFFICIENT_FUND", "errorMessage": "not enough"}
            return web.json_response(refusal, status=400)
        return self._answer(request, json.loads(body) if body else {})

    def _answer(self, request: web.Request, asked: Any) -> web.Response:
        if request.path.endswith("/transactions"):
            booked = {**asked, "id": 7, "timestamp": "2024-05-01T10:00:00Z", "reverted": False}
            return web.json_response({"data": booked})
        if request.path.endswith(("/credit", "/debit", "/metadata")):
            return web.Response(status=204)
        if request.path.endswith("/transfer-initiations"):
            return web.json_response({"data": {**asked, "id": "ti1", "initialAmount": asked["amount"]}})
        if "/accounts/" in request.path:
            return web.json_response(
                {"data": {"address": "users:1", "metadata": {"bank": "ba1", "stripeConnectorID": "c1"}}}
            )
        wallet = {
            "id": "w1",
            "ledger": "internal",
            "name": "jane",
            "createdAt": "2024-05-01T10:00:00Z",
            "metadata": METADATA,
            "balances": {"main": {"assets": {}}},
        }
        return web.json_response({"data": wallet})

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            self._closing.set()
            await runner.cleanup()


def restore(version: str, path: Path) -> dict[str, str]:
    """Make the journal of a release at this path. Returns its responses by path."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / f"{version}.sql").read_text("utf-8"))
    return json.loads((FOLDER / f"{version}.json").read_text("utf-8"))


# recording


@contextmanager
def serving(checkout: Path, data: Path, stack_url: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "headrace.cli",
        "serve",
        "--auth",
        "none",
        "--data",
        str(data),
        "--port",
        str(port),
    ]
    settings = {"PYTHONPATH": str(checkout / "src"), "HEADRACE_STACK_URL": stack_url, "PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=settings) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _until(lambda: process.poll() is not None or bool(fetch(f"{url}{PREFIX}/_info")))
            yield url
        finally:
            process.kill()


def fetch(url: str, body: Any = None, headers: dict[str, str] | None = None) -> str:
    """Empty where nothing listens yet."""
    content = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    try:
        with http.urlopen(http.Request(url, content, sent), timeout=10) as response:
            return response.read().decode()
    except (URLError, ConnectionError):
        return ""


def _until(is_done: Any) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _fill(url: str) -> None:
    api, workflow = url + PREFIX, ""
    for name, stages in DEFINITIONS.items():
        workflow = json.loads(fetch(f"{api}/workflows", {"name": name, "stages": stages}))["data"]["id"]
        headers = {"Idempotency-Key": f"key-{name}"}
        fetch(f"{api}/workflows/{workflow}/instances", VARIABLES, headers)
    trigger = {"event": EVENT["type"], "workflowID": workflow, "name": "top-up", "vars": {"order": "event.id"}}
    trigger_id = json.loads(fetch(f"{api}/triggers", trigger))["data"]["id"]
    fetch(f"{api}/ext/events", EVENT)

    def is_done() -> bool:
        running = json.loads(fetch(f"{api}/instances?running=true"))["data"]
        matches = json.loads(fetch(f"{api}/triggers/{trigger_id}/occurrences"))["data"]
        return len(running) == 5 and len(matches) == 1

    _until(is_done)
    time.sleep(SENT_S)  # what is to hang has been sent


def _paths(url: str) -> list[str]:
    """Everything that can be read, in both versions of the API."""
    found = ["/workflows", "/instances", "/triggers", "/v2/workflows", "/v2/instances", "/v2/triggers"]
    for trigger in json.loads(fetch(f"{url}{PREFIX}/triggers"))["data"]:
        found += [f"/triggers/{trigger['id']}/occurrences", f"/v2/triggers/{trigger['id']}/occurrences"]
    for instance in json.loads(fetch(f"{url}{PREFIX}/instances"))["data"]:
        one = f"/instances/{instance['id']}"
        stages = [f"{one}/stages/{stage['stage']}/history" for stage in instance["status"]]
        found += [f"{version}{path}" for version in ("", "/v2") for path in (one, f"{one}/history", *stages)]
    return [PREFIX + path for path in found]


async def record(version: str, checkout: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        async with Stack().served() as stack_url:

            def live() -> None:
                with serving(checkout, data, stack_url) as url:
                    _fill(url)

            await asyncio.to_thread(live)
        with closing(sqlite3.connect(data / "journal.db")) as connection:
            dump = "\n".join(connection.iterdump())
        copy = Path(name) / "copy"
        shutil.copytree(data, copy)
        async with Stack(hangs=True).served() as stack_url:

            def read() -> dict[str, str]:
                with serving(checkout, copy, stack_url) as url:
                    return {path: fetch(url + path) for path in _paths(url)}

            responses = await asyncio.to_thread(read)
    assert all(responses.values()), responses
    (FOLDER / f"{version}.sql").write_text(dump + "\n", encoding="utf-8")
    (FOLDER / f"{version}.json").write_text(
        json.dumps(responses, indent=0, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1], Path(sys.argv[2])))
