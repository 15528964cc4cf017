"""Batches: made from a list of runs, previewed, started by a person who types the count, and watched to the end."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from headrace.background import in_background
from headrace.clock import SystemClock
from headrace.console.signin import COOKIE
from headrace.runner.policy import Policy
from headrace.usecases.batch_driver import BatchDriver
from tests.api.conftest import WAITING, Live, served
from tests.api.test_approvals import ALL, RULES, People
from tests.api.test_plans import PAYING, funded
from tests.console.conftest import WORLD, Parsed, pays
from tests.console.hostile import VALUES
from tests.support.tokens import Documents, authenticator_of, claims_of, published, signed

FAILED = 12
PATH = "/console/batches"


@pytest.fixture
async def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    """A server that drives its batches, and looks for them often."""
    monkeypatch.setattr("headrace.usecases.batch_driver.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("headrace.usecases.batch_driver.STEP_S", 0.02)
    async with served(tmp_path) as server, in_background(BatchDriver(server.ports).run, SystemClock()):
        assert (await server.http.post("/api/ledger/v2/main", json={})).status_code == 204
        yield server


async def failures(live: Live, count: int, *, name: str = "pay out") -> list[str]:
    """Runs that failed, as the purse is empty."""
    source = {"account": {"id": "purse", "ledger": "main"}}
    workflow_id = await live.created({"name": name, "stages": [pays(source, "shop:1", 100)]})
    ids = [await live.started(workflow_id, {"order": f"A{number}"}) for number in range(count)]
    for each in ids:
        await live.engine.ended(each, 10)
    return ids


async def fill(live: Live, amount: int) -> None:
    posting = {"source": "world", "destination": "purse", "amount": amount, "asset": "EUR/2"}
    assert (await live.http.post("/api/ledger/v2/main/transactions", json={"postings": [posting]})).status_code == 200


async def state_of(live: Live, batch_id: str, *states: str) -> Any:
    async with asyncio.timeout(30):
        while True:
            batch = await live.journal.batch(batch_id)
            if batch is not None and batch.state in states:
                return batch
            await asyncio.sleep(0.02)


async def made(live: Live, **wanted: Any) -> str:
    body = {"reason": "the bank is back", "rate": 1_000, **wanted}
    response = await live.call("POST", "/ext/batches", body)
    assert response.status_code == 201, response.text
    return response.json()["data"]["id"]


async def page(live: Live, path: str, status: int = 200) -> str:
    response = await live.http.get(path)
    assert response.status_code == status, response.text
    return response.text


def words(text: str) -> str:
    """The text of a page, with a space where an element begins or ends."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def fields(text: str, action: str) -> dict[str, str]:
    """The fields of the form of this action, as they are filled in."""
    found = re.search(rf'<form class="form" method="post" action="{re.escape(action)}">(.*?)</form>', text, re.DOTALL)
    assert found, f"no form of {action}"
    given = re.findall(r'<input[^>]*name="(\w+)"[^>]* value="([^"]*)"', found[1])
    for name, options in re.findall(r'<select name="(\w+)">(.*?)</select>', found[1], re.DOTALL):
        chosen = re.findall(r'value="([^"]*)" selected', options) or re.findall(r'value="([^"]*)"', options)[:1]
        given.append((name, chosen[0]))
    return {name: html.unescape(value) for name, value in given}


async def sent(live: Live, action: str, form: dict[str, str]) -> httpx2.Response:
    return await live.http.post(action, data=form, follow_redirects=False)


async def audited(live: Live, target: str) -> list[str]:
    return [each["operation"] for each in (await live.call("GET", f"/ext/audit?target={target}")).json()["data"]]


