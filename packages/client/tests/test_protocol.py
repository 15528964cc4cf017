"""The protocol without any I/O: interleavings no server can be made to show reliably."""

from __future__ import annotations

import json
from typing import Any

from headrace_client import Hooks, Security
from headrace_client.operations import GET_SERVER_INFO
from headrace_client.options import Options
from headrace_client.protocol import Protocol, Settings
from headrace_client.steps import HttpRequest, HttpResponse, NeedToken, Step, StepResult, Steps

JSON = {"content-type": "application/json"}
REFUSED = HttpResponse(401, {}, b"")


def _token(value: str) -> HttpResponse:
    return HttpResponse(200, JSON, json.dumps({"access_token": value, "token_type": "bearer"}).encode())


def _end(steps: Steps[Any], answer: StepResult) -> Any:
    try:
        step = steps.send(answer)
    except StopIteration as stop:
        return stop.value
    raise AssertionError(f"not the end: {step}")


def _bearer(step: Step) -> str:
    assert isinstance(step, HttpRequest)
    return step.headers["Authorization"]


def _need(step: Step) -> NeedToken:
    assert isinstance(step, NeedToken)
    return step


def test_two_callers_with_one_stale_token_fetch_one_fresh_token() -> None:
    protocol = Protocol(Settings("http://h", Security("id", "secret"), None, {}, Hooks()))
    first, second = (protocol.call(GET_SERVER_INFO, None, {}, Options()) for _ in range(2))

    fetch = protocol.obtain_token(_need(next(first)))
    assert isinstance(next(fetch), HttpRequest)
    stale = _end(fetch, _token("stale"))
    assert _bearer(first.send(stale)) == _bearer(next(second)) == "Bearer stale"

    fetch = protocol.obtain_token(_need(first.send(REFUSED)))
    assert isinstance(next(fetch), HttpRequest)
    fresh = _end(fetch, _token("fresh"))
    assert _bearer(first.send(fresh)) == "Bearer fresh"

    # The second caller's token was refused too, but by now there is a fresh one: no further call for it.
    assert _end(protocol.obtain_token(_need(second.send(REFUSED))), None) == "fresh"
    assert _bearer(second.send("fresh")) == "Bearer fresh"
    done = HttpResponse(200, JSON, b'{"version": "1"}')
    assert _end(first, done).data == _end(second, done).data
