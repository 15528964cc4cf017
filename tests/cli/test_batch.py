"""`headrace batch`: a preview, a yes, and progress to the end, in 80 columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli import batch as commands
from headrace.cli import display
from headrace.cli.batch_text import batch_lines, preview_lines, progress_line
from tests.cli.conftest import Ran
from tests.support.server import Server

Headrace = Callable[..., Ran]
Json = dict[str, Any]
REASON = ("--reason", "payouts of Tuesday")
WAITING = '{"name": "waits", "stages": [{"wait_event": {"event": "go"}}]}'


@pytest.fixture
def ask(headrace: Headrace, shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Headrace:
    monkeypatch.setattr(display, "terminal_width", lambda: 80)
    return lambda *arguments, **options: headrace(*arguments, "--server", shared_server.url, **options)


@pytest.fixture
def payout(shared_server: Server, tmp_path: Path, ask: Headrace) -> Callable[..., str]:
    """Makes a workflow that pays from an account of its own, with this balance. Returns the workflow's id."""

    def made(account: str, balance: int) -> str:
        shared_server.post("/api/ledger/v2/main", {})
        if balance:
            funding = {"source": "world", "destination": account, "amount": balance, "asset": "USD/2"}
            assert (
                shared_server.post("/api/ledger/v2/main/transactions", {"metadata": {}, "postings": [funding]}).status
                == 200
            )
        send = {
            "source": {"account": {"id": account, "ledger": "main"}},
            "destination": {"account": {"id": "shop", "ledger": "main"}},
            "amount": {"asset": "USD/2", "amount": "${amount}"},
        }
        file = tmp_path / f"{account}.json"
        file.write_text(json.dumps({"name": account, "stages": [{"send": send}]}))
        return ask("workflows", "create", str(file), "-q").out.strip()

    return made


def lines(*amounts: int) -> str:
    return "".join(json.dumps({"amount": str(each)}) + "\n" for each in amounts)


class Terminal:
    def isatty(self) -> bool:
        return True