async def test_at_most_six_clicks_lead_from_home_to_a_running_batch(live: Live) -> None:
    """Only links and forms of the pages are followed, as a person without scripts does."""
    ids = await failures(live, FAILED)
    await fill(live, FAILED * 100)
    clicks = 0

    async def click(text: str, name: str) -> str:
        nonlocal clicks
        clicks += 1
        links = re.findall(r'<a [^>]*href="([^"]+)"[^>]*>([^<]*)</a>', text)
        (target,) = {html.unescape(href) for href, label in links if label == name}
        return await page(live, target)

    async def send(action: str, form: dict[str, str]) -> str:
        nonlocal clicks
        clicks += 1
        response = await live.http.post(action, data=form, follow_redirects=True)
        assert response.status_code == 200, response.text
        return response.text

    text = await page(live, "/console/")
    text = await click(text, "All of them")
    text = await click(text, "Redrive these runs…")
    text = await send(f"{PATH}/new", {**fields(text, f"{PATH}/new"), "reason": "the purse is filled"})
    assert "The batch is made. Nothing of it has started." in text
    batch_id = re.findall(rf'href="{PATH}/([0-9a-f-]{{36}})"', text)[0]
    await state_of(live, batch_id, "ready")
    text = await click(text, "Look again")
    start = f"{PATH}/{batch_id}/start"
    text = await send(start, {**fields(text, start), "count": str(FAILED)})
    assert "The batch runs." in text and clicks <= 6
    await state_of(live, batch_id, "done")
    text = words(await page(live, f"{PATH}/{batch_id}"))
    assert f"Over {FAILED} of {FAILED}" in text and f"✓ Succeeded {FAILED}" in text
    for each in ids:
        successor = await live.journal.successor(each)
        assert successor is not None and successor.reason == "the purse is filled"
    assert sorted(await audited(live, batch_id)) == ["createBatch", "startBatch"]


async def test_the_form_is_filled_in_from_the_list_and_its_filter_is_that_of_the_list(live: Live) -> None:
    mine = await failures(live, 2)
    await failures(live, 1, name="another")
    instance = await live.journal.instance(mine[0])
    assert instance is not None
    text = await page(live, f"/console/runs?status=failed&since=24h&workflow={instance.workflow_id}")
    (link,) = [each for each in Parsed.of(text).links if each.startswith(f"{PATH}/new")]
    query = parse_qs(urlsplit(link).query)
    assert query == {
        "kind": ["redrive"],
        "state": ["failed"],
        "workflow": [instance.workflow_id],
        "since": ["24h"],
    }
    text = await page(live, link)
    form = fields(text, f"{PATH}/new")
    assert (form["kind"], form["state"], form["workflow"]) == ("redrive", "failed", instance.workflow_id)
    assert "Workflow: its id or name: pay out" in words(text) and form["startedAfter"]
    answer = await sent(live, f"{PATH}/new", {**form, "reason": "r"})
    batch_id = urlsplit(answer.headers["location"]).path.rpartition("/")[2]
    assert [each.instance_id for each in await live.journal.batch_items(batch_id, 0, 9)] == mine
    text = words(await page(live, f"{PATH}/{batch_id}"))
    assert "Redrive 2 runs: failed, of workflow pay out, started at or after 20" in text


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        *(("?status=failed", "kind=redrive"), ("?status=waiting", "kind=abort"), ("?status=succeeded", "")),
        *(("", ""), ("?status=failed&q=order%3DA0", ""), ("?status=retrying", "")),
    ],
)
async def test_a_list_offers_what_its_runs_allow(live: Live, query: str, wanted: str) -> None:
    await failures(live, 1)
    waiting = await live.started(await live.created(WAITING))
    async with asyncio.timeout(10):
        while not (await live.call("GET", f"/instances/{waiting}/history")).json()["data"]:
            await asyncio.sleep(0.01)
    links = [each for each in Parsed.of(await page(live, f"/console/runs{query}")).links if f"{PATH}/new" in each]
    assert ([wanted in each for each in links] == [True]) if wanted else links == []


async def test_the_preview_shows_the_count_the_sums_and_what_is_excluded_and_why(live: Live) -> None:
    ids = await failures(live, 3)
    await fill(live, 250)
    done = await live.started(await live.created({"stages": [pays(WORLD, "shop:9")]}))
    await live.engine.ended(done, 10)
    batch_id = await made(live, kind="redrive", instances=[*ids, done])
    await state_of(live, batch_id, "ready")
    text = words(await page(live, f"{PATH}/{batch_id}"))
    for part in (
        "Redrive 4 runs, chosen by id.",
        "Redrive 2 of 4 items",
        "2.00 EUR sent",
        "1: fails:INSUFFICIENT_FUND, its plan fails",
        "1: not_failed, the run has not failed",
        "item 3,",
        "the bank is back",
        "Type 2, the number of runs that start",
        "Redrive 2 runs",
        "sha256:",
    ):
        assert part in text, part


