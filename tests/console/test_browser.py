"""The pages in the distribution's Chromium: accessible at three widths in both schemes, and silent.

`axe-core` looks for what keeps people with a disability out; any message of the console, such as one of the content
security policy, fails.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from docs.generator.examples import World
from headrace.api.app import TABLE
from tests.conformance import programs
from tests.console.conftest import WORLD, pays
from tests.console.hostile import VALUES
from tests.support.server import Server

(NEEDS_A_DECISION,) = (row for row in TABLE if row.operation_id == "listAttention")
WIDTHS = (390, 1024, 1440)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: the console is not looked at in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: the console's accessibility is not checked")
    folder = tmp_path_factory.mktemp("axe") / "axe"
    shutil.copytree(Path(__file__).parent / "axe", folder, ignore=shutil.ignore_patterns("node_modules"))
    programs.build(["npm", "ci", "--prefer-offline", "--no-update-notifier"], folder)
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture(scope="module")
def world(shared_server: Server) -> Iterator[World]:
    """A run that waits, and one with an effect that needs a decision."""
    world = World.made(shared_server)
    waiting = world.ids["INSTANCE"]
    world.prepare(NEEDS_A_DECISION)
    world.ids["WAITING"] = waiting
    wanted = {"kind": "abort", "instances": [waiting, "none"], "reason": "the shop has closed"}
    world.ids["BATCH"] = shared_server.post("/api/orchestration/ext/batches", wanted).json["data"]["id"]
    plan = {"definition": {"stages": [pays(WORLD, "shop:9")]}}
    world.ids["PLAN"] = shared_server.post("/api/orchestration/ext/plans", plan).json["data"]["id"]
    workflow = {"name": "w", "stages": [pays(WORLD, "shop:9")]}
    world.ids["WORKFLOW"] = shared_server.post("/api/orchestration/workflows", workflow).json["data"]["id"]
    trigger = {"event": "E", "workflowID": world.ids["WORKFLOW"], "filter": "event.a == 1", "vars": {"x": "event.b"}}
    world.ids["TRIGGER"] = shared_server.post("/api/orchestration/triggers", trigger).json["data"]["id"]
    yield world
    world.close()


def paths(world: World) -> list[str]:
    run, decision = world.ids["WAITING"], world.ids["INSTANCE"]
    views = ("overview", "postings", "history", "audit", "raw")
    return [
        "/console/",
        "/console/runs",
        "/console/runs?status=aborted",
        "/console/nowhere",
        "/console/system",
        "/console/audit",
        "/console/batches",
        "/console/batches/new?kind=redrive",
        "/console/decisions",
        "/console/workflows",
        f"/console/workflows/{world.ids['WORKFLOW']}?against={world.ids['WORKFLOW']}",
        "/console/triggers",
        *(f"/console/triggers/{world.ids['TRIGGER']}{end}" for end in ("", "/test")),
        *(f"/console/approvals?tab={tab}" for tab in ("mine", "open", "done")),
        f"/console/approvals/{world.ids['PLAN']}",
        "/console/plans",
        "/console/decisions?tab=done",
        f"/console/plans/{world.ids['PLAN']}/run",
        f"/console/workflows/{world.ids['WORKFLOW']}/plan",
        f"/console/runs/{run}/plan?of=undo",
        *(f"/console/batches/{world.ids['BATCH']}{action}" for action in ("", "/start", "/cancel", "/reject")),
        "/console/dead-letters",
        "/console/dead-letters/replay?publisher=none&first=1",
        f"/console/runs/{decision}",
        f"/console/runs/{decision}?stage=1",
        f"/console/runs/{decision}/decide",
        f"/console/runs/{run}?stage=2&clock=linear",
        *(f"/console/runs/{run}/{action}" for action in ("abort", "send-event", "redrive", "undo", "plan-rest")),
        *(f"/console/runs/{run}?view={view}" for view in views),
    ]


def test_every_page_is_accessible_silent_and_as_wide_as_the_window(browser: Browser, axe: str, world: World) -> None:
    found: list[str] = []

    def tell(message: Any) -> None:
        found.append(getattr(message, "text", str(message)))

    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
        page = context.new_page()
        page.on("console", tell)
        page.on("pageerror", tell)
        for path in paths(world):
            page.set_viewport_size({"width": WIDTHS[0], "height": 900})
            page.goto(world.server.url + path)
            page.evaluate(axe)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                place = f"{path} at {width} in {scheme}"
                violations: list[Any] = page.evaluate("axe.run().then(result => result.violations)")
                found += [f"{place}: {each['id']} {each['nodes'][0]['html'][:200]}" for each in violations]
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    found.append(f"{place} scrolls sideways")
        context.close()
    missing = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    assert [each for each in found if each != missing] == []
    assert found == [missing] * 2, "of the page that is not there, once in each scheme"


def test_the_policy_is_kept_and_nothing_is_fetched_elsewhere(browser: Browser, world: World) -> None:
    """With a hostile text in every field: no dialog, no message, no request to another address."""
    definition = {"name": VALUES[2], "stages": [{"wait_event": {"event": "${x}"}}]}
    workflow = world.server.post("/api/orchestration/workflows", definition).json["data"]["id"]
    start = f"/api/orchestration/workflows/{workflow}/instances"
    ids = [world.server.post(start, {"x": value[:500]}).json["data"]["id"] for value in VALUES[:30]]
    context = browser.new_context()
    page = context.new_page()
    found: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: found.append(message.text))
    page.on("dialog", lambda dialog: found.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    searched = "/console/runs?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E"
    for path in (*paths(world)[:3], searched, *(f"/console/runs/{each}" for each in ids[:6])):
        page.goto(world.server.url + path)
    context.close()
    assert found == []
    assert [url for url in asked if not url.startswith(world.server.url)] == []


def test_an_effect_of_an_aborted_run_can_be_decided(shared_server: Server) -> None:
    world = World.made(shared_server)
    world.prepare(NEEDS_A_DECISION)
    run = world.ids["INSTANCE"]
    assert shared_server.request("PUT", f"/api/orchestration/instances/{run}/abort").status == 204
    page = shared_server.get(f"/console/runs/{run}").body.decode()
    assert f'href="/console/runs/{run}/decide"' in page and f'href="/console/runs/{run}/abort"' not in page
    world.close()


def test_without_scripts_a_customer_leads_to_the_posting_in_three_clicks(browser: Browser, world: World) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{world.server.url}/console/")
    clicks = 0

    def click(name: str, *, role: Any = "link", number: int = 0) -> None:
        nonlocal clicks
        page.get_by_role(role, name=name, exact=True).nth(number).click()
        clicks += 1

    click("Runs")
    page.get_by_label("Search").fill("userID=42")
    page.get_by_label("Search").press("Enter")
    page.locator("table a").first.click()
    clicks += 1
    click("Postings")
    assert page.get_by_text("Created transaction:").count() == 1
    assert clicks <= 4
    context.close()


def test_a_line_of_the_flow_and_a_row_of_the_timeline_lead_to_the_stage(browser: Browser, world: World) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{world.server.url}/console/runs/{world.ids['WAITING']}")
    page.locator("svg.flow a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**?stage=1#inspector")
    assert page.get_by_role("heading", name="Stage 1 of").count() == 1 and page.url.endswith("?stage=1#inspector")
    page.get_by_role("link", name="Next stage").click()
    assert page.get_by_role("heading", name="Stage 2 of").count() == 1
    page.get_by_role("link", name="Show it true to scale").click()
    page.locator("table.timeline a").first.click()
    assert page.url.endswith("?stage=1&clock=linear#inspector")
    bars = page.locator("svg.bar rect")
    boxes = [bars.nth(number).bounding_box() for number in range(bars.count())]
    assert all(box is not None and box["width"] >= 0.5 for box in boxes)
    page.get_by_role("link", name="Close").click()
    assert page.locator("#inspector").count() == 0 and page.url.endswith("?clock=linear")
    context.close()


def test_a_person_decides_without_scripts(browser: Browser, world: World) -> None:
    """From Home to the decision; the run goes on, and the trail names the operation."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{world.server.url}/console/")
    page.get_by_role("link", name="needs a decision").click()
    assert page.get_by_role("heading", level=1).text_content() == "Decisions"
    page.locator(f'a[href="/console/runs/{world.ids["INSTANCE"]}/decide"]').click()
    assert page.get_by_text("CreateTransferInitiation").count() == 1
    page.get_by_role("button", name="Store the decision").click()
    assert page.get_by_role("heading", level=1).text_content(), "an empty form is not sent"
    page.get_by_label("It was booked").check()
    page.get_by_label("What you have seen").fill("line 7 of the statement")
    page.get_by_label("Reason").fill("the bank has paid it")
    page.get_by_role("button", name="Store the decision").click()
    assert page.get_by_role("status").text_content() == "✓ The decision is stored."
    page.get_by_label("Views of this run").get_by_role("link", name="Audit").click()
    assert page.get_by_text("resolveEffect").count() == 1
    context.close()


