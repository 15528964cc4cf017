"""Dead letters: the list, and the form that publishes them again, once, and says how each fared."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from headrace.errors import Unavailable
from headrace.journal.port import Unit
from headrace.journal.writes import AddDeadLetter
from tests.api.conftest import WAITING, Live, served
from tests.console.conftest import Parsed
from tests.console.hostile import VALUES
from tests.support.publishers import Picky

AT = 1_714_557_600_000_000
PATH = "/console/dead-letters"


@pytest.fixture
def picky() -> Picky:
    return Picky()


@pytest.fixture
async def live(tmp_path: Path, picky: Picky) -> AsyncIterator[Live]:
    async with served(tmp_path, publishers=(picky,)) as server:
        yield server


async def dead(
    live: Live, *numbers: int, publisher: str = "picky", reason: str = "answered 500", body: str = ""
) -> list[str]:
    """Dead letters of these numbers, each a second newer than the one before; their ids."""
    origin = await live.journal.identity()
    unit = Unit()
    for place, number in enumerate(numbers):
        unit.add(
            AddDeadLetter(
                publisher=publisher,
                event_id=f"{origin}:{number}",
                type="STARTED_WORKFLOW",
                body=body or json.dumps({"type": "STARTED_WORKFLOW", "payload": {"n": number}}),
                reason=reason,
                at=AT + place * 1_000_000,
            )
        )
    await live.journal.commit(unit)
    return [f"{origin}:{number}" for number in numbers]


async def page(live: Live, query: str = "", status: int = 200) -> Parsed:
    response = await live.http.get(PATH + query)
    assert response.status_code == status, response.text
    return Parsed.of(response.text)


def listed(parsed: Parsed) -> list[int]:
    return [int(each) for each in re.findall(r":(\d+)\s*$", parsed.text, re.MULTILINE)]


def words(parsed: Parsed) -> str:
    return " ".join(parsed.text.split())


async def form_of(live: Live, query: str) -> tuple[dict[str, str], str]:
    response = await live.http.get(f"{PATH}/replay?{query}")
    assert response.status_code == 200, response.text
    return hidden(response.text), words(Parsed.of(response.text))


def hidden(text: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))


async def sent(live: Live, fields: dict[str, str]) -> httpx2.Response:
    return await live.http.post(f"{PATH}/replay", data=fields, follow_redirects=False)


async def answer(live: Live, fields: dict[str, str]) -> str:
    """What the page says to which a form leads."""
    response = await sent(live, fields)
    assert response.status_code == 303, response.text
    return words(Parsed.of((await live.http.get(response.headers["location"])).text))


async def test_without_any_the_list_says_why(live: Live) -> None:
    assert "Every event that this server publishes was taken" in words(await page(live))
    assert "No dead letter of picky. Show those of all publishers" in words(await page(live, "?publisher=picky"))


async def test_the_newest_come_first_with_reason_and_body(live: Live) -> None:
    ids = await dead(live, 4, 2, 3)
    found = await page(live)
    assert listed(found) == [3, 2, 4]
    assert "answered 500" in found.text and '"n": 2' in found.text and "3 shown, newest first" in found.text
    assert f"{PATH}/replay?{urlencode({'publisher': 'picky', 'id': ids[1]})}" in found.links


async def test_pages_walk_through_all_of_a_publisher_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.console.dead_letters.ROWS", 2)
    await dead(live, *range(1, 8), publisher="web/hook: a&b")
    await dead(live, 20, 21, 22)
    seen: list[int] = []
    query = "?" + urlencode({"publisher": "web/hook: a&b"})
    while True:
        found = await page(live, query)
        seen += listed(found)
        older = [link for link in found.links if "before=" in link]
        if not older:
            break
        query = older[0].removeprefix(PATH)
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert "This server has no such publisher." in found.text and "Publish again" not in found.text


async def test_the_list_says_how_far_it_reaches(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.console.dead_letters.REACH", 3)
    monkeypatch.setattr("headrace.console.dead_letters.ROWS", 2)
    await dead(live, 1, 2, 3, 4)
    (older,) = [link for link in (await page(live)).links if "before=" in link]
    found = await page(live, older.removeprefix(PATH))
    assert listed(found) == [2] and "among the newest 3 dead letters" in found.text
    await dead(live, 9, publisher="another")
    assert "None is among the newest 3" in words(await page(live, "?publisher=another"))


async def test_one_is_published_again_and_the_answer_says_so(live: Live, picky: Picky) -> None:
    _, second = await dead(live, 1, 2)
    fields, text = await form_of(live, urlencode({"publisher": "picky", "id": second}))
    assert "1 event is sent to picky" in text and second in text and "answered 500" in text
    for _ in range(3):  # a double click, and Resend
        assert "1 delivered 0 refused again 0 not tried" in spaced(await answer(live, fields))
    assert (picky.taken, picky.attempts) == ([2], [2])
    assert listed(await page(live)) == [1]
    entries = (await live.call("GET", "/ext/audit")).json()["data"]
    assert [each["operation"] for each in entries] == ["replayDeadLetters"] * 2, "of the event, and of the request"


def spaced(text: str) -> str:
    return re.sub(r"(\d)(delivered|refused|not)", r"\1 \2", text)


async def test_the_first_are_those_that_the_form_showed_in_their_order(live: Live, picky: Picky) -> None:
    await dead(live, 5, 7, 11)
    fields, text = await form_of(live, "publisher=picky&first=2")
    assert "2 events are sent to picky" in text and text.index(":5") < text.index(":7")
    await dead(live, 1)
    picky.refuses = {7}
    told = spaced(await answer(live, fields))
    assert "1 delivered 1 refused again 0 not tried" in told and "7 is not to my taste" in told
    assert picky.attempts == [5, 7]


async def test_a_publisher_that_is_away_is_said(live: Live, picky: Picky) -> None:
    await dead(live, 1, 2)
    picky.is_away = True
    fields, _ = await form_of(live, "publisher=picky&first=100")
    told = spaced(await answer(live, fields))
    assert "0 delivered 0 refused again 2 not tried" in told and "picky cannot be reached: away" in told


async def test_a_journal_that_is_away_at_the_end_leaves_it_open_what_was_delivered(
    live: Live, picky: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dead(live, 1)
    fields, _ = await form_of(live, "publisher=picky&first=1")

    async def away(_: object) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(live.journal, "commit", away)
        response = await sent(live, fields)
    assert response.status_code == 503 and "Some may have been delivered" in response.text
    assert "Nothing was done" not in response.text and picky.taken == [1]
    assert "1 delivered" in spaced(await answer(live, fields)), "the same form again finishes it"


async def test_what_is_no_dead_letter_any_more_is_refused_and_nothing_is_sent(live: Live, picky: Picky) -> None:
    await dead(live, 1, 2)
    mine, _ = await form_of(live, "publisher=picky&first=1")
    yours, _ = await form_of(live, "publisher=picky&first=2")
    await answer(live, mine)
    refused = await sent(live, yours)
    assert refused.status_code == 404 and "Nothing was done." in refused.text and "does not exist" in refused.text
    assert hidden(refused.text) == yours
    assert picky.taken == [1]


async def test_a_publisher_that_this_server_has_not_gets_nothing(live: Live) -> None:
    await dead(live, 1, publisher="gone")
    fields, text = await form_of(live, "publisher=gone&first=5")
    assert "This server has no publisher of this name" in text and "ids" not in fields
    await dead(live, 2)
    token = (await form_of(live, "publisher=picky&first=5"))[0]["token"]
    response = await sent(live, {"token": token, "key": "console:1", "publisher": "gone", "ids": "a:1"})
    assert response.status_code == 404
    response = await sent(live, {"token": token, "key": "console:2", "publisher": "picky", "ids": ""})
    assert response.status_code == 400 and "ids: must be a list of 1 to 100" in response.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        *(("?before=x", 400), ("?before=1/2", 400), (f"?before={'9' * 20}/a/b", 400), ("?before=9/a/b", 200)),
        *(("/replay", 400), ("/replay?publisher=picky", 400), ("/replay?publisher=picky&first=101", 400)),
        *(("/replay?publisher=picky&first=%C2%B2", 400), ("/replay?publisher=picky&id=x", 404)),
        *(("/answer", 404), ("/answer?key=console:1", 404), (f"/answer?key={'x' * 200}", 404)),
    ],
)
async def test_what_a_person_types_is_never_an_error_of_the_server(live: Live, query: str, status: int) -> None:
    await page(live, query, status)


async def test_the_key_of_something_else_has_no_answer(live: Live) -> None:
    made = await live.call("POST", "/workflows", WAITING, headers={"idempotency-key": "mine"})
    assert made.status_code == 201
    await page(live, "/answer?key=mine", 404)


async def test_a_hostile_text_stays_a_text(live: Live) -> None:
    await dead(live, 1, publisher="harmless", reason="harmless", body="harmless")
    safe = await page(live, "?publisher=harmless")
    for number, value in enumerate(VALUES):
        text = value[:300]
        await dead(live, number + 2, publisher=text, reason=text, body=text)
        found = await page(live, "?" + urlencode({"publisher": text}))
        shape = [each for each in found.shape if each[0] not in ("option", "tbody")]
        assert shape == [each for each in safe.shape if each[0] not in ("option", "tbody")], value
        response = await live.http.get(f"{PATH}/replay?{urlencode({'publisher': text, 'first': '1'})}")
        assert response.status_code == 200, value
