"""How a server process starts and stops: in an order that loses nothing and leaves nothing in the air."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.server import Server

API = "/api/orchestration"
PAYING: list[dict[str, Any]] = [
    {
        "send": {
            "source": {"account": {"id": "world", "ledger": "shop"}},
            "destination": {"account": {"id": "users:1", "ledger": "shop"}},
            "amount": {"amount": 7, "asset": "USD/2"},
        }
    }
]
LIMIT_S = 20.0


def rows(data: Path, statement: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(data / "journal.db") as journal:
        return journal.execute(statement).fetchall()


def test_an_attempt_under_way_at_the_stop_is_waited_for_and_recorded(tmp_path: Path) -> None:
    """Cut off, it would be one of which nobody knows what came of it."""
    data = tmp_path / "data"
    with Server(data, faults=["ledger:delay:1:2"]) as server:
        server.post("/api/ledger/v2/shop", {})
        workflow_id = server.post(f"{API}/workflows", {"stages": PAYING}).json["data"]["id"]
        server.post(f"{API}/workflows/{workflow_id}/instances", {})
        deadline_s = time.monotonic() + LIMIT_S
        while 'headrace_attempts_begun_total{service="ledger"} 1.0' not in server.get("/metrics").body.decode():
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        assert server.stop() == 0
    assert rows(data, "SELECT attempt, terminated_at IS NULL, error FROM activities") == [(1, 0, None)]


def test_a_data_folder_that_is_made_is_its_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Server(data):
        assert data.stat().st_mode & 0o777 == 0o700


@contextmanager
def receiver(bodies: list[Any]) -> Iterator[str]:
    """Takes every webhook; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append((self.path, body["type"], body["payload"].get("number")))
            self.send_response(204)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_new_endpoints_are_told_of_all_that_runs_go_on_to_do_at_the_start(tmp_path: Path) -> None:
    """Their relays take their places before the engine moves: all of them, the last one too."""
    runs, endpoints, bodies = 20, 5, list[Any]()
    with receiver(bodies) as url, Server(tmp_path / "data") as server:
        stages = [{"delay": {"duration": "1s"}}, {"delay": {"duration": "1ms"}}]
        workflow_id = server.post(f"{API}/workflows", {"stages": stages}).json["data"]["id"]
        for _ in range(runs):
            server.post(f"{API}/workflows/{workflow_id}/instances", {})
        server.kill()
        time.sleep(1.0)  # all of them are due when it starts again
        hooks = [{"url": f"{url}/{number}", "secret": "0123456789abcdef"} for number in range(endpoints)]
        (tmp_path / "hooks.json").write_text(json.dumps({"endpoints": hooks}))
        server.settings["HEADRACE_WEBHOOKS"] = str(tmp_path / "hooks.json")
        server.start()
        deadline_s = time.monotonic() + LIMIT_S
        while len(bodies) < 4 * runs * endpoints:
            assert time.monotonic() < deadline_s, f"{len(bodies)} events came"
            time.sleep(0.05)
    for number in range(endpoints):
        ended = [stage for path, kind, stage in bodies if (path, kind) == (f"/{number}", "SUCCEEDED_WORKFLOW_STAGE")]
        assert sorted(ended) == [0] * runs + [1] * runs
