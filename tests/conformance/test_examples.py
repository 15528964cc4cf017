"""The history of every example decodes to the right class, and nothing of it is lost on the way (traps T7 to T12)."""

# The SDK types every result as optional; a None would fail the test just as well.
# pyright: reportOptionalMemberAccess=false, reportOptionalIterable=false, reportOptionalSubscript=false
# pyright: reportArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from formance_sdk_python import SDK
from formance_sdk_python.models import orchestration

from headrace.demo.examples import Example
from tests.conformance.conftest import Walker
from tests.crash import players
from tests.crash.books import API
from tests.crash.players import FAST, Play
from tests.support.server import Server

CLASSES = {
    "send": orchestration.StageSend,
    "delay": orchestration.StageDelay,
    "wait_event": orchestration.StageWaitEvent,
    "update": orchestration.Update,
}
UNKNOWN_TO_THE_SDK = {"name", "metadata", "connectorID", "waitingValidation", "timeout", "on_timeout"}
"""Documented members that the SDK's models leave out: of a wallet, a payment destination, and Headrace's waits."""

EXTRA = {".GetPayment.data.amount"}
"""The payments service's own member, beyond the description; it may stay."""

EXAMPLES = players.all_examples()


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its own: some examples have members of Headrace's, which a list of workflows would show to the other suites."""
    with Server(tmp_path_factory.mktemp("examples") / "data", settings=FAST) as server:
        yield server


@pytest.fixture(scope="module")
def played(live_server: Server) -> dict[str, Play]:
    plays = players.seed(live_server, EXAMPLES, 1, "sdk")
    players.run_all(live_server, players.create_workflows(live_server, EXAMPLES), plays)
    players.wait_until_ended(live_server, plays)
    return {play.example.name: play for play in plays}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_history_decodes(
    example: Example, played: dict[str, Play], make_sdk: Callable[..., SDK], walker: Walker
) -> None:
    api, instance_id = make_sdk().orchestration.v1, str(played[example.name].instance_id)
    history = api.get_instance_history(request={"instance_id": instance_id}).get_workflow_instance_history_response.data
    told = walker.bodies[f"{API}/instances/{instance_id}/history"]["data"]
    assert len(history) == len(example.expected(played[example.name].names).stages)
    for decoded, raw in zip(history, told, strict=True):
        assert type(decoded.input) is CLASSES[decoded.name]
        assert lost(raw["input"], decoded.input) == []
    for number, wanted in enumerate(example.expected(played[example.name].names).stages):
        check_stage(api, walker, instance_id, number, wanted)


def check_stage(api: Any, walker: Walker, instance_id: str, number: int, wanted: tuple[str, ...]) -> None:
    answer = api.get_instance_stage_history(request={"instance_id": instance_id, "number": number})
    activities = answer.get_workflow_instance_history_stage_response.data
    told = walker.bodies[f"{API}/instances/{instance_id}/stages/{number}/history"]["data"]
    assert [activity.name for activity in activities] == list(wanted)
    for decoded, raw in zip(activities, told, strict=True):
        assert decoded.terminated
        assert not decoded.error
        assert lost(raw["input"], decoded.input) == []
        if "output" in raw:
            assert lost(raw["output"], decoded.output) == []
        has_output = decoded.name in ("CreateTransaction", "GetAccount", "GetPayment", "GetWallet", "ListWallets")
        assert has_output == ("output" in raw), f"{decoded.name}: {raw}"


def lost(raw: Any, decoded: Any) -> list[str]:
    """Places of the wire's values that the decoded model does not hold, or holds otherwise."""
    kept = dict(leaves(decoded.model_dump(by_alias=True, mode="python")))
    return [
        f"{place}: {value!r} became {kept.get(place)!r}"
        for place, value in leaves(raw)
        if place not in EXTRA and place.split(".")[-1] not in UNKNOWN_TO_THE_SDK and not same(value, kept.get(place))
    ]


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield from leaves(member, f"{place}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{place}[{index}]")
    else:
        yield place, value


def same(told: Any, kept: Any) -> bool:
    """Dates are decoded to `datetime`, enumerations to their members."""
    if isinstance(told, str) and hasattr(kept, "isoformat"):
        return told.rstrip("Z")[:19] == kept.isoformat()[:19]
    return told == getattr(kept, "value", kept)


def test_a_loss_is_found() -> None:
    """A stage that no class fits decodes silently as an empty Update: the check above must see it."""
    raw = {"source": {"account": {"id": "a", "ledger": "l"}}, "amount": {"asset": "USD/2", "amount": "${amount}"}}
    history = {"name": "send", "input": raw, "terminated": True, "startedAt": "2024-05-01T10:00:00Z"}
    decoded = orchestration.WorkflowInstanceHistory.model_validate(history)
    assert type(decoded.input) is orchestration.Update
    assert len(lost(raw, decoded.input)) == 4
