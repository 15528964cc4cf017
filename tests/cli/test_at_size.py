"""The list of instances within a terminal, names in place of ids, ids alone, and warnings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from headrace.cli import display
from headrace.cli.instance_table import age, table_lines
from headrace.cli.periods import moment_since
from headrace.cli.variables import remarks_on_variables
from headrace.triggers.filter_warnings import remark_on_filter
from tests.support.server import Server

ID = "019f4c39-4b5c-7000-8000-000000000000"
CREATED = "2024-05-01T10:00:00.5Z"
CREATED_AT = 1_714_557_600_000_000
WAITING = "name: {name}\nstages:\n  - wait_event: {{event: go}}\n"
REFUSAL = "CreateTransaction: INSUFFICIENT_FUND: account users:1 of ledger main lacks 5 USD/2; nothing was booked"


def row(**members: Any) -> dict[str, Any]:
    return {"instanceId": ID, "status": "succeeded", "createdAt": CREATED, **members}


def laid_out(width: int | None, monkeypatch: pytest.MonkeyPatch, *rows: dict[str, Any]) -> list[str]:
    monkeypatch.setattr(display, "terminal_width", lambda: width)
    return [str(line) for line in table_lines([list(rows)], CREATED_AT + 90_000_000)]


@pytest.mark.parametrize("name", ["pay", "refund-a-customer-with-a-very-long-name", "払い戻し" * 5])
def test_rows_fit_into_80_columns_and_keep_their_ids(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    failed = row(workflowName=name, stage={"number": 1, "name": "wait_event"}, status="failed", error=REFUSAL)
    lines = laid_out(80, monkeypatch, row(workflowName=name), failed)
    assert all(display.width(line) <= 80 for line in lines)
    assert sum(ID in line for line in lines) == 2
    assert lines[0].split()[:5] == ["STATUS", "WORKFLOW", "STAGE", "AGE", "ID"]
    assert " ".join(line.strip() for line in lines[3:]) == REFUSAL


def test_elsewhere_a_row_is_one_whole_line(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "refund-a-customer-with-a-very-long-name"
    lines = laid_out(None, monkeypatch, row(workflowName=name, error=f"{REFUSAL}\nx\x1b[2J"))
    assert len(lines) == 2 and lines[0].endswith("ERROR")
    assert name in lines[1] and f"{REFUSAL} x" in lines[1] and "\x1b" not in lines[1]


@pytest.mark.parametrize(
    ("passed_s", "text"), [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")]
)
def test_ages(passed_s: int, text: str) -> None:
    assert age(CREATED, CREATED_AT + passed_s * 1_000_000) == text


def test_since() -> None:
    assert moment_since("90m", CREATED_AT).isoformat() == "2024-05-01T08:30:00+00:00"
    assert moment_since("2024-05-01").isoformat() == "2024-05-01T00:00:00+00:00"
    assert moment_since("2024-05-01T10:00:00+02:00").isoformat() == "2024-05-01T10:00:00+02:00"


def test_variables_that_are_not_used_are_named_with_what_may_be_meant() -> None:
    stages: list[dict[str, object]] = [{"send": {"a": "${amount} ${order.id}"}}]
    assert list(remarks_on_variables(stages, {"amount": "1", "order": "{}"})) == []
    (misspelt, strange) = remarks_on_variables(stages, {"amuont": "1", "zzz": ""})
    assert misspelt == "the workflow does not use the variable 'amuont'; did you mean 'amount'?"
    assert strange == "the workflow does not use the variable 'zzz'"


@pytest.mark.parametrize(
    ("source", "remark"),
    [
        ("event.amount > 1", None),
        ("event.ok", None),
        ("now() > now()", None),
        ("1 ==", None),
        ("true", "the filter does not depend on the event: it is true for every event"),
        ("1 == 1", "the filter does not depend on the event: it is true for every event"),
        ("1 == 2", "the filter does not depend on the event: the trigger never fires"),
        ('"event"', "the filter returns a text, and only true fires: the trigger never fires"),
        ("len(event.items)", "the filter returns a number, and only true fires: the trigger never fires"),
        ("nil", "the filter returns nil, and only true fires: the trigger never fires"),
    ],
)
def test_filters_that_cannot_depend_on_the_event(source: str, remark: str | None) -> None:
    assert remark_on_filter(source) == remark


@pytest.fixture
def shell(headrace: Any, shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("HEADRACE_SERVER", shared_server.url)
    return headrace


def test_ids_alone_so_that_scripts_compose(shell: Callable[..., Any]) -> None:
    created = shell(
        "workflows", "create", "-q", "-", stdin=WAITING.format(name="q1") + "---\n" + WAITING.format(name="q2")
    )
    first, second = created.out.split()
    assert shell("workflows", "show", "-q", "q1").out == f"{first}\n"
    assert shell("workflows", "list", "-q").out.split()[:2] == [second, first]
    instance_id = shell("workflows", "run", "q2", "-q").out.strip()
    assert shell("instances", "show", instance_id, "-q").out == f"{instance_id}\n"
    assert shell("instances", "list", "--workflow", "q2", "-q").out == f"{instance_id}\n"
    assert shell("instances", "list", "--workflow", first, "-q").out == ""
    trigger_id = shell("triggers", "create", "SAVED_PAYMENT", "q1", "--name", "t-q", "-q").out.strip()
    assert shell("triggers", "show", "t-q", "-q").out == f"{trigger_id}\n"
    both = shell("workflows", "list", "-q", "-o", "json")
    assert both.code == 2 and "--quiet and --output" in both.err
    assert shell("-q", "triggers", "show", "t-q").out == f"{trigger_id}\n"
    none = shell("-q", "doctor")
    assert none.code == 2 and "this command has none" in none.err


def test_a_name_that_several_have_is_refused_with_their_ids(shell: Callable[..., Any]) -> None:
    ids = [shell("workflows", "create", "-q", "-", stdin=WAITING.format(name="twice")).out.strip() for _ in range(2)]
    refused = shell("workflows", "run", "twice")
    assert refused.code == 1 and "2 workflows are named 'twice'" in refused.err
    assert all(each in refused.err for each in ids)
    near = shell("workflows", "show", "twicee", "-o", "json")
    assert (near.code, json.loads(near.err)["errorCode"]) == (1, "NOT_FOUND")
    assert "twice" in json.loads(near.err)["hint"]


def test_twenty_rows_unless_more_are_wanted(shell: Callable[..., Any]) -> None:
    workflow_id = shell("workflows", "create", "-q", "-", stdin=WAITING.format(name="many")).out.strip()
    ids = [
        shell("workflows", "run", "-q", workflow_id, "--variable", f"order=n{number}").out.strip()
        for number in range(22)
    ]
    listed = ("instances", "list", "--workflow", "many", "-q")
    first = shell(*listed)
    assert first.out.split() == ids[:1:-1] and "the newest 20" in first.err
    assert shell(*listed, "--limit", "3").out.split() == ids[:-4:-1]
    everything = shell(*listed, "--all", "--status", "waiting", "--since", "1h")
    assert everything.out.split() == ids[::-1] and everything.err == ""
    assert shell("instances", "list", "--variable", "order=n7", "-q").out == f"{ids[7]}\n"
    assert shell("instances", "list", "--find", "n7", "--workflow", "many", "-q").out == f"{ids[7]}\n"
    assert shell("instances", "list", "--find", "n7", "--status", "failed", "-q").out == ""
    assert "q: has more than" in shell("instances", "list", "--find", "n" * 400).err
    for wrong, code, message in (
        (("--status", "done"), 1, "status: 'done' is not one of"),
        (("--workflow", "unknown"), 1, "workflow 'unknown' does not exist"),
        (("--workflow", ID), 1, "does not exist"),
        (("--since", "soon"), 2, "--since 'soon' is neither an age"),
        (("--variable", "order"), 1, "variable: 'order' is not name=value"),
        (("--running", "--status", "failed"), 2, "exclude each other"),
    ):
        refused = shell("instances", "list", *wrong)
        assert (refused.code, refused.out) == (code, "") and message in refused.err


def test_run_and_wait_shows_progress_and_a_verdict(shell: Callable[..., Any]) -> None:
    definition = "name: pause\nstages:\n  - delay: {duration: 1ms}\n"
    workflow_id = shell("workflows", "create", "-q", "-", stdin=definition).out.strip()
    ran = shell("workflows", "run", workflow_id, "--wait", "--variable", "x=1")
    assert ran.code == 0 and "Succeeded after " in ran.out.splitlines()[-1]
    assert "warning: the workflow does not use the variable 'x'" in ran.err
    quiet = shell("workflows", "run", workflow_id, "--wait", "-q")
    assert (quiet.code, quiet.err, len(quiet.out.splitlines())) == (0, "", 1)


def test_an_event_type_that_is_neither_known_nor_seen_is_a_warning(shell: Callable[..., Any]) -> None:
    workflow_id = shell("workflows", "create", "-q", "-", stdin=WAITING.format(name="typed")).out.strip()
    created = shell("triggers", "create", "SAVED_PAYMNET", workflow_id, "--filter", "true")
    assert created.code == 0
    assert "no event of type 'SAVED_PAYMNET' is known or has been received; did you mean SAVED_PAYMENT?" in created.err
    assert "it is true for every event" in created.err
    for known in ("saved_payment", "payments.SAVED_PAYMENT", "orchestration.succeeded_workflow"):
        assert shell("triggers", "create", known, workflow_id).err == ""
    shell("events", "send", '{"type": "TEST_EVENT", "payload": {}}')
    assert shell("triggers", "create", "TEST_EVENT", workflow_id).err == ""
    assert shell("triggers", "create", "NEVER_SEEN", workflow_id, "-o", "json").err == ""


@pytest.mark.parametrize("principal", ["dev", "auth0|" + ID])
def test_an_audit_trail_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch, principal: str) -> None:
    monkeypatch.setattr(display, "terminal_width", lambda: 80)
    columns = ["No.", "Date", "Caller", "Operation", "Target"]
    rows = [["12345", "2026-11-29 18:00:00.123Z", principal, "v2CreateWorkflow", ID]]
    lines = display.table_lines(columns, rows)
    assert max(map(display.width, lines)) <= 80 and any(ID in line for line in lines)