async def test_a_start_needs_the_count_and_the_preview_that_was_seen_and_happens_once(live: Live) -> None:
    await failures(live, 2)
    await fill(live, 1_000)
    batch_id = await made(live, kind="redrive", filter={"state": "failed"})
    await state_of(live, batch_id, "ready")
    start = f"{PATH}/{batch_id}/start"
    form = fields(await page(live, start), start)
    for count in ("", "3", "two", "<b>"):
        refused = await sent(live, start, {**form, "count": count})
        assert refused.status_code == 400 and "the number of runs that would start" in refused.text, count
        assert fields(refused.text, start) == {**form, "count": count}
    other = await sent(live, start, {**form, "count": "2", "hash": "sha256:0"})
    assert other.status_code == 412 and "Nothing was done." in other.text
    assert (await state_of(live, batch_id, "ready")).started_at is None
    for _ in range(3):  # a double click, and Resend
        answer = await sent(live, start, {**form, "count": " 2 "})
        assert answer.headers["location"] == f"{PATH}/{batch_id}?done=start"
    await state_of(live, batch_id, "done")
    assert await audited(live, batch_id) == ["startBatch", "createBatch"]
    late = await sent(live, start, {**form, "key": "console:other", "count": "2"})
    assert late.status_code == 409 and "start needs ready or approved" in late.text


async def test_a_running_batch_is_paused_resumed_and_canceled(live: Live) -> None:
    await failures(live, 3)
    await fill(live, 1_000)
    batch_id = await made(live, kind="redrive", filter={"state": "failed"}, rate=1, maxOpen=1)
    ready = await state_of(live, batch_id, "ready")
    started = await live.call("POST", f"/ext/batches/{batch_id}/start", {"hash": ready.hash})
    assert started.status_code == 200
    place = f"{PATH}/{batch_id}"
    answer = await sent(live, f"{place}/pause", fields(await page(live, place), f"{place}/pause"))
    assert answer.headers["location"] == f"{place}?done=pause"
    await state_of(live, batch_id, "paused")
    text = await page(live, place)
    links = {each.rpartition("/")[2] for each in Parsed.of(text).links if each.startswith(f"{place}/")}
    assert links == {"resume", "cancel"} and "a person has paused it" in text
    for action in ("resume", "pause", "cancel"):
        form = fields(await page(live, f"{place}/{action}"), f"{place}/{action}")
        assert (await sent(live, f"{place}/{action}", form)).status_code == 303, action
    assert (await state_of(live, batch_id, "canceled")).ended_at is not None
    text = words(await page(live, place))
    assert "⊘ Canceled" in text and "canceled the batch was canceled first" in text
    assert (await live.http.get(f"{place}/cancel")).status_code == 200
    assert f'action="{place}/cancel"' not in await page(live, f"{place}/cancel"), "it is over"


async def test_its_runs_are_listed_by_state_with_how_they_stand_now(live: Live) -> None:
    """A run that failed again in the batch, and that a person has redriven since, shows that it succeeded."""
    first, second = await failures(live, 2)
    await fill(live, 200)
    batch_id = await made(live, kind="redrive", instances=[first, second])
    ready = await state_of(live, batch_id, "ready")
    await live.http.post(
        "/api/ledger/v2/main/transactions",
        json={"postings": [{"source": "purse", "destination": "world", "amount": 100, "asset": "EUR/2"}]},
    )
    await live.call("POST", f"/ext/batches/{batch_id}/start", {"hash": ready.hash})
    await state_of(live, batch_id, "done")
    (lost,) = [each for each in await live.journal.batch_items(batch_id, 0, 9) if each.state != "succeeded"]
    text = await page(live, f"{PATH}/{batch_id}?state={lost.state}")
    assert "1 shown, in their order" in text and f"/console/runs/{lost.made_id or lost.instance_id}" in text
    assert "Completed" not in words(text).partition("did they succeed?")[2]
    await fill(live, 1_000)
    response = await live.call("POST", f"/ext/instances/{lost.made_id or lost.instance_id}/redrive", {"reason": "r"})
    after = response.json()["data"]["id"]
    await live.engine.ended(after, 10)
    text = await page(live, f"{PATH}/{batch_id}?state={lost.state}")
    assert "✓ Completed as" in words(text) and after[-12:] in text
    assert "No item is in this state" in words(await page(live, f"{PATH}/{batch_id}?state=pending"))


