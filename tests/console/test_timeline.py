"""The timeline of a run and the inspector of its stages: what they say, where they lead, and what they refuse."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest

from headrace.console import inspector, stages, words
from headrace.journal.records import ActivityRow, ResolutionRow, Stage
from tests.api.conftest import WAITING
from tests.console.conftest import WORLD, Parsed, Runs, pays, started

EMPTY = {"account": {"id": "empty", "ledger": "main"}}


def said(page: Parsed) -> str:
    return " ".join(page.text.split())


async def arrived(runs: Runs, instance_id: str, stage: int) -> None:
    """Wait until the run has begun a stage, counted from 1."""
    async with asyncio.timeout(10):
        while len((await runs.live.call("GET", f"/instances/{instance_id}/history")).json()["data"]) < stage:
            await asyncio.sleep(0.005)


def changed(runs: Runs, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let each effect that the journal has be read with these changes."""
    read = runs.live.journal.activities

    async def activities(instance_id: str, stage: int) -> list[ActivityRow]:
        return [msgspec.structs.replace(row, **changes) for row in await read(instance_id, stage)]

    monkeypatch.setattr(runs.live.journal, "activities", activities)


async def redriven(runs: Runs) -> tuple[str, str]:
    """A run that failed in its second stage, and the one that continues it, which waits in the third."""
    live = runs.live
    run = await started(live, {"stages": [pays(WORLD, "a"), pays(EMPTY, "b"), *WAITING["stages"]]})
    await live.engine.ended(run, 10)
    await live.engine.ended(await started(live, {"stages": [pays(WORLD, "empty")]}), 10)
    response = await live.call("POST", f"/ext/instances/{run}/redrive", {"reason": "it has money now"})
    assert response.status_code == 201, response.text
    after = response.json()["data"]["id"]
    await arrived(runs, after, 3)
    return run, after


async def test_each_stage_is_a_row_in_words_with_its_effects_beneath(runs: Runs) -> None:
    page = await runs.run("waiting")
    text = said(page)
    for part in (
        "1. Send 25.00 EUR from world to held",
        "Send 25.00 EUR from account world to account held (ledger main) Created transaction: ",
        "2. Wait for event go waits for event go",
        " so far",
        "The clock is folded",
    ):
        assert " ".join(part.split()) in text, part
    assert text.index("1. Send") < text.index("Created transaction") < text.index("2. Wait")
    svgs = [names for tag, names in page.shape if tag == "svg" and "viewbox" not in names]
    assert len(svgs) == 1 + 3 and all("aria-hidden" in names and "style" not in names for names in svgs)
    assert [tag for tag, _ in page.shape].count("circle") == 1, "the wait goes on"


async def test_a_failed_run_says_why_once_and_what_it_did_not_reach(runs: Runs) -> None:
    page = await runs.run("failed")
    assert "not reached" in page.text and "planned" not in page.text and "ended" in page.text
    row = page.text[page.text.index("1. Send") :]
    assert row.count("INSUFFICIENT_FUND") == 1


async def test_a_delay_is_scheduled_and_says_until_when(runs: Runs) -> None:
    run = await started(runs.live, {"stages": [{"delay": {"duration": "7d"}}, pays(WORLD, "a")]})
    await arrived(runs, run, 1)
    text = said(await runs.page(f"/runs/{run}"))
    instance = await runs.live.journal.instance(run)
    assert instance is not None
    end = words.stamp(instance.stages[0].started_at + 7 * 86_400_000_000)
    assert "◷Scheduled Waits for the end of a delay since" in text
    assert text.count(f"until {end} UTC (in 6 days)") == 2
    assert "2. Send 25.00 EUR from world to a planned" in text


async def test_a_wait_with_a_limit_is_waiting_and_says_until_when(runs: Runs) -> None:
    run = await started(runs.live, {"stages": [{"wait_event": {"event": "go", "timeout": "3d"}}]})
    await arrived(runs, run, 1)
    text = said(await runs.page(f"/runs/{run}"))
    assert "◔Waiting Waits for event go since" in text and "1. Wait for event go, 3d at most" in text
    assert "UTC (in 2 days)" in text


@pytest.mark.parametrize(
    ("changes", "text", "style"),
    [
        ({}, "", "booked"),
        ({"terminated_at": None, "output": None}, "", "moving open"),
        (
            {"terminated_at": None, "output": None, "attempt": 3, "last_failure": "503", "next_execution_at": 2**53},
            "3 attemptslast failure: 503next try in ",
            "retrying open",
        ),
        (
            {"terminated_at": None, "output": None, "last_failure": "503", "needs_attention": True},
            "last failure: 503its outcome is unknown: a person has to decide",
            "unknown open",
        ),
        ({"error": "REFUSED: no", "output": None}, "REFUSED: no", "refused"),
    ],
)
async def test_an_effect_says_how_it_stands(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], text: str, style: str
) -> None:
    changed(runs, monkeypatch, **changes)
    response = await runs.live.http.get(f"/console/runs/{runs.ids['succeeded']}")
    assert text in said(Parsed.of(response.text))
    assert f'<rect class="effect {style}"' in response.text
    assert ("attempts" in response.text) == ("attempt" in changes)


