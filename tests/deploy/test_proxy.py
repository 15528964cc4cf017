"""HAProxy, with the file of `compose/postgres.yaml`, sends callers to the ready server, also after a fail-over."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kit import KIT
from tests.support.server import free_port

pytestmark = pytest.mark.timeout(120)

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
FOLLOWS_S = 60.0
CONFIG: str = yaml.safe_load((KIT / "compose/postgres.yaml").read_text())["configs"]["proxy"]["content"]


class Stub(ThreadingHTTPServer):
    """Answers like an owner (200 everywhere) or like a standby (503 but for /livez), with its own name as the body."""

    daemon_threads = True

    def __init__(self, name: str, *, is_owner: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.is_owner = is_owner
        self.posts = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: the proxy closes connections of a server that it no longer uses."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.server.posts += 1
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer()

    def _answer(self) -> None:
        body = self.server.name.encode()
        self.send_response(200 if self.server.is_owner or self.path == "/livez" else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: pytest's output is for failures."""


@pytest.fixture
def servers() -> Iterator[tuple[Stub, Stub]]:
    pair = Stub("one", is_owner=True), Stub("two", is_owner=False)
    yield pair
    for each in pair:
        each.shutdown()
        each.server_close()


@pytest.fixture
def proxy(servers: tuple[Stub, Stub], tmp_path: Path) -> Iterator[int]:
    """The port of a HAProxy with the kit's file, in which only addresses are others."""
    if HAPROXY is None:
        pytest.skip("haproxy is not installed")
    port = free_port()
    text = CONFIG.replace("bind :8484", f"bind 127.0.0.1:{port}")
    for number, each in enumerate(servers, start=1):
        text = text.replace(f" headrace-{number}:8484", f" 127.0.0.1:{each.server_port}")
    assert "headrace-1:" not in text and "headrace-2:" not in text
    file = tmp_path / "haproxy.cfg"
    file.write_text(text)
    with subprocess.Popen([HAPROXY, "-db", "-f", file], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        yield port
        child.terminate()


def answer(port: int, method: str = "GET") -> tuple[int, str]:
    """Status and body; 0 where the proxy does not answer, or not to the end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request(method, "/api/orchestration/workflows", body=b"{}" if method == "POST" else None)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""


def wait_for(port: int, wanted: tuple[int, str]) -> None:
    """Wait until ten requests in a row are answered like that."""
    until_s = time.monotonic() + FOLLOWS_S
    while (found := {answer(port) for _ in range(10)}) != {wanted}:
        assert time.monotonic() < until_s, f"{found}, not {wanted}"
        time.sleep(0.05)


def test_callers_reach_the_owner_and_after_a_fail_over_the_new_one(servers: tuple[Stub, Stub], proxy: int) -> None:
    one, two = servers
    wait_for(proxy, (200, "one"))
    one.is_owner = False  # it has lost the journal, and ends in a moment
    two.is_owner = True
    one.shutdown()
    one.server_close()
    until_s = time.monotonic() + FOLLOWS_S
    while {answer(proxy) for _ in range(10)} != {(200, "two")}:
        assert time.monotonic() < until_s


def test_a_refused_write_is_not_repeated_at_the_other_server(servers: tuple[Stub, Stub], proxy: int) -> None:
    """The proxy cannot know whether it took effect; the caller repeats it with its key."""
    one, two = servers
    wait_for(proxy, (200, "one"))
    one.is_owner = False
    answer(proxy, "POST")
    assert one.posts + two.posts <= 1


def test_without_an_owner_the_answer_is_503(servers: tuple[Stub, Stub], proxy: int) -> None:
    one, _ = servers
    wait_for(proxy, (200, "one"))
    one.is_owner = False
    until_s = time.monotonic() + FOLLOWS_S
    while "No server is available" not in answer(proxy)[1]:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert answer(proxy)[0] == 503


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
@pytest.mark.parametrize(("good", "bad", "code"), [("", "", 0), ("option httpchk", "option httpcheck", 1)])
def test_haproxy_accepts_the_file(good: str, bad: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(CONFIG.replace(good, bad))
    assert HAPROXY is not None
    ran = subprocess.run([HAPROXY, "-c", "-V", "-f", file], capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr


def test_a_long_wait_is_not_cut_off() -> None:
    """A request with `wait=true` is answered after HEADRACE_WAIT_S at most."""
    found = re.findall(r"timeout (?:client|server) (\d+)s", CONFIG)
    assert len(found) == 2 and all(int(each) > 50 for each in found)