async def test_pages_walk_through_all_items_and_batches_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.console.batches.ROWS", 2)
    ids = await failures(live, 5)
    batch_ids = [await made(live, kind="redrive", instances=ids) for _ in range(3)]
    seen: list[str] = []
    path = f"{PATH}/{batch_ids[0]}"
    while path:
        text = await page(live, path)
        seen += re.findall(r"/console/runs/([0-9a-f-]{36})", text.partition('id="items"')[2])
        more = re.findall(r'href="(\?after=\d+)" rel="next"', text)
        path = f"{PATH}/{batch_ids[0]}{more[0]}" if more else ""
    assert seen == ids
    first = await page(live, PATH)
    (older,) = re.findall(r'href="([^"]+)" rel="next"', first)
    rows = [re.findall(rf'<a href="{PATH}/([0-9a-f-]{{36}})"', text) for text in (first, await page(live, older))]
    assert rows == [batch_ids[:0:-1], batch_ids[:1]]


async def test_without_any_the_list_says_where_to_begin(live: Live) -> None:
    text = await page(live, PATH)
    assert "No batch." in words(text) and "/console/runs?status=failed" in Parsed.of(text).links


async def test_a_refused_form_keeps_what_was_typed_and_makes_nothing(live: Live) -> None:
    await failures(live, 1)
    form = fields(await page(live, f"{PATH}/new"), f"{PATH}/new")
    good = {**form, "state": "failed", "reason": "r"}
    for change, said in (
        ({"reason": ""}, "reason: "),
        ({"rate": "fast"}, "rate: must be a whole number"),
        ({"rate": "\u00b2"}, "rate: must be a whole number"),
        ({"stage": "0"}, "filter.stage: "),
        ({"startedAfter": "yesterday"}, "filter.startedAfter: "),
        ({"endedBefore": "2024-13-01T00:00"}, "filter.endedBefore: "),
        ({"workflow": "none"}, "filter.workflow: there is no workflow"),
        ({"kind": "run"}, "runs: is required"),
        ({"kind": "<b>"}, "kind: must be one of"),
        ({"failure": "bad"}, "filter.failure: "),
        ({"state": "aborted"}, "filter: no instance fits"),
        ({"state": ""}, "filter: is empty"),
        ({"instances": "a b"}, "has either filter or instances"),
    ):
        refused = await sent(live, f"{PATH}/new", {**good, **change})
        assert refused.status_code == 400 and "Nothing was done." in refused.text, change
        assert said in words(refused.text), (change, words(refused.text))
        ((name, value),) = change.items()
        assert html.escape(value) in refused.text or name in ("kind", "state", "failure"), change
    assert "No batch." in words(await page(live, PATH))
    places = {(await sent(live, f"{PATH}/new", good)).headers["location"] for _ in range(3)}
    assert len(places) == 1, "a double click makes one"


async def test_runs_can_be_chosen_by_id_and_by_the_stage_as_people_count(live: Live) -> None:
    one, _ = await failures(live, 2)
    form = fields(await page(live, f"{PATH}/new?kind=redrive&instances={one}"), f"{PATH}/new")
    answer = await sent(live, f"{PATH}/new", {**form, "instances": f"\n {one.upper()} \n", "reason": "r"})
    batch_id = urlsplit(answer.headers["location"]).path.rpartition("/")[2]
    assert [each.instance_id for each in await live.journal.batch_items(batch_id, 0, 9)] == [one]
    form = fields(await page(live, f"{PATH}/new"), f"{PATH}/new")
    answer = await sent(live, f"{PATH}/new", {**form, "stage": "1", "startedAfter": "2024-05-01T10:00", "reason": "r"})
    batch_id = urlsplit(answer.headers["location"]).path.rpartition("/")[2]
    text = words(await page(live, f"{PATH}/{batch_id}"))
    assert "in stage 1, started at or after 2024-05-01 10:00:00.000 UTC" in text and "Redrive 2 runs" in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("?before=x", 400), ("?before=99999999999999999999.a", 400), ("/none", 404), ("/none/start", 404)),
        *(("/new?since=9d", 400), ("/new?kind=%3Cb%3E", 200), ("/BATCH?state=lost", 400), ("/BATCH?after=x", 400)),
        *(("/BATCH?after=99999999999", 400), ("/BATCH?after=%C2%B2", 400), ("/BATCH/delete", 404)),
        ("/BATCH?done=%3Cb%3E", 200),
    ],
)
async def test_what_a_person_types_is_never_an_error_of_the_server(live: Live, path: str, status: int) -> None:
    batch_id = await made(live, kind="redrive", instances=["a"]) if "BATCH" in path else ""
    await page(live, PATH + path.replace("BATCH", batch_id), status)


