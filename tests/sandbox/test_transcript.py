"""The sandbox's ledger gives a real ledger's recorded answers (`tests/data/ledger`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from headrace.effects.port import Request, Response
from headrace.sandbox import Releases, Sandbox
from headrace.sandbox.releases import LedgerRelease
from tests.support.transcripts import TRANSCRIPTS, mended

# What the transcript's README leaves free.
FREE = {"preCommitVolumes", "postCommitVolumes", "preCommitEffectiveVolumes", "postCommitEffectiveVolumes", "features"}
MARKS = {"<time>", "<text>", "<cursor>"}


def scenarios(release: LedgerRelease) -> dict[str, list[dict[str, Any]]]:
    exchanges = [json.loads(line) for line in TRANSCRIPTS[release].read_text("utf-8").splitlines()]
    names = dict.fromkeys(exchange["scenario"] for exchange in exchanges)
    return {name: [e for e in exchanges if e["scenario"] == name] for name in names}


SCENARIOS = {(release, name): found for release in TRANSCRIPTS for name, found in scenarios(release).items()}


def request_of(recorded: dict[str, Any]) -> Request:
    query = f"?{urlencode(recorded['query'])}" if recorded.get("query") else ""
    body = None
    if "raw_body" in recorded:
        body = recorded["raw_body"].encode()
    elif recorded.get("body") is not None:
        body = json.dumps(recorded["body"]).encode()
    key = (recorded.get("headers") or {}).get("Idempotency-Key", "")
    return Request("ledger", recorded["method"], quote(recorded["path"], safe="/:") + query, body, key)


def body_of(response: Response) -> Any:
    if response.headers["content-type"] != "application/json" or not response.body:
        return response.body.decode()
    return json.loads(response.body)


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


@pytest.mark.parametrize(("release", "name"), SCENARIOS)
def test_answers_as_the_real_ledger_did(
    make_sandbox: Callable[..., Sandbox], release: LedgerRelease, name: str
) -> None:
    sandbox = make_sandbox(releases=Releases(ledger=release))
    for exchange in SCENARIOS[release, name]:
        recorded, shown = exchange["response"], f"{name} {exchange['step']}: {exchange['note']}"
        response = sandbox.handle(request_of(exchange["request"]))
        assert (response.status, response.headers["content-type"]) == (recorded["status"], recorded["content_type"]), (
            shown
        )
        assert response.headers.get("idempotency-hit") == recorded.get("idempotency_hit"), shown
        assert_like(body_of(response), mended(recorded["body"]), shown)


@pytest.mark.parametrize(("release", "name"), SCENARIOS)
def test_pre_and_post_volumes_are_the_real_ones_where_given(
    make_sandbox: Callable[..., Sandbox], release: LedgerRelease, name: str
) -> None:
    sandbox = make_sandbox(releases=Releases(ledger=release))
    for exchange in SCENARIOS[release, name]:
        response = sandbox.handle(request_of(exchange["request"]))
        recorded = exchange["response"]["body"]
        if response.status in (200, 201) and "postCommitVolumes" in recorded.get("data", {}):
            answer = json.loads(response.body)["data"]
            for member in ("preCommitVolumes", "postCommitVolumes"):
                assert answer[member] == recorded["data"][member], exchange["note"]


@pytest.mark.parametrize("release", TRANSCRIPTS)
def test_no_scenario_is_left_out(release: LedgerRelease) -> None:
    found = {name: len(exchanges) for (one, name), exchanges in SCENARIOS.items() if one == release}
    assert len(found) == 10 and found["undo"] == 33
    assert sum(found.values()) == 164


def test_the_current_ledger_is_the_default(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox()
    (asked,) = (e["request"] for e in SCENARIOS["2.4", "postings"] if e["note"] == "asset USD_E")
    for exchange in SCENARIOS["2.4", "postings"][:1]:
        sandbox.handle(request_of(exchange["request"]))
    assert sandbox.handle(request_of(asked)).status == 200
