"""Pages of V2 over HTTP: their order, their cursors, and what is refused."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.api.cursors import Cursor, Seal
from headrace.api.v2.pages import PART
from headrace.errors import InvalidValue
from headrace.journal.lists import InstanceList, OccurrenceList, Place, TriggerList, WorkflowList
from headrace.journal.sqlite.migrations import migrate_sqlite
from tests.api.conftest import PREFIX, SHORT, WAITING, Live, served
from tests.api.test_v2 import page, rows

MANY = 37


@pytest.fixture
async def workflows(live: Live) -> list[str]:
    """Ids, newest first."""
    return [await live.created(SHORT) for _ in range(MANY)][::-1]


async def test_a_walk_to_the_end_and_back(live: Live, workflows: list[str]) -> None:
    assert (await page(live, "/workflows"))["pageSize"] == 15
    for size in (1, 7, 36, 37, 38, 1_000):
        pages = [await page(live, f"/workflows?pageSize={size}")]
        while "next" in pages[-1]:
            pages.append(await page(live, f"/workflows?cursor={pages[-1]['next']}"))
        assert [row["id"] for each in pages for row in each["data"]] == workflows
        assert {each["pageSize"] for each in pages} == {size}
        assert [each["hasMore"] for each in pages] == [True] * (len(pages) - 1) + [False]
        assert ["previous" in each for each in pages] == [False] + [True] * (len(pages) - 1)
        here = pages[-1]
        for there in reversed(pages[:-1]):
            here = await page(live, f"/workflows?cursor={here['previous']}")
            assert here["data"] == there["data"]
            assert here["hasMore"] is True
        assert "previous" not in here


async def test_long_pages_go_out_in_parts(live: Live) -> None:
    workflow_id = await live.created(WAITING)
    path = f"{PREFIX}/v2/workflows/{workflow_id}/instances"
    responses = await asyncio.gather(*(live.http.post(path) for _ in range(3 * PART)))
    started = {response.json()["data"]["id"] for response in responses}
    whole = await live.call("GET", "/v2/instances?pageSize=1000")
    assert whole.headers["transfer-encoding"] == "chunked"
    listed = [row["id"] for row in whole.json()["cursor"]["data"]]
    assert (len(listed), set(listed)) == (3 * PART, started)
    first = await page(live, f"/instances?pageSize={PART + 1}")
    second = await page(live, f"/instances?cursor={first['next']}")
    back = await page(live, f"/instances?cursor={second['previous']}")
    assert [row["id"] for row in (*first["data"], *second["data"])] == listed[: 2 * PART + 2]
    assert back["data"] == first["data"]
    exact = await page(live, f"/instances?pageSize={3 * PART}")
    assert (len(exact["data"]), exact["hasMore"]) == (3 * PART, False)
    assert "content-length" in (await live.call("GET", f"/v2/instances?pageSize={PART}")).headers


async def test_filters_travel_in_the_cursor(live: Live) -> None:
    one, other = await live.created(WAITING), await live.created(WAITING)
    for workflow_id in (one, other) * 3:
        await live.started(workflow_id)
    first = await page(live, f"/instances?workflowID={one}&running=true&pageSize=2")
    await live.call("PUT", f"/instances/{first['data'][1]['id']}/abort")
    await live.started(other)
    second = await page(live, f"/instances?cursor={first['next']}")
    assert [row["workflowID"] for row in (*first["data"], *second["data"])] == [one] * 3
    back = await page(live, f"/instances?cursor={second['previous']}")
    assert back["data"] == first["data"][:1], "the aborted one is not running any more"
    assert await rows(live, "/instances?workflowID=nobody") == []
    assert len(await rows(live, "/instances?running=false&workflowID=&cursor=&pageSize=")) == 7


async def test_triggers_by_name_in_any_case(live: Live) -> None:
    workflow_id = await live.created(SHORT)
    names = ["pay Straße 1", "other", "PAY STRASSE 2", "pay strasse 3", "100%_", ""]
    for name in names:
        body = {"event": "E", "workflowID": workflow_id, "name": name}
        assert (await live.call("POST", "/triggers", body)).status_code == 201

    async def named(query: str) -> list[str]:
        return [row["name"] for row in (await page(live, f"/triggers{query}"))["data"]]

    assert await named("?name=STRASSE") == ["pay strasse 3", "PAY STRASSE 2", "pay Straße 1"]
    assert await named("?name=%25_") == ["100%_"]
    assert await named("?name=") == names[::-1]
    first = await page(live, "/triggers?name=pay&pageSize=2")
    assert await named(f"?cursor={first['next']}") == ["pay Straße 1"]
    v1 = (await live.call("GET", "/triggers?name=STRASSE")).json()["data"]
    assert [row["name"] for row in v1] == await named("?name=STRASSE")


async def test_a_page_that_has_emptied_leads_on_and_back(live: Live, workflows: list[str]) -> None:
    first = await page(live, "/workflows?pageSize=35")
    for workflow_id in workflows[35:]:
        await live.call("DELETE", f"/workflows/{workflow_id}")
    empty = await page(live, f"/workflows?cursor={first['next']}")
    assert (empty["data"], empty["hasMore"]) == ([], False)
    back = await page(live, f"/workflows?cursor={empty['previous']}")
    assert [row["id"] for row in back["data"]] == workflows[:35]

    second = await page(live, "/workflows?pageSize=2")
    third = await page(live, f"/workflows?cursor={second['next']}")
    for workflow_id in workflows[:2]:
        await live.call("DELETE", f"/workflows/{workflow_id}")
    top = await page(live, f"/workflows?cursor={third['previous']}")
    assert (top["data"], top["hasMore"]) == ([], True)
    assert "previous" not in top
    assert (await page(live, f"/workflows?cursor={top['next']}"))["data"] == third["data"]


@pytest.mark.parametrize(
    "size", ["0", "-1", str(10**30), "abc", "1001", "1.0", "1e2", "+5", " 5", "%D9%A3", "0x10", "-0", "5%00", "null"]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_page_sizes_that_are_none(shared: Live, size: str) -> None:
    for path in ("workflows", "instances", "triggers"):
        response = await shared.call("GET", f"/v2/{path}?pageSize={size.replace('+', '%2B').replace(' ', '%20')}")
        assert (response.status_code, response.json()["errorCode"]) == (400, "VALIDATION")
        assert response.json()["errorMessage"].startswith("pageSize: ")


async def test_what_is_unknown_or_empty_is_ignored(live: Live, workflows: list[str]) -> None:
    for query in ("?colour=red", "?pageSize=&cursor=", "?order=asc&sort=name&page=7&after=x", "?=&&&"):
        assert await rows(live, f"/workflows{query}") == workflows[:15]
    first = await page(live, "/workflows?pageSize=010")
    assert first["pageSize"] == 10
    query = f"?cursor={first['next']}&pageSize=&running=false&colour=red"
    assert await rows(live, f"/workflows{query}") == workflows[10:20]


async def test_a_cursor_stands_for_the_whole_query(live: Live, workflows: list[str]) -> None:
    await live.started(workflows[0])
    await live.started(workflows[0])
    cursor = (await page(live, "/instances?pageSize=1"))["next"]
    for other in ("pageSize=1", "pageSize=2", "workflowID=x", "running=true"):
        response = await live.call("GET", f"/v2/instances?cursor={cursor}&{other}")
        assert response.status_code == 400, other
        assert response.json()["errorMessage"].startswith("cursor: ")
    assert len(await rows(live, f"/instances?cursor={cursor}&running=false&workflowID=&pageSize=")) == 1


async def test_a_cursor_of_another_list_or_journal(live: Live, workflows: list[str], tmp_path: Any) -> None:
    cursor = (await page(live, "/workflows"))["next"]
    assert len(await rows(live, f"/workflows?cursor={cursor}")) == 15
    triggers = [
        (await live.call("POST", "/triggers", {"event": "E", "workflowID": workflows[0]})).json()["data"]["id"]
        for _ in range(2)
    ]
    seal = Seal(await live.journal.identity())
    others = seal.write(Cursor(OccurrenceList(triggers[0]), Place(1, "x"), 5))
    assert (await page(live, f"/triggers/{triggers[0]}/occurrences?cursor={others}"))["data"] == []
    for path, text in (
        ("/instances", cursor),
        ("/triggers", cursor),
        (f"/triggers/{triggers[0]}/occurrences", cursor),
        (f"/triggers/{triggers[1]}/occurrences", others),
        ("/workflows", others),
    ):
        response = await live.call("GET", f"/v2{path}?cursor={text}")
        assert (response.status_code, response.json()["errorMessage"]) == (400, "cursor: belongs to another list")
    (tmp_path / "other").mkdir()
    migrate_sqlite(str(tmp_path / "other/journal.db"))  # with a name of its own
    async with served(tmp_path / "other") as elsewhere:
        response = await elsewhere.call("GET", f"/v2/workflows?cursor={cursor}")
        assert response.status_code == 400


async def test_a_cursor_outlives_a_restart(tmp_path: Any) -> None:
    async with served(tmp_path) as live:
        ids = [await live.created(SHORT) for _ in range(4)]
        cursor = (await page(live, "/workflows?pageSize=2"))["next"]
    async with served(tmp_path) as live:
        assert await rows(live, f"/workflows?cursor={cursor}") == ids[1::-1]


NO_CURSORS = [
    "x",
    "=",
    "....",
    "%00",
    "AAAA",
    "A" * 5_000,
    "💧",
    "../../etc",
    "' OR 1=1 --",
    "bnVsbA==",
    "e30",
    "0",
    "-1",
]


@pytest.mark.parametrize("text", NO_CURSORS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_text_that_is_no_cursor_is_refused(shared: Live, text: str) -> None:
    for path in ("workflows", "instances", "triggers"):
        response = await shared.call("GET", f"/v2/{path}?cursor={quote(text)}")
        assert (response.status_code, response.json()["errorCode"]) == (400, "VALIDATION")
        assert response.json()["errorMessage"].startswith("cursor: ")


LISTS = st.one_of(
    st.just(WorkflowList()),
    st.builds(InstanceList, st.none() | st.text(), st.booleans()),
    st.builds(TriggerList, st.none() | st.text()),
    st.builds(OccurrenceList, st.text()),
)
CURSORS = st.builds(
    Cursor,
    LISTS,
    st.builds(Place, st.integers(-(2**63), 2**63 - 1), st.text()),
    st.integers(1, 1_000),
    st.booleans(),
)
SEAL = Seal("0" * 32)


@given(CURSORS)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    text = SEAL.write(cursor)
    assert SEAL.read(text) == cursor
    assert quote(text) == text, "it needs no encoding in a query"


@given(CURSORS, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_cursor_that_was_changed_is_refused(cursor: Cursor, data: st.DataObject) -> None:
    text = SEAL.write(cursor)
    place = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from("ABCYZaz019-_=+/. "))
    changed = data.draw(
        st.sampled_from(
            [
                text[:place] + character + text[place + 1 :],
                text[:place] + text[place + 1 :],
                text[:place] + character + text[place:],
                text[:place],
                text + character,
                text.swapcase(),
            ]
        )
    )
    if changed != text:
        with pytest.raises(InvalidValue, match=r"^cursor: "):
            SEAL.read(changed)


@given(st.text())
def test_no_text_is_a_cursor(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^cursor: "):
        SEAL.read(text)


def test_a_sealed_text_of_another_shape_is_refused() -> None:
    """As another version of the server may have made one."""
    sealed = urlsafe_b64decode(SEAL.write(Cursor(WorkflowList(), Place(1, "x"), 5)) + "==")
    assert msgspec.msgpack.decode(sealed[16:]) == [["workflows"], [1, "x"], 5, False]
    places = ([2**63, "x"], [1, 5], ["1", "x"], [1], [])
    for content in (
        *([["workflows"], place, 5, False] for place in places),
        [["nothing"], [1, "x"], 5, False],
        [["workflows"], [1, "x"], 1_001, False],
        *([], {}, None),
    ):
        raw = msgspec.msgpack.encode(content)
        text = urlsafe_b64encode(SEAL._seal(raw) + raw).decode().rstrip("=")  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(InvalidValue, match=r"^cursor: "):
            SEAL.read(text)