async def test_what_is_not_there_takes_no_form(live: Live) -> None:
    batch_id = await made(live, kind="redrive", instances=["a"])
    token = fields(await page(live, f"{PATH}/new"), f"{PATH}/new")["token"]
    for path in ("none/start", f"{batch_id}/delete"):
        assert (await sent(live, f"{PATH}/{path}", {"token": token, "key": "console:1"})).status_code == 404
    assert (await sent(live, f"{PATH}/{batch_id}/cancel", {"token": token, "key": "mine"})).status_code == 400
    assert (await sent(live, f"{PATH}/{batch_id}/cancel", {"token": "x", "key": "console:1"})).status_code == 403


async def test_hostile_texts_stay_texts(live: Live) -> None:
    wanted = {"kind": "redrive", "instances": ["harmless"], "reason": "harmless"}
    safe_id = await made(live, **wanted)
    await state_of(live, safe_id, "ready")
    safe = Parsed.of(await page(live, f"{PATH}/{safe_id}")).shape
    new = Parsed.of(await page(live, f"{PATH}/new?" + urlencode({"workflow": "x", "code": "x", "instances": "x"})))
    for value in VALUES:
        text = f"x{value}"[:250]
        printable = "".join(each if "!" <= each <= "~" else "~" for each in text)
        batch_id = await made(live, **{**wanted, "reason": text, "instances": [printable]})
        await state_of(live, batch_id, "ready")
        parsed = Parsed.of(await page(live, f"{PATH}/{batch_id}"))
        assert parsed.shape == safe, value
        query = urlencode({"workflow": text, "code": text, "instances": text})
        assert Parsed.of(await page(live, f"{PATH}/new?{query}")).shape == new.shape, value
    assert "script" not in {tag for tag, _ in Parsed.of(await page(live, PATH)).shape}


async def test_a_rule_asks_for_two_persons_who_have_not_made_it(tmp_path: Path) -> None:
    """The start is offered only then; the person who made it cannot approve it."""
    authenticator = authenticator_of(Documents(published("k1")), SystemClock())
    async with served(tmp_path, authenticator=authenticator, policy=Policy(approval_rules=RULES)) as server:
        server.http.headers["authorization"] = f"Bearer {signed(claims_of(scope='ledger:read ledger:write'))}"
        await funded(server, 10_000)
        people = People(server)
        run = {"workflowID": await people.workflow(PAYING), "variables": {"user": "jane", "amount": "100"}}
        async with in_background(BatchDriver(server.ports).run, SystemClock()):
            body = {"kind": "run", "reason": "payday", "runs": [run] * 2}
            batch_id = (await people.data("jane", "POST", "/ext/batches", body))["id"]
            await state_of(server, batch_id, "ready")
            place = f"{PATH}/{batch_id}"

            async def get(by: str, path: str) -> str:
                cookie = {"cookie": f"{COOKIE}={signed(claims_of(sub=by, scope=ALL))}"}
                response = await server.http.get(path, headers=cookie)
                assert response.status_code == 200
                return response.text

            async def post(by: str, action: str, **change: str) -> httpx2.Response:
                cookie = {"cookie": f"{COOKIE}={signed(claims_of(sub=by, scope=ALL))}"}
                text = (await server.http.get(f"{place}/{action}", headers=cookie)).text
                form = {**fields(text, f"{place}/{action}"), **change}
                return await server.http.post(f"{place}/{action}", data=form, headers=cookie, follow_redirects=False)

            text = await get("joe", place)
            assert "0 of 2, by rule big" in words(text) and f"{place}/approve" in text and "/start" not in text
            own = await post("jane", "approve", reason="mine")
            assert own.status_code == 403 and "Nothing was done." in own.text
            for by in ("paul", "eve"):
                answer = await post(by, "approve", reason="seen")
                assert (answer.status_code, answer.headers["location"]) == (303, f"{place}?done=approve"), answer.text
            text = words(await get("joe", place))
            assert "2 of 2, by rule big" in text and "by paul," in text and "seen" in text
            assert (await post("joe", "start", count="2")).status_code == 303
            done = await state_of(server, batch_id, "done")
            assert done.starter == "joe"
