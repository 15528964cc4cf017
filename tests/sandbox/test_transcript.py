"""The sandbox's ledger gives a real ledger's recorded answers (`tests/data/ledger`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from headrace.effects.port import Reply, Request
from headrace.sandbox import Sandbox

TRANSCRIPT = Path(__file__).parents[1] / "data" / "ledger" / "transcript.jsonl"
# What the transcript's README leaves free.
FREE = {"preCommitVolumes", "postCommitVolumes", "preCommitEffectiveVolumes", "postCommitEffectiveVolumes", "features"}
MARKS = {"<time>", "<text>", "<cursor>"}
LATER = {"reverts"}
ONLY_NEWER = {"asset USD_E"}  # the sandbox accepts what a 2.4 ledger does


def scenarios() -> dict[str, list[dict[str, Any]]]:
    exchanges = [json.loads(line) for line in TRANSCRIPT.read_text("utf-8").splitlines()]
    names = dict.fromkeys(exchange["scenario"] for exchange in exchanges)
    exchanges = [exchange for exchange in exchanges if exchange["note"] not in ONLY_NEWER]
    return {name: [e for e in exchanges if e["scenario"] == name] for name in names}


SCENARIOS = scenarios()


def request_of(recorded: dict[str, Any]) -> Request:
    query = f"?{urlencode(recorded['query'])}" if recorded.get("query") else ""
    body = None
    if "raw_body" in recorded:
        body = recorded["raw_body"].encode()
    elif recorded.get("body") is not None:
        body = json.dumps(recorded["body"]).encode()
    key = (recorded.get("headers") or {}).get("Idempotency-Key", "")
    return Request("ledger", recorded["method"], quote(recorded["path"], safe="/:") + query, body, key)


def body_of(reply: Reply) -> Any:
    if reply.headers["content-type"] != "application/json" or not reply.body:
        return reply.body.decode()
    return json.loads(reply.body)


def assert_like(answer: Any, recorded: Any, path: str = "body") -> None:
    if isinstance(recorded, str) and recorded in MARKS:
        assert isinstance(answer, str) and answer, path
    elif isinstance(recorded, dict):
        assert isinstance(answer, dict), path
        assert set(answer) - FREE == set(recorded) - FREE, path
        for name in set(recorded) - FREE:
            assert_like(answer[name], recorded[name], f"{path}.{name}")
    elif isinstance(recorded, list):
        assert isinstance(answer, list) and len(answer) == len(recorded), path
        for index, (one, other) in enumerate(zip(answer, recorded, strict=True)):
            assert_like(one, other, f"{path}[{index}]")
    else:
        assert answer == recorded and type(answer) is type(recorded), path


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in LATER])
def test_answers_as_the_real_ledger_did(sandbox: Sandbox, name: str) -> None:
    for exchange in SCENARIOS[name]:
        recorded, shown = exchange["response"], f"{name} {exchange['step']}: {exchange['note']}"
        reply = sandbox.handle(request_of(exchange["request"]))
        assert (reply.status, reply.headers["content-type"]) == (recorded["status"], recorded["content_type"]), shown
        assert_like(body_of(reply), recorded["body"], shown)


def test_pre_and_post_volumes_are_the_real_ones_where_given(sandbox: Sandbox) -> None:
    for exchange in SCENARIOS["postings"]:
        reply = sandbox.handle(request_of(exchange["request"]))
        recorded = exchange["response"]["body"]
        if reply.status == 200 and "postCommitVolumes" in recorded.get("data", {}):
            answer = json.loads(reply.body)["data"]
            for name in ("preCommitVolumes", "postCommitVolumes"):
                assert answer[name] == recorded["data"][name], exchange["note"]


def test_only_reverts_are_left_out() -> None:
    assert len(SCENARIOS) == 9
    assert set(SCENARIOS) >= LATER
    assert sum(map(len, SCENARIOS.values())) == 131 - len(ONLY_NEWER)
