"""`headrace events dead-letters` and `headrace events replay`: what a publisher rejected is published again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from headrace.cli import display
from tests.api.conftest import Live, served
from tests.api.test_dead_letters import dead, left
from tests.cli.conftest import Ran
from tests.support.publishers import Picky

Ask = Callable[..., Awaitable[Ran]]


@pytest.fixture
def picky() -> Picky:
    return Picky()


@pytest.fixture
async def live(tmp_path: Path, picky: Picky) -> AsyncIterator[Live]:
    async with served(tmp_path, publishers=(picky,)) as server:
        yield server


@pytest.fixture
def ask(headrace: Callable[..., Ran], live: Live, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setattr(display, "terminal_width", lambda: 80)
    url = f"http://127.0.0.1:{live.port}"
    return lambda *arguments: asyncio.to_thread(headrace, *arguments, "--server", url)


async def test_the_list_says_who_rejected_what_and_why(ask: Ask, live: Live) -> None:
    assert (await ask("events", "dead-letters")).out == "No event is a dead letter.\n"
    first, second = await dead(live, 1, 2)
    ran = await ask("events", "dead-letters")
    assert ran.code == 0
    assert all(len(line) <= 80 for line in ran.out.splitlines())
    for text in (first, "(STARTED_WORKFLOW)", "picky", "2024-05-01 10:00:00.000Z", "answered 500"):
        assert text in ran.out
    assert sorted((await ask("events", "dead-letters", "-q")).out.split()) == sorted([first, second])
    (_, shown) = json.loads((await ask("events", "dead-letters", "-o", "json")).out)["data"]["deadLetters"]
    assert shown["publisher"] == "picky"


async def test_all_are_published_again_publisher_by_publisher(ask: Ask, live: Live, picky: Picky) -> None:
    await dead(live, 2, 1)
    ran = await ask("events", "replay", "--yes")
    assert (ran.code, ran.out) == (0, "picky: 2 events delivered\n")
    assert picky.taken == [1, 2], "in the order of the events"
    assert await left(live) == []
    assert (await ask("events", "replay")).out == "No event is a dead letter.\n"


async def test_more_than_one_request_takes_are_published_too(ask: Ask, live: Live, picky: Picky) -> None:
    """Oldest first, to the last of them; one that is rejected again stops none behind it."""
    await dead(live, *range(1, 231))
    picky.refuses = {5}
    ran = await ask("events", "replay", "--yes")
    assert picky.taken == [n for n in range(1, 231) if n != 5]
    assert ran.code == 1 and "1 event not delivered" in ran.err
    assert await left(live) == [5]


async def test_only_those_named_are_published_and_a_wrong_name_publishes_none(
    ask: Ask, live: Live, picky: Picky
) -> None:
    first, _ = await dead(live, 1, 2)
    ran = await ask("events", "replay", first, "j:9", "--yes")
    assert ran.code == 1 and "not a dead letter: j:9" in ran.err and picky.attempts == []
    assert (await ask("events", "replay", first, "--publisher", "another", "--yes")).code == 1
    ran = await ask("events", "replay", first, "--yes", "-q")
    assert (ran.code, ran.out) == (0, f"{first}\n")
    assert picky.taken == [1] and await left(live) == [2]


async def test_one_that_is_rejected_again_fails_the_command(ask: Ask, live: Live, picky: Picky) -> None:
    await dead(live, 1, 2)
    picky.refuses = {2}
    ran = await ask("events", "replay", "--yes")
    assert ran.code == 1
    assert "picky: 1 event delivered" in ran.out and "was rejected again: 2 is not to my taste" in ran.out
    assert "1 event not delivered" in ran.err
    picky.is_away = True
    ran = await ask("events", "replay", "--yes")
    assert ran.code == 1 and "1 event not tried: away" in ran.out
    assert await left(live) == [2]


async def test_it_asks_first(ask: Ask, live: Live, picky: Picky) -> None:
    await dead(live, 1)
    ran = await ask("events", "replay")
    assert ran.code == 2 and "add --yes" in ran.err
    assert picky.attempts == []