def test_four_clicks_lead_from_a_customer_to_the_posting(browser: Browser, shared_server: Server) -> None:
    """With nothing but the customer's id, from Home."""
    assert shared_server.post("/api/ledger/v2/clicks").status == 204
    target = {"account": {"id": "customers:4711", "ledger": "clicks"}}
    source = {"account": {"id": "world", "ledger": "clicks"}}
    send = {"send": {"source": source, "destination": target, "amount": {"amount": 4_200, "asset": "EUR/2"}}}
    workflow = {"name": "refund", "stages": [send]}
    workflow_id = shared_server.post("/api/orchestration/workflows", workflow).json["data"]["id"]
    shared_server.post(f"/api/orchestration/workflows/{workflow_id}/instances?wait=true", {"customer": "4711"})
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{shared_server.url}/console/")
    page.get_by_label("Main").get_by_role("link", name="Runs").click()
    page.get_by_role("searchbox").fill("4711")
    page.get_by_role("button", name="Show").click()
    page.locator("table tbody th a").first.click()
    page.get_by_label("Views of this run").get_by_role("link", name="Postings").click()
    text = " ".join((page.locator("main").text_content() or "").split())
    assert "42.00 EUR" in text and "customers:4711" in text and "booked" in text
    context.close()


def test_a_client_signs_in_with_a_real_browser(browser: Browser, start_server: Any) -> None:
    """The cookie is for safe connections, which a browser takes a loopback address for."""
    server: Server = start_server(arguments=["--auth"])
    told = dict(re.findall(r"export (HEADRACE_CLIENT_\w+)=(\S+)", server.log()))
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/console/runs?status=failed")
    page.get_by_label("Client id").fill(told["HEADRACE_CLIENT_ID"])
    page.get_by_label("Secret").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").count() == 1
    page.get_by_label("Secret").fill(told["HEADRACE_CLIENT_SECRET"])
    page.get_by_role("button", name="Sign in").click()
    assert page.url == f"{server.url}/console/runs?status=failed"
    assert page.get_by_text("No run matches.").count() == 1
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{server.url}/console/")
    assert page.get_by_role("heading", level=1).text_content() == "Sign in"
    context.close()


def test_the_keyboard_alone_is_enough(browser: Browser, world: World) -> None:
    """The first stop skips to the content, and every link can be reached and is seen to be."""
    context = browser.new_context()
    page: Page = context.new_page()
    page.goto(f"{world.server.url}/console/runs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id || location.hash") in ("main", "#main")
    seen: set[str] = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim()"))
        if page.evaluate("document.activeElement.matches('table a')"):
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/runs/*")
    assert page.get_by_role("heading", level=1).text_content() is not None
    context.close()