async def test_the_clock_unfolds_and_the_chosen_stage_stays(runs: Runs) -> None:
    page = await runs.run("waiting", "?stage=2")
    assert "?stage=2&clock=linear" in page.links
    page = await runs.run("waiting", "?stage=2&clock=linear")
    assert "True to scale" in page.text and "?stage=2" in page.links
    assert "?stage=1&clock=linear#inspector" in page.links
    assert said(page).count("Stage 2 of 2") == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"stage={text}", "stage") for text in ("0", "3", "-1", "x", "1.5", "%D9%A1", "9" * 5000)),
        ("clock=sideways", "clock"),
        ("rows=none", "rows"),
    ],
)
async def test_what_cannot_be_shown_names_its_field(runs: Runs, query: str, field: str) -> None:
    assert f"{field}: " in (await runs.page(f"/runs/{runs.ids['waiting']}?{query}", 400)).text


async def test_the_inspector_shows_the_definition_the_input_and_each_call(runs: Runs) -> None:
    run = await started(runs.live, {"stages": [pays(WORLD, "shop:${order}"), *WAITING["stages"]]}, {"order": "A4104"})
    await arrived(runs, run, 2)
    page = await runs.page(f"/runs/{run}?stage=1")
    text = said(page)
    shown = text[text.index("Stage 1 of 2") :]
    for part in (
        "Send 25.00 EUR from world to shop:A4104",
        "RequestPOST /v2/main/transactions",
        f"Idempotency keyheadrace:{run}:0:0",
        "Attempts1",
        '"id": "shop:A4104"',
        '"id": "shop:${order}"',
        '"destination": "shop:A4104"',
        '"reverted": false',
    ):
        assert part in shown, part
    assert shown.index("Request body") < shown.index("Response") < shown.index("Input") < shown.index("Definition")
    assert "?stage=2#inspector" in page.links and "?" in page.links
    assert "Next stage" in shown and "Previous stage" not in shown
    page = await runs.page(f"/runs/{run}?stage=2")
    assert "Previous stage" in page.text and "Next stage" not in page.text and "It has called no service." in page.text


async def test_the_inspector_of_a_stage_that_was_not_reached_has_its_definition(runs: Runs) -> None:
    text = said(await runs.run("failed", "?stage=2"))
    shown = text[text.index("Stage 2 of 2") :]
    assert "Begannot reached" in shown and '"event": "go"' in shown and " Input " not in shown


