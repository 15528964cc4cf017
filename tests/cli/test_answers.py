"""What is said about an answer that is none, one from something else, or a call that cannot be made."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

ONCE = ("--idempotency-key", "once")
REPEAT = "It may have been carried out. Repeat it with --idempotency-key once"
WORKFLOW = "019f4c39-4b5c-7000-8000-000000000000"
WRITES = (("events", "send", "{}", *ONCE), ("workflows", "run", WORKFLOW, *ONCE), ("instances", "stop", "i", *ONCE))
READS = (("audit",), ("workflows", "list"), ("triggers", "test", "t", "{}"))


class Scripted(BaseHTTPRequestHandler):
    """Every call has the same answer; without one the connection is closed."""

    status = 0
    body = b""
    content_type = "application/json"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.close_connection = True
        if self.status:
            self.send_response(self.status)
            self.send_header("Content-Type", self.content_type)
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            self.wfile.write(self.body)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the names the base class looks for

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sets the answer of a server that HEADRACE_SERVER names."""
    handler = type("Handler", (Scripted,), {})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setenv("HEADRACE_SERVER", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def script(status: int, body: bytes, content_type: str = "application/json") -> None:
            handler.status, handler.body, handler.content_type = status, body, content_type  # type: ignore[attr-defined]

        yield script
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("arguments", WRITES)
def test_a_write_without_an_answer_is_repeated_with_its_key(headrace: Any, scripted: Any, arguments: Any) -> None:
    scripted(0, b"")
    ran = headrace(*arguments)
    assert (ran.code, REPEAT in ran.err) == (3, True)
    assert "idempotency_key=" not in ran.err, "that is for programs"
    for status, body in ((502, b"<html>"), (500, b'{"errorCode": "INTERNAL", "errorMessage": "no"}'), (200, b"<html>")):
        scripted(status, body, "application/json" if body.startswith(b"{") else "text/html")
        ran = headrace(*arguments)
        assert (ran.code, REPEAT in ran.err) == (1, True), status


@pytest.mark.parametrize("arguments", [*READS, *WRITES])
def test_what_is_certain_is_not_called_uncertain(headrace: Any, scripted: Any, arguments: Any) -> None:
    unreachable = headrace(*arguments, "--server", "http://127.0.0.1:1")
    assert (unreachable.code, "Start a server" in unreachable.err) == (3, True)
    scripted(400, b'{"errorCode": "VALIDATION", "errorMessage": "no"}')
    assert headrace(*arguments)[::2] == (1, "error: no\n")
    scripted(401, b"", "text/plain")
    refused = headrace(*arguments)
    assert (refused.code, "HEADRACE_CLIENT_ID" in refused.err, "security=" in refused.err) == (1, True, False)
    for ran in (unreachable, refused):
        assert "carried out" not in ran.err


@pytest.mark.parametrize(
    ("description", "scope"),
    [
        ("the client may not have 'orchestration:write'", "the scope orchestration:write"),
        ("Invalid scopes: openid orchestration:approve", "the scope orchestration:approve"),
        ("not for you", "a scope that it does not have"),
    ],
)
def test_a_missing_right_is_no_missing_credential(
    headrace: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch, description: str, scope: str
) -> None:
    scripted(400, json.dumps({"error": "invalid_scope", "error_description": description}).encode())
    profile = ("--client-id", "reader", "--client-secret", "-", "--server", os.environ["HEADRACE_SERVER"])
    assert headrace("profiles", "set", "paul", *profile, stdin="s\n").code == 0
    for arguments in WRITES:
        ran = headrace(*arguments, "--profile", "paul")
        assert ran[::2] == (1, f"error: This profile (paul) may not do this: it needs {scope}.\n")
    monkeypatch.setenv("HEADRACE_CLIENT_ID", "reader")
    monkeypatch.setenv("HEADRACE_CLIENT_SECRET", "s")
    ran = headrace(*WRITES[0])
    assert ran[::2] == (1, f"error: The client of HEADRACE_CLIENT_ID may not do this: it needs {scope}.\n")


def test_refused_credentials_are_pointed_out(headrace: Any, scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_CLIENT_ID", "reader")
    monkeypatch.setenv("HEADRACE_CLIENT_SECRET", "s")
    scripted(400, b'{"error": "invalid_client", "error_description": "unknown"}')
    for arguments in WRITES:
        ran = headrace(*arguments)
        assert (ran.code, "unknown" in ran.err, "headrace profiles show" in ran.err) == (1, True, True)


@pytest.mark.parametrize("arguments", READS)
def test_a_read_without_an_answer_may_be_tried_again(headrace: Any, scripted: Any, arguments: Any) -> None:
    scripted(0, b"")
    ran = headrace(*arguments)
    assert (ran.code, "Try again" in ran.err, "carried out" in ran.err) == (3, True, False)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>", "text/html"),
        (b"{", "application/json"),
        (b'{"data": null}', "application/json"),
        (b'{"data": [{"number": 1}]}', "application/json"),
        (b'{"data": [{"number": 1, "date": "?", "principal": "", "operation": "", "target": ""}]}', "application/json"),
    ],
)
def test_an_answer_of_something_else_is_no_bug(headrace: Any, scripted: Any, body: bytes, content_type: str) -> None:
    scripted(200, body, content_type)
    for arguments in READS:
        ran = headrace(*arguments, "-o", "json")
        assert (ran.code, json.loads(ran.err)["errorCode"]) == (1, "UNEXPECTED_ANSWER")
    assert headrace("workflows", "show", "w").code == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "is not UTF-8"),
        (b"[" * 200_000, "levels deep"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": NaN}', "is not JSON"),
        (b"", "is not JSON"),
    ],
)
def test_json_that_cannot_be_sent(headrace: Any, tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "event.json").write_bytes(content)
    for arguments in (("events", "send"), ("triggers", "test", "t")):
        ran = headrace(*arguments, f"@{tmp_path / 'event.json'}", "--server", "http://127.0.0.1:1")
        assert (ran.code, reason in ran.err) == (2, True), ran.err


def test_a_payload_is_an_object(headrace: Any) -> None:
    ran = headrace("triggers", "test", "t", "[]", "--server", "http://127.0.0.1:1")
    assert (ran.code, ran.err) == (2, "error: the payload must be a JSON object\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:1"), ("HTTP_PROXY", "gopher://h"), ("SSL_CERT_FILE", "/no/file")],
)
def test_what_is_wrong_around_is_named(headrace: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    for arguments in (("workflows", "list"), ("audit",)):
        ran = headrace(*arguments, "--server", "http://127.0.0.1:1")
        assert (ran.code, name in ran.err) == (2, True), ran.err
