"""What a real ledger was recorded to answer, read as outcomes: the table here is written by hand from the contract."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headrace.effects.ledger import wanted_postings
from headrace.effects.port import Absent, Done, Found, FoundOther, Refused, Request, Response, Unknown
from headrace.effects.services import outcome
from tests.support.transcripts import TRANSCRIPTS, mended
from tests.unit.effects.test_responses import searched

TIME = "2024-05-01T10:00:00.123456Z"

REFUSED = {
    (400, "COMPILATION_FAILED"),
    (400, "INSUFFICIENT_FUND"),
    (400, "METADATA_OVERRIDE"),
    (400, "NO_POSTINGS"),
    (400, "VALIDATION"),
    (404, "LEDGER_NOT_FOUND"),
    (404, "NOT_FOUND"),
    (409, "CONFLICT"),
}
UNKNOWN = {(500, "INTERNAL"), (400, "ALREADY_REVERT"), (404, "text/plain")}


def exchanges() -> list[dict[str, Any]]:
    lines = [line for transcript in TRANSCRIPTS.values() for line in transcript.read_text().splitlines()]
    return [exchange for line in lines if (exchange := _decoded(line)) is not None]


def _decoded(line: str) -> dict[str, Any] | None:
    try:
        exchange = json.loads(line)
        exchange["response"]["body"] = mended(exchange["response"].get("body", ""))
        text = json.dumps(exchange).replace('"<time>"', f'"{TIME}"')
        return msgspec.json.decode(text)
    except msgspec.ValidationError:  # an amount of 130,000 digits: beyond what we ever send
        return None


def response_of(exchange: dict[str, Any]) -> Response:
    answer = exchange["response"]
    body = answer.get("body", "")
    is_json = answer["content_type"] == "application/json"
    content = msgspec.json.encode(body) if is_json and body != "" else str(body).encode()
    return Response(answer["status"], content, {"content-type": answer["content_type"]})


def request_of(exchange: dict[str, Any]) -> Request:
    asked = exchange["request"]
    body = asked["raw_body"].encode() if "raw_body" in asked else msgspec.json.encode(asked.get("body", {}))
    key = asked.get("headers", {}).get("Idempotency-Key", "")
    return Request("ledger", asked["method"], asked["path"], body, key)


def name_of(exchange: dict[str, Any]) -> str | None:
    method, path = exchange["request"]["method"], exchange["request"]["path"]
    parts = path.split("/")
    match method, parts[3:]:
        case "POST", ["transactions"]:
            return "CreateTransaction"
        case "POST", ["accounts", _, "metadata"]:
            return "AddAccountMetadata"
        case "GET", ["accounts", _]:
            return "GetAccount"
        case "POST", []:
            return "CreateLedger"
        case _:
            return None


CLASSIFIED = [exchange for exchange in exchanges() if name_of(exchange) is not None]


@pytest.mark.parametrize("exchange", CLASSIFIED, ids=lambda exchange: f"{exchange['scenario']}-{exchange['step']}")
def test_every_recorded_answer_is_classified(exchange: dict[str, Any]) -> None:
    name, response = name_of(exchange), response_of(exchange)
    assert name is not None
    result = outcome(name, request_of(exchange), response)
    if response.status < 300:
        assert isinstance(result, Done), result
        return
    body = exchange["response"]["body"]
    code = body["errorCode"] if isinstance(body, dict) else exchange["response"]["content_type"]
    if name == "GetAccount" and (response.status, code) == (404, "NOT_FOUND"):
        assert isinstance(result, Done)
        assert result.output["data"]["metadata"] == {}
    elif (response.status, code) in REFUSED or (name, code) == ("CreateLedger", "LEDGER_ALREADY_EXISTS"):
        assert isinstance(result, Refused), result
        assert result.code == code
    else:
        assert (response.status, code) in UNKNOWN
        assert isinstance(result, Unknown), result


def test_the_transcript_covers_what_it_is_here_for() -> None:
    seen = {(name_of(exchange), exchange["response"]["status"]) for exchange in CLASSIFIED}
    assert len(CLASSIFIED) > 90
    assert seen >= {
        ("CreateTransaction", 200),
        ("CreateTransaction", 400),
        ("CreateTransaction", 409),
        ("CreateTransaction", 500),
        ("AddAccountMetadata", 204),
        ("AddAccountMetadata", 400),
        ("GetAccount", 200),
        ("GetAccount", 404),
        ("CreateLedger", 204),
        ("CreateLedger", 400),
    }


def test_outputs_hold_what_was_booked() -> None:
    for exchange in CLASSIFIED:
        if name_of(exchange) == "CreateTransaction" and exchange["response"]["status"] == 200:
            request, booked = request_of(exchange), exchange["response"]["body"]["data"]
            result = outcome("CreateTransaction", request, response_of(exchange))
            assert isinstance(result, Done)
            data = result.output["data"]
            assert data["postings"] == booked["postings"] == wanted_postings(msgspec.json.decode(request.body or b""))
            assert (data["id"], data["metadata"], data["reverted"]) == (booked["id"], booked["metadata"], False)
            assert set(data) <= {"id", "postings", "timestamp", "metadata", "reverted", "reference"}


def test_recorded_look_ups_by_reference() -> None:
    steps = {exchange["step"]: exchange for exchange in exchanges() if exchange["scenario"] == "references"}
    ours = request_of(steps[2])
    other = Request(ours.service, "POST", ours.path, (ours.body or b"").replace(b'"amount":5', b'"amount":6'))
    listed, empty, unfiltered = response_of(steps[4]), response_of(steps[6]), response_of(steps[5])
    found = searched("CreateTransaction", ours, listed)
    assert isinstance(found, Found)
    assert found.output["data"]["reference"] == "r1"
    assert isinstance(searched("CreateTransaction", other, listed), FoundOther)
    assert searched("CreateTransaction", ours, empty) == Absent()
    stranger = Request("ledger", "POST", ours.path, (ours.body or b"").replace(b'"r1"', b'"nope"'))
    # A ledger that ignores the filter has proven nothing.
    assert isinstance(searched("CreateTransaction", stranger, unfiltered), Unknown)
