"""Every screen, as a browser without scripts gets it: what it says of runs in each state, and what it refuses."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import urlencode

import pytest

from headrace.console import words
from headrace.console.rendering import assets
from headrace.console.site import HEADERS
from headrace.console.stages import WAITING
from headrace.errors import Unavailable
from tests.console.conftest import Parsed, Runs

VIEWS = ("overview", "postings", "history", "audit", "raw")


async def test_home_shows_what_failed_and_leads_to_it(runs: Runs) -> None:
    page = await runs.page("/")
    assert f"/console/runs/{runs.ids['failed']}" in page.links
    assert "1run has not ended" in page.text and "INSUFFICIENT_FUND" in page.text
    assert "1failed in 24 hours25.00\u00a0EUR" in page.text and "/console/runs?status=failed&since=24h" in page.links
    assert "No effect has an unknown outcome." in page.text and "No run is being retried." in page.text
    assert (await runs.live.http.get("/console")).status_code == 200


async def test_runs_are_listed_newest_first_with_what_they_wait_for(runs: Runs) -> None:
    page = await runs.page("/runs")
    listed = [link.rpartition("/")[2] for link in page.links if re.search(r"/runs/[0-9a-f]{8}-", link)]
    assert listed == list(reversed(runs.ids.values()))
    for text in ("event go", "stage 2 of 2", "INSUFFICIENT_FUND", "order: A4102", "4 shown, newest first"):
        assert text in page.text, text


@pytest.mark.parametrize("status", ["succeeded", "failed", "waiting", "aborted", "running", "retrying", "attention"])
async def test_a_tab_shows_the_runs_of_its_status_only(runs: Runs, status: str) -> None:
    page = await runs.page(f"/runs?status={status}")
    listed = [link.rpartition("/")[2] for link in page.links if re.search(r"/runs/[0-9a-f]{8}-", link)]
    assert listed == ([runs.ids[status]] if status in runs.ids else [])
    assert ("No run matches." in page.text) == (status not in runs.ids)


async def test_the_search_finds_a_variable_and_an_id_and_says_what_it_understood(runs: Runs) -> None:
    page = await runs.page("/runs?q=order%3DA4102")
    found = {link.rpartition("/")[2] for link in page.links if re.search(r"/runs/[0-9a-f]{8}-", link)}
    assert found == {runs.ids["succeeded"], runs.ids["waiting"]}
    assert "whose variable order is exactly A4102" in page.text
    assert "No run matches." in (await runs.page("/runs?q=order%3DA41")).text
    for text, names in {
        "A4102": {"succeeded", "waiting"},
        "shop:1": {"succeeded"},
        "shop:*": {"succeeded", "failed"},
        runs.ids["failed"][-12:]: {"failed"},
        f"headrace:{runs.ids['failed']}:0:0": {"failed"},
        "A4": set[str](),
    }.items():
        listed = await runs.page(f"/runs?{urlencode({'q': text})}")
        ids = {link.rpartition("/")[2] for link in listed.links if re.search(r"/runs/[0-9a-f]{8}-", link)}
        assert ids == {runs.ids[name] for name in names}, text
    assert "more than 256 characters" in (await runs.page(f"/runs?q=x%3D{'a' * 300}")).text
    moved = await runs.live.http.get(f"/console/runs?q={runs.ids['failed'].upper()}", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (303, f"/console/runs/{runs.ids['failed']}")


async def test_pages_walk_through_all_runs_once(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.console.runs.ROWS", 3)
    first = await runs.page("/runs")
    (older,) = [link for link in first.links if "before=" in link]
    second = await runs.page(older.removeprefix("/console"))
    listed = [
        link.rpartition("/")[2] for page in (first, second) for link in page.links if re.search(r"/runs/[0-9a-f]", link)
    ]
    assert listed == list(reversed(runs.ids.values()))
    assert not [link for link in second.links if "before=" in link]


@pytest.mark.parametrize("query", ["status=lost", "since=9d", "before=x", "before=99999999999999999999.a"])
async def test_a_bad_filter_is_a_page_that_names_it(runs: Runs, query: str) -> None:
    page = await runs.page(f"/runs?{query}", 400)
    assert f"{query.partition('=')[0]}: " in page.text


async def test_a_run_says_in_words_how_it_stands(runs: Runs) -> None:
    for name, text in {
        "succeeded": "Its stage is done,",
        "failed": "in stage 1 of 2: ",
        "waiting": "Waits for event go since",
        "aborted": ": the shop has closed.",
    }.items():
        page = await runs.run(name)
        assert text in " ".join(page.text.split()), name
        status = WAITING if name == "waiting" else words.STATUS_WORDS[name]
        assert f"{status.sign}{status.word}" in page.text


async def test_the_money_of_a_run_is_accounted_for(runs: Runs) -> None:
    page = await runs.run("succeeded")
    for text in ("Came in", "25.00\u00a0EUR", "✓ all accounted for", "shop:1"):
        assert text in page.text, text
    assert [tag for tag, names in page.shape if "viewbox" in names].count("svg") == 1
    page = await runs.run("failed")
    assert "refused" in page.text and "will not be made" not in page.text
    assert "This run moves no money." in (await runs.run("aborted")).text


async def test_postings_have_running_balances_and_can_be_downloaded(runs: Runs) -> None:
    page = await runs.run("succeeded", "?view=postings")
    assert "Created transaction: " in page.text and page.text.count("25.00\u00a0EUR") == 2
    response = await runs.live.http.get(f"/console/runs/{runs.ids['succeeded']}/postings.csv")
    assert response.headers["content-disposition"].startswith('attachment; filename="run-')
    head, row = csv.reader(io.StringIO(response.text))
    assert dict(zip(head, row, strict=True)) == {
        "stage": "1",
        "from": "outside",
        "from_place": "world of main",
        "to": "shop:1",
        "to_place": "main",
        "amount": "2500",
        "asset": "EUR/2",
        "state": "booked",
        "note": row[-1],
    }


async def test_history_audit_and_raw_show_what_lies_behind(runs: Runs) -> None:
    history = await runs.run("failed", "?view=history")
    for text in ("CreateTransaction", "POST /", f"headrace:{runs.ids['failed']}:0:", "INSUFFICIENT_FUND"):
        assert text in history.text, text
    audit = await runs.run("aborted", "?view=audit")
    assert "abortInstance" in audit.text and "anonymous" in audit.text
    raw = await runs.run("failed", "?view=raw")
    assert f"headrace instances describe {runs.ids['failed']}" in raw.text and '"pay out"' in raw.text


@pytest.mark.parametrize("path", ["/nowhere", "/runs/none", "/runs/none/postings.csv", "/runs/a/b/c", "/static/x.css"])
async def test_what_is_not_there_is_not_found(runs: Runs, path: str) -> None:
    response = await runs.live.http.get(f"/console{path}")
    assert response.status_code == 404
    assert response.headers["content-security-policy"] == HEADERS["content-security-policy"]


async def test_an_unknown_view_is_not_found(runs: Runs) -> None:
    await runs.page(f"/runs/{runs.ids['failed']}?view=money", 404)


async def test_every_page_has_the_headers_and_no_script(runs: Runs) -> None:
    policy = dict(rule.split(" ", 1) for rule in HEADERS["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and set(policy.values()) == {"'none'", "'self'"}
    for path in ("/", "/runs", *(f"/runs/{runs.ids['failed']}?view={view}" for view in VIEWS)):
        response = await runs.live.http.get(f"/console{path}")
        assert {name: response.headers[name] for name in HEADERS} == HEADERS, path
        assert "<script" not in response.text and "style=" not in response.text
        for link in (each for each in Parsed.of(response.text).links if each.startswith("/console/static/")):
            assert (await runs.live.http.get(link)).status_code == 200


async def test_static_files_are_kept_for_ever(runs: Runs) -> None:
    for name, (media_type, content) in assets().items():
        response = await runs.live.http.get(f"/console/static/{name}")
        assert (response.content, response.headers["content-type"]) == (content, media_type)
        assert "immutable" in response.headers["cache-control"]
    assert len(assets()) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_written(runs: Runs, method: str) -> None:
    response = await runs.live.http.request(method, f"/console/runs/{runs.ids['failed']}")
    assert response.status_code == 405


async def test_a_journal_that_is_away_is_a_page(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(runs.live.journal, "summaries_after", away)
    assert "the disk is full" in (await runs.page("/runs", 503)).text


async def test_a_bug_is_a_page_with_the_id_of_its_log_line(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(runs.live.journal, "summaries_after", broken)
    page = await runs.page("/runs", 500)
    assert "Its log has the reason under" in page.text and "secret" not in page.text


async def test_a_page_of_another_site_gets_nothing(runs: Runs) -> None:
    """By a name of its own that leads to this machine (DNS rebinding)."""
    response = await runs.live.http.get("/console/runs", headers={"host": "evil.example.com"})
    assert response.status_code == 403 and "A4102" not in response.text


async def test_only_this_machine_is_shown_anything(runs: Runs) -> None:
    """Also where the server listens to the network without authentication."""
    found: list[int] = []

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])  # pyright: ignore[reportArgumentType]

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    for host in ("127.0.0.1", "::1", "192.0.2.7", "testclient"):
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/console/runs",
            "query_string": b"",
            "headers": [],
            "client": (host, 1),
            "server": ("192.0.2.1", 80),
            "scheme": "http",
            "root_path": "",
        }
        await runs.live.app(scope, receive, send)
    assert found == [200, 200, 403, 403]


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        *((140_000, "140 ms"), (12_345_678, "12.3 s"), (240_000_000, "4 min"), (12_000_000_000, "3 h 20 min")),
        *((7_200_000_000, "2 h"), (86_400_000_000, "1 day"), (900_000_000_000, "10 days")),
    ],
)
def test_durations_are_short(microseconds: int, text: str) -> None:
    assert words.duration(microseconds) == text
    assert words.ago(0, microseconds) == f"{text} ago"
    assert words.ago(microseconds, 0) == f"in {text}"
