"""Dead letters are published again, in order, under their own ids; one that is rejected again stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from headrace.journal.port import Unit
from headrace.journal.writes import AddDeadLetter, Publish, WantType
from tests.api.conftest import Live, served
from tests.support.publishers import Picky

PATH = "/ext/events/set-aside"


@pytest.fixture
def picky() -> Picky:
    return Picky()


@pytest.fixture
async def live(tmp_path: Path, picky: Picky) -> AsyncIterator[Live]:
    async with served(tmp_path, publishers=(picky,)) as server:
        yield server


async def dead(live: Live, *numbers: int, publisher: str = "picky") -> list[str]:
    """Dead letters of these numbers, stored in this order; their ids."""
    origin = await live.journal.identity()
    unit = Unit()
    for number in numbers:
        unit.add(
            AddDeadLetter(
                publisher=publisher,
                event_id=f"{origin}:{number}",
                type="STARTED_WORKFLOW",
                body=json.dumps({"type": "STARTED_WORKFLOW", "payload": {"n": number}}),
                reason="answered 500",
                at=1_714_557_600_000_000,
            )
        )
    await live.journal.commit(unit)
    return [f"{origin}:{number}" for number in numbers]


async def left(live: Live) -> list[int]:
    data = (await live.call("GET", PATH)).json()["data"]
    return sorted(int(row["id"].rpartition(":")[2]) for row in data)


async def replayed(live: Live, body: Any, **options: Any) -> Any:
    response = await live.call("POST", f"{PATH}/replay", body, **options)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def test_all_of_a_publisher_are_published_in_the_order_of_their_events(live: Live, picky: Picky) -> None:
    ids = await dead(live, 110, 17, 9)
    await dead(live, 8, publisher="another")
    found = await replayed(live, {"publisher": "picky"})
    assert found == {"publisher": "picky", "delivered": ids[::-1], "refused": [], "left": 0}
    assert picky.taken == [9, 17, 110]
    assert json.loads(picky.bodies[0]) == {"type": "STARTED_WORKFLOW", "payload": {"n": 9}}
    assert await left(live) == [8]
    again = await replayed(live, {"publisher": "picky"})
    assert again == {"publisher": "picky", "delivered": [], "refused": [], "left": 0}


async def test_one_that_is_rejected_again_stays_and_the_next_is_tried(live: Live, picky: Picky) -> None:
    first, second, third = await dead(live, 1, 2, 3)
    picky.refuses = {2}
    found = await replayed(live, {"publisher": "picky", "ids": [third, second, first]})
    assert found["delivered"] == [third, first], "in the order that was asked for"
    assert found["refused"] == [{"id": second, "reason": "2 is not to my taste"}]
    assert await left(live) == [2]


async def test_a_publisher_that_is_away_keeps_all_that_is_left(live: Live, picky: Picky) -> None:
    await dead(live, 1, 2)
    picky.is_away = True
    found = await replayed(live, {"publisher": "picky"})
    assert (found["delivered"], found["left"], found["unreachable"]) == ([], 2, "away")
    picky.is_away = False
    assert len((await replayed(live, {"publisher": "picky"}))["delivered"]) == 2
    assert await left(live) == []


async def test_an_event_that_the_outbox_still_has_goes_out_as_it_first_did(live: Live, picky: Picky) -> None:
    """With the depth of its chain of triggers, which a dead letter does not keep."""
    unit = Unit()
    unit.add(WantType(type="STARTED_WORKFLOW"))
    unit.add(Publish(type="STARTED_WORKFLOW", happened_at=50, payload='{"n":1}', instance_id=None, depth=3))
    await live.journal.commit(unit)
    number = await live.journal.outbox_end()
    await dead(live, number)
    await replayed(live, {"publisher": "picky"})
    assert json.loads(picky.bodies[0])["payload"] == {"n": 1}
    assert picky.depths == [3]


async def test_a_key_replays_once(live: Live, picky: Picky) -> None:
    await dead(live, 1)
    key = {"idempotency-key": "k"}
    first = await replayed(live, {"publisher": "picky"}, headers=key)
    await dead(live, 2)
    assert await replayed(live, {"publisher": "picky"}, headers=key) == first
    assert picky.taken == [1]


async def test_the_audit_trail_names_each_event(live: Live) -> None:
    (event_id,) = await dead(live, 1)
    await replayed(live, {"publisher": "picky"})
    entries = (await live.call("GET", "/ext/audit")).json()["data"]
    assert [(each["operation"], each["target"]) for each in entries] == [
        ("replayDeadLetters", "picky"),
        ("replayDeadLetters", event_id),
    ]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "body"),
        ({}, "publisher"),
        ({"publisher": 1}, "publisher"),
        ({"publisher": ""}, "publisher"),
        ({"publisher": "picky", "ids": []}, "ids"),
        ({"publisher": "picky", "ids": ["a"] * 101}, "ids"),
        ({"publisher": "picky", "ids": ["a", "a"]}, "ids"),
        ({"publisher": "picky", "ids": ["a", 1]}, "ids[1]"),
        ({"publisher": "picky", "event": "a"}, "event"),
    ],
)
async def test_a_bad_request_names_the_member(live: Live, picky: Picky, body: Any, named: str) -> None:
    await dead(live, 1)
    response = await live.call("POST", f"{PATH}/replay", body)
    assert response.status_code == 400 and response.json()["errorMessage"].startswith(f"{named}: "), response.text
    assert picky.attempts == []


async def test_what_is_not_there_is_not_found_and_nothing_is_published(live: Live, picky: Picky) -> None:
    (event_id,) = await dead(live, 1)
    for body in ({"publisher": "webhook:gone"}, {"publisher": "picky", "ids": [event_id, "j:2"]}):
        response = await live.call("POST", f"{PATH}/replay", body)
        assert response.status_code == 404, response.text
    assert picky.attempts == [] and await left(live) == [1]