def test_runs_are_previewed_and_started_with_a_yes(
    ask: Headrace, payout: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    payout("pot", 1_000)
    file = tmp_path / "runs.jsonl"
    file.write_text(lines(400, 700, 300))
    run = ("batch", "run", str(file), "--workflow", "pot", *REASON)
    unasked = ask(*run)
    assert unasked.code == 2 and "add --yes" in unasked.err and "batch start" in unasked.err
    assert "Starts 2 of 3 items" in unasked.err and "7.00 USD sent" in unasked.err
    assert "1  fails:INSUFFICIENT_FUND" in unasked.err and "Item 2 is the first whose plan fails" in unasked.err
    answers = iter((False, True))
    monkeypatch.setattr("typer.confirm", lambda *_, **__: next(answers))
    with monkeypatch.context() as patched:
        patched.setattr(commands, "sys", type("Sys", (), {"stdin": Terminal()}))
        unsure, sure = ask(*run), ask(*run)
    assert unsure.code == 1 and "nothing was started" in unsure.err
    assert sure.code == 0 and "done: 2 succeeded, 1 excluded" in sure.out
    batch_id = sure.out.partition("ID: ")[2].split()[0]
    shown = ask("batch", "show", batch_id)
    assert shown.code == 0 and "Started" in shown.out and all(len(line) <= 80 for line in shown.out.splitlines())
    found = json.loads(ask("batch", "items", batch_id, "-o", "json").out)["data"]["items"]
    assert [item["state"] for item in found] == ["succeeded", "excluded", "succeeded"]
    assert "excluded" in ask("batch", "items", batch_id, "--state", "excluded").out
    listed = ask("batch", "list")
    assert batch_id in listed.out and "canceled" in listed.out
    again = ask("batch", "start", batch_id, "--yes")
    assert again.code == 1 and "the batch is done" in again.err


def test_failed_instances_are_redriven_and_undone(
    ask: Headrace, payout: Callable[..., str], shared_server: Server
) -> None:
    workflow_id = payout("till", 0)
    for amount in (400, 700):
        ask("workflows", "run", workflow_id, "--variable", f"amount={amount}", "--wait")
    funding = {"source": "world", "destination": "till", "amount": 1_500, "asset": "USD/2"}
    shared_server.post("/api/ledger/v2/main/transactions", {"metadata": {}, "postings": [funding]})
    done = ask("batch", "redrive", "--failed-since", "9h", "--workflow", "till", *REASON, "--yes")
    assert done.code == 0 and "done: 2 succeeded" in done.out and "Redrives 2 of 2 items" in done.out, done
    nothing = ask("batch", "redrive", "--workflow", "till", "--code", "INSUFFICIENT_FUND", *REASON, "--yes")
    assert nothing.code == 1 and "nothing is left to start" in nothing.err and "has_successor" in nothing.err
    undone = ask("batch", "undo", "--workflow", "till", "--state", "succeeded", *REASON, "--yes", "-o", "json")
    last = json.loads(undone.out.splitlines()[-1])["data"]
    assert undone.code == 0 and last["state"] == "done" and last["totals"] == {"USD/2": {"reverted": 1_100}}


def test_a_name_with_versions_chooses_the_instances_of_all(ask: Headrace, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for event in ("one", "two"):
        definition = f"name: kept\nstages:\n  - wait_event: {{event: {event}}}\n"
        (tmp_path / "folder/kept.yaml").write_text(definition)
        assert ask("apply", "-f", str(tmp_path / "folder"), "--set", "own").code == 0
        assert ask("workflows", "run", "kept").code == 0
    done = ask("batch", "abort", "--workflow", "kept", *REASON, "--yes")
    assert done.code == 0 and "Aborts 2 of 2 items" in done.out and "stands for" not in done.err, done


def test_a_batch_is_paused_resumed_and_canceled(ask: Headrace, payout: Callable[..., str], tmp_path: Path) -> None:
    """It is paused by hand, resumed and canceled; its exit code is 4 while it is paused."""
    file = tmp_path / "waits.json"
    file.write_text(WAITING)
    workflow_id = ask("workflows", "create", str(file), "-q").out.strip()
    started = ask(
        "batch", "run", "-", "--workflow", workflow_id, "--max-open", "1", *REASON, "--yes", "-q", stdin="{}\n{}\n"
    )
    batch_id = started.out.strip()
    assert started.code == 0 and len(batch_id) == 36, started
    paused = ask("batch", "pause", batch_id)
    assert paused.code == 0 and f"headrace batch resume {batch_id}" in paused.out
    watched = ask("batch", "show", batch_id, "--watch")
    assert watched.code == 4 and "a person has paused it" in watched.out and "batch resume" in watched.err
    assert ask("batch", "resume", batch_id).code == 0
    canceled = ask("batch", "cancel", batch_id, "-o", "json")
    assert json.loads(canceled.out)["data"]["batch"]["state"] == "canceled"
    aborted = ask("batch", "abort", "--workflow", workflow_id, *REASON, "--yes")
    assert aborted.code in (0, 1) and ("Aborts" in aborted.out or "no instance fits" in aborted.err)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("redrive",), "say which ones"),
        (("redrive", "ID", "--workflow", "x"), "does not exist"),
        (("redrive", "ID", "--stage", "1"), "not both"),
        (("redrive", "--failed-since", "soon"), "neither an age"),
        (("run", "no-such-file"), "cannot be read"),
        (("run", "-"), "line 1: is no JSON object"),
    ],
)
def test_mistakes_are_named_before_anything_is_made(ask: Headrace, arguments: tuple[str, ...], says: str) -> None:
    ran = ask("batch", *arguments, *REASON, stdin="[1]\n")
    assert ran.code in (1, 2) and says in ran.err, ran


def test_every_line_has_80_columns() -> None:
    batch: Json = {
        "id": "x" * 36,
        "kind": "redrive",
        "state": "paused",
        "reason": "why " * 40,
        "principal": "jane",
        "createdAt": "2024-05-01T10:00:00Z",
        "startedAt": "2024-05-01T10:00:00Z",
        "startedBy": "joe",
        "items": 10_000,
        "planned": 613,
        "included": 9_000,
        "rate": 1_000,
        "maxOpen": 10_000,
        "stopAfter": 10_000,
        "totals": {"USD/2": {"sent": 10**14, "externalIn": 10**14, "externalOut": 10**14, "reverted": 10**14}},
        "excluded": {"not_clean": 3, "fails:" + "LONG_CODE_" * 9: 997},
        "firstFailing": {"n": 613, "code": "c", "message": "word " * 60, "instance": "i" * 36},
        "counts": dict.fromkeys(("succeeded", "failed", "started", "pending", "skipped", "excluded"), 1_000),
        "why": "because " * 5,
    }
    items = [{"n": 10_000, "state": "failed", "result": "r" * 36, "code": "INSUFFICIENT_FUND"}]
    for line in (*preview_lines(batch), *batch_lines(batch, items)):
        if not line.startswith(("Reason", "Progress", "Paused")):  # facts wrap by the terminal's width
            assert len(line) <= 80, line
    assert progress_line({**batch, "state": "previewing"}) == "previewed 613 of 10,000 items"