async def test_the_inspector_shows_the_verdict_of_a_person(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.ids["succeeded"]

    async def resolutions(_: str) -> list[ResolutionRow]:
        evidence = '{"text": "line 7 of the statement"}'
        return [ResolutionRow(run, 0, 0, "booked", evidence, "the bank has paid", "maria", 1_780_000_000_000_000)]

    monkeypatch.setattr(runs.live.journal, "resolutions", resolutions)
    text = said(await runs.page(f"/runs/{run}?stage=1"))
    assert "Verdictbooked, by maria, 2026-05-28 20:26:40.000 UTC: the bank has paid" in text
    assert '"text": "line 7 of the statement"' in text


async def test_a_verdict_about_an_effect_of_an_earlier_run_stays_with_it(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, after = await redriven(runs)

    async def resolutions(instance_id: str) -> list[ResolutionRow]:
        found = [ResolutionRow(run, 0, 0, "booked", "{}", "seen", "maria", 0)]
        return [row for row in found if row.instance_id == instance_id]

    monkeypatch.setattr(runs.live.journal, "resolutions", resolutions)
    assert "Verdictbooked, by maria" in said(await runs.page(f"/runs/{after}?stage=1"))
    assert "Verdict" not in said(await runs.page(f"/runs/{after}?stage=2"))


async def test_raw_shows_a_long_definition_whole(runs: Runs) -> None:
    run = await started(runs.live, {"stages": [{"wait_event": {"event": f"event-{n}"}} for n in range(300)]})
    text = (await runs.page(f"/runs/{run}?view=raw")).text
    assert len(text) > inspector.MAX_CHARACTERS and '"event-299"' in text and "more characters" not in text


async def test_a_body_that_is_no_json_or_is_long_is_shown_as_far_as_it_goes(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert inspector.pretty(b"\xff{") == "\ufffd{"
    assert inspector.pretty('{"a":12345678901234567890123}') == '{\n  "a": 12345678901234567890123\n}'
    changed(runs, monkeypatch, request_body=b"x" * 20_007)
    text = (await runs.run("succeeded", "?stage=1")).text
    assert "x" * 20_000 + "\n… and 7 more characters" in text and "x" * 20_001 not in text


async def test_lines_of_the_flow_lead_to_their_stage_and_the_chosen_one_is_marked(runs: Runs) -> None:
    response = await runs.live.http.get(f"/console/runs/{runs.ids['waiting']}?stage=1")
    assert '<a href="?stage=1#inspector" class="edge booked selected">' in response.text
    response = await runs.live.http.get(f"/console/runs/{runs.ids['waiting']}?stage=2&clock=linear")
    assert '<a href="?stage=1&amp;clock=linear#inspector" class="edge booked">' in response.text


async def test_lines_on_the_page_of_an_undo_lead_nowhere_as_its_stages_are_others(runs: Runs) -> None:
    live, run = runs.live, runs.ids["succeeded"]
    response = await live.call("POST", f"/ext/instances/{run}/undo", {"reason": "the wrong shop"})
    assert response.status_code == 201, response.text
    undo = response.json()["data"]["id"]
    await live.engine.ended(undo, 10)
    page = await live.http.get(f"/console/runs/{undo}")
    assert '<g class="edge undone' in page.text and 'class="edge' not in page.text.replace('<g class="edge', "")
    text = said(Parsed.of(page.text))
    assert "1. Revert transaction " in text and "↶ undone" not in text
    page = await live.http.get(f"/console/runs/{run}")
    assert page.text.count("↶ undone by an undo of this case") == 1 and '<rect class="effect undone"' in page.text


async def test_stages_that_an_earlier_run_has_made_say_so(runs: Runs) -> None:
    run, after = await redriven(runs)
    text = said(await runs.page(f"/runs/{after}?stage=1"))
    assert text.count("made by an earlier run of this case") == 1
    assert "1. Send 25.00 EUR from world to a made by" in text and "UTC, in an earlier run of this case" in text
    assert f"headrace:{run}:0:0" in text


async def test_many_ended_stages_are_one_row_that_can_be_opened(runs: Runs) -> None:
    run = await started(runs.live, {"stages": [*(pays(WORLD, f"a:{n}") for n in range(31)), *WAITING["stages"]]})
    await arrived(runs, run, 32)
    page = await runs.page(f"/runs/{run}")
    assert "31 stages have ended, with 31 effects" in page.text and "?rows=all" in page.links
    assert "?stage=32#inspector" in page.links and "1. Send" not in page.text
    page = await runs.page(f"/runs/{run}?rows=all")
    assert "stages have ended" not in page.text and "?stage=1&rows=all#inspector" in page.links
    assert len(re.findall(r"\d+\. Send 25.00", page.text)) == 31
    page = await runs.page(f"/runs/{run}?stage=3")
    assert "30 stages have ended, with 30 effects" in page.text and "3. Send" in page.text


@pytest.mark.parametrize(
    ("keyword", "body", "text"),
    [
        ("delay", {"duration": "7d"}, "Hold for 7d"),
        ("delay", {"until": "2030-01-01T00:00:00Z"}, "Hold until 2030-01-01T00:00:00Z"),
        ("wait_event", {"event": "go"}, "Wait for event go"),
        ("approve", {}, "Wait for 1 approval"),
        ("approve", {"title": "Pay", "approvals": 2, "timeout": "3d"}, "Wait for 2 approvals: Pay, 3d at most"),
        (
            "update",
            {"account": {"id": "a", "ledger": "main", "metadata": {"x": "1", "y": "2"}}},
            "Mark a: x = 1, y = 2",
        ),
        (
            "send",
            {
                "source": {"wallet": {"id": "", "name": "jane", "balance": "coupons"}},
                "destination": {"payment": {"psp": "stripe", "type": "PAYOUT"}},
                "amount": {"amount": "2500", "asset": "EUR/2"},
            },
            "Send 25.00 EUR from wallet jane (coupons) to stripe (payout)",
        ),
        (
            "send",
            {
                "source": {"payment": {"id": "P7"}},
                "destination": {"wallet": {"id": "w", "balance": "main"}},
                "amount": {"amount": "${sum}", "asset": "${asset}"},
            },
            "Send ${sum} ${asset} from payment P7 to wallet w",
        ),
        ("revert", {"transaction": {"id": 7, "ledger": "main"}}, "Revert transaction 7 of ledger main"),
        ("send", None, "Send nothing from payment  to payment "),
        ("later", {"x": 1}, "later"),
        ("", None, "A stage without a keyword"),
    ],
)
def test_a_stage_is_a_sentence(keyword: str, body: Any, text: str) -> None:
    assert stages.sentence(keyword, body) == text


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ('{"until":"1970-01-01T00:00:01Z"}', 1_000_000),
        ('{"duration":"2s"}', 2_000_007),
        ('{"event":"x","timeout":"1ms"}', 1_007),
        ('{"event":"x"}', None),
        ('{"duration":"soon"}', None),
    ],
)
def test_the_end_of_a_wait_is_counted_from_the_start_of_its_stage(body: str, at: int | None) -> None:
    assert stages.until(Stage("i", 0, "delay", body, 7)) == at


def test_an_approval_ends_when_its_gate_does() -> None:
    stage = Stage("i", 0, "delay", '{"duration":"2s"}', 7, gate="{}", deadline_at=99)
    assert stages.until(stage) == 99
    assert stages.until(msgspec.structs.replace(stage, gate_passed_at=50)) == 2_000_007
