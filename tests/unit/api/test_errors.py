"""Errors get their status and code in one place, and the inside stays inside."""

from __future__ import annotations

import json

import pytest
import structlog

from headrace import errors
from headrace.api.errors import (
    MAX_PROBLEMS,
    BodyTooLarge,
    LocatedDefinition,
    MethodNotAllowed,
    UnknownRoute,
    UnsupportedMedia,
    error_response,
)


class OneId:
    def new(self) -> str:
        return "incident-1"


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (errors.InvalidValue("name", "must be text"), 400, "VALIDATION", "name: must be text"),
        (errors.AlreadyEnded("i"), 400, "VALIDATION", "instance 'i' has already ended"),
        (errors.RepeatedKey("twice"), 400, "VALIDATION", "twice"),
        (errors.NotFound("workflow", "w"), 404, "NOT_FOUND", "workflow 'w' does not exist"),
        (errors.Unavailable("disk full"), 503, "INTERNAL", "disk full"),
        (BodyTooLarge(1_024), 413, "VALIDATION", "body: has more than 1024 bytes"),
        (UnsupportedMedia("no"), 415, "VALIDATION", "no"),
        (UnknownRoute("/x"), 404, "NOT_FOUND", "'/x' does not exist; /openapi.json lists all paths"),
        (MethodNotAllowed("PATCH", ("GET",)), 405, "VALIDATION", "PATCH is not allowed; allowed: GET"),
    ],
)
def test_statuses_and_codes(error: Exception, status: int, code: str, message: str) -> None:
    response = error_response(error, OneId())
    assert response.status == status
    assert (b"content-type", b"application/json") in response.headers
    assert json.loads(response.body) == {"errorCode": code, "errorMessage": message}


def test_allowed_methods_and_time_to_retry_are_told() -> None:
    assert (b"allow", b"GET, HEAD") in error_response(MethodNotAllowed("PUT", ("GET", "HEAD")), OneId()).headers
    assert (b"retry-after", b"1") in error_response(errors.Unavailable("later"), OneId()).headers


def test_the_unexpected_shows_an_incident_and_logs_the_rest() -> None:
    with structlog.testing.capture_logs() as lines:
        response = error_response(RuntimeError("password hunter2"), OneId())
    assert response.status == 500
    assert json.loads(response.body)["errorCode"] == "INTERNAL"
    assert b"hunter2" not in response.body
    assert b"incident-1" in response.body
    assert [(line["incident_id"], str(line["exc_info"])) for line in lines] == [("incident-1", "password hunter2")]


def test_a_stage_error_that_leaks_is_a_mistake_of_ours() -> None:
    assert error_response(errors.StageError("no funds"), OneId()).status == 500


def test_problems_are_listed_with_their_places() -> None:
    problems = [errors.Problem("stages[0].send", "unknown"), errors.Problem("name", "must be text")]
    response = json.loads(error_response(LocatedDefinition(problems, {"name": (3, 7)}), OneId()).body)
    assert response["errorMessage"] == "stages[0].send: unknown; name: must be text (line 3, column 7)"
    assert response["details"] == [
        {"path": "stages[0].send", "reason": "unknown"},
        {"path": "name", "reason": "must be text", "line": 3, "column": 7},
    ]
    plain = json.loads(error_response(errors.InvalidDefinition(problems), OneId()).body)
    assert plain["details"][1] == {"path": "name", "reason": "must be text"}


def test_a_thousand_problems_are_not_all_told() -> None:
    problems = [errors.Problem(f"stages[{index}]", "bad") for index in range(1_000)]
    response = json.loads(error_response(errors.InvalidDefinition(problems), OneId()).body)
    assert len(response["details"]) == MAX_PROBLEMS
    assert response["errorMessage"].endswith("; and 900 more")


def test_what_utf8_cannot_carry_does_not_turn_a_refusal_into_a_failure() -> None:
    assert error_response(errors.InvalidValue("x", "\ud800"), OneId()).status == 400
    problem = errors.Problem("\ud800", "\udfff")
    assert error_response(errors.InvalidDefinition([problem]), OneId()).status == 400
