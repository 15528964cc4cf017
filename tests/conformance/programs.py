"""Programmes in other languages that run an official SDK, and what must be true of what they print.

Such a programme gets `--url`, `--ledger` and credentials, and prints a line of JSON per operation: what was on the
wire, which known faults of its SDK it met, and the first wrong thing. It looks at decoded values; here the bytes are
walked, since each SDK forgives something else.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.conformance import wire
from tests.support.server import Server

RUN_S = 120.0
BUILD_S = 540.0
"""A cold build downloads modules and compiles a whole SDK."""

CREDENTIALS: dict[str, list[str]] = {
    "without credentials": [],
    "with credentials": ["--client-id", "anybody", "--client-secret", "anything"],
    "with a token URL of its own": ["--client-id", "a", "--client-secret", "b", "--token-url", "/api/auth/oauth/token"],
    "with half of the credentials": ["--client-id", "anybody"],
}


@dataclass(frozen=True)
class Report:
    """What a programme printed, and how it ended."""

    exit_code: int
    lines: list[dict[str, Any]]
    errors: str
    operations: list[str] = field(default_factory=list[str])
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    bugs: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    @classmethod
    def of(cls, exit_code: int, output: str, errors: str) -> Report:
        lines = [json.loads(line) for line in output.splitlines()]
        return cls(
            exit_code,
            lines,
            errors,
            [line["operation"] for line in lines],
            [call for line in lines for call in line["calls"]],
            [(bug["trap"], bug["shown"]) for line in lines for bug in line.get("bugs", ())],
        )


def run(
    command: Sequence[str],
    server: Server,
    arguments: Sequence[str] = (),
    *,
    headers: Mapping[str, str] | None = None,
) -> Report:
    """Against a ledger of its own on `server`. Whether the report is good is for `problems` to say."""
    ledger = f"conformance-{uuid4().hex[:12]}"
    assert server.post(f"/api/ledger/v2/{ledger}", {}, headers=headers).status == 204
    return run_at(command, server.url, ["--ledger", ledger, *arguments])


def run_at(command: Sequence[str], url: str, arguments: Sequence[str]) -> Report:
    ended = _ended([*command, "--url", url, *arguments], None, RUN_S)
    return Report.of(ended.returncode, ended.stdout, ended.stderr)


def build(command: Sequence[str], folder: Path) -> None:
    built = _ended(command, folder, BUILD_S)
    assert built.returncode == 0, f"{' '.join(command)}\n{built.stdout}{built.stderr}"


def _ended(command: Sequence[str], folder: Path | None, timeout_s: float) -> subprocess.CompletedProcess[str]:
    nothing = subprocess.DEVNULL
    return subprocess.run(
        command, check=False, cwd=folder, stdin=nothing, capture_output=True, text=True, timeout=timeout_s
    )


def problems(report: Report, *, has_credentials: bool) -> list[str]:
    """Everything that is wrong with a run over all operations of V1; empty when all is well."""
    found = [f"{line['operation']}: {line['failure']}" for line in report.lines if line.get("failure")]
    if report.exit_code:
        found.append(f"exit code {report.exit_code}: {report.errors}")
    if sorted(report.operations) != sorted(wire.OPERATIONS):
        found.append(f"not each operation once: {report.operations}")
    found += [problem for line in report.lines for problem in _operation_problems(line)]
    return found + _token_problems(report.calls, has_credentials=has_credentials)


def _operation_problems(line: dict[str, Any]) -> list[str]:
    found: list[str] = []
    seen: list[tuple[str, int]] = []
    for call in line["calls"]:
        if _is_token(call):
            continue
        name = wire.operation_of(call["method"], call["path"])
        seen.append((name, call["status"]))
        headers = {"content-type": call["contentType"]}
        for problem in wire.problems(name, call["status"], headers, call["body"].encode()):
            found.append(f"{name} answered {call['status']}: {problem}")
    own = line["operation"]
    if own in wire.OPERATIONS and (own, wire.OPERATIONS[own].status) not in seen:
        found.append(f"{own} was not answered {wire.OPERATIONS[own].status}: {seen}")
    return found


def _token_problems(calls: list[dict[str, Any]], *, has_credentials: bool) -> list[str]:
    """One token for reads and one for writes, each asked for once and sent with every call; or none at all."""
    tokens = [json.loads(call["body"])["access_token"] for call in calls if _is_token(call)]
    bearers = {f"Bearer {token}" for token in tokens}
    others = [call for call in calls if not _is_token(call)]
    reads = {call["authorization"] for call in others if call["method"] == "GET"}
    writes = {call["authorization"] for call in others if call["method"] != "GET"}
    if not has_credentials:
        return [] if (tokens, reads | writes) == ([], {""}) else ["a token was asked for, or sent, without credentials"]
    if len(tokens) == len(bearers) == 2 and len(reads) == len(writes) == 1 and reads | writes == bearers:
        return []
    return [f"{len(tokens)} tokens asked for; {len(reads)} sent with reads, {len(writes)} with writes"]


def _is_token(call: dict[str, Any]) -> bool:
    return call["path"].endswith("/oauth/token")
