"""`headrace plans`, `approve`, `reject` and `plan --instance`: read on a narrow terminal, asked before they write."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.auth.clients import APPROVE, READ, WRITE, ClientsFile
from headrace.cli import display
from headrace.clock import SystemClock
from tests.cli.conftest import Ran
from tests.support.server import Server

Headrace = Callable[..., Ran]
Json = dict[str, Any]

SCOPES = {"jane": (READ, WRITE, APPROVE), "paul": (READ, WRITE, APPROVE), "eve": (READ, APPROVE)}
RULES = "approvals:\n  - {id: big, workflow: 'payout-*', asset: EUR/2, over: 1000, approvals: 2, expires: 72h}\n"
SEND = """
  - send:
      source: {account: {id: world, ledger: main}}
      destination: {account: {id: "merchants:7", ledger: main}}
      amount: {asset: EUR/2, amount: "${amount}"}
"""
ASKS = 'name: asks\nstages:\n  - approve: {title: "Pay ${amount} to the merchant 7", approvals: 2, timeout: 3d}' + SEND
PAYOUT = "name: payout-merchants\nstages:" + SEND
REASON = ("--reason", "the invoice is in the folder")
REST = """\
Plan of asks
  continues INSTANCE
  with amount=400 (4.00 EUR)

Stage 0: approve
  waits for 2 approvals of "Pay 400 to the merchant 7"
Stage 1: send
  1. world pays 4.00 EUR to merchants:7 (ledger main)
     merchants:7: BALANCE

Totals
  sent 4.00 EUR
  balances as of MOMENT

The run would succeed.
Plan HASH
Stored with ID: PLAN
Asked for by: paul (CLIENT)
State: open until MOMENT
Approvals needed: 2
"""


class People:
    """A guarded server with a rule, and the command line as used by several persons."""

    def __init__(self, server: Server) -> None:
        self.server = server
        clients = ClientsFile(server.data / "clients.json")
        made = {name: clients.create(name, scopes, SystemClock(), os.urandom) for name, scopes in SCOPES.items()}
        self.ids = {name: created.client.id for name, created in made.items()}
        self.credentials = {name: (created.client.id, created.secret) for name, created in made.items()}
        (dev,) = [dict(re.findall(r"export (HEADRACE_\w+)=(\S+)", server.log()))]
        self.credentials["dev"] = (dev["HEADRACE_CLIENT_ID"], dev["HEADRACE_CLIENT_SECRET"])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "rules.yaml").write_text(RULES)
    settings = {"HEADRACE_APPROVAL_RULES": str(folder / "rules.yaml")}
    with Server(folder / "data", arguments=["--auth"], settings=settings) as server:
        people = People(server)
        client_id, secret = people.credentials["dev"]
        form = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        token = server.request("POST", "/api/auth/oauth/token", form, headers=headers).json["access_token"]
        server.request("POST", "/api/ledger/v2/main", b"{}", headers={"Authorization": f"Bearer {token}"})
        yield people


@pytest.fixture
def say(headrace: Headrace, people: People, monkeypatch: pytest.MonkeyPatch) -> Headrace:
    """Run a command as a person: `say("paul", "plans")`. The terminal has 80 columns."""
    monkeypatch.setattr(display, "terminal_width", lambda: 80)
    monkeypatch.setenv("HEADRACE_SERVER", people.server.url)

    def run(by: str, *arguments: str) -> Ran:
        client_id, secret = people.credentials[by]
        monkeypatch.setenv("HEADRACE_CLIENT_ID", client_id)
        monkeypatch.setenv("HEADRACE_CLIENT_SECRET", secret)
        ran = headrace(*arguments)
        for _ in range(50):  # a running server reads its clients again within a second
            if "invalid_client" not in ran.err:
                break
            time.sleep(0.1)
            ran = headrace(*arguments)
        for line in (ran.out + ran.err).splitlines():
            is_narrow = len(line) <= 80 or "-o" in arguments or line.startswith("error:")
            assert is_narrow, f"more than 80 columns: {line}"
        return ran

    return run


@pytest.fixture
def workflow(say: Headrace, tmp_path: Path) -> Callable[[str], str]:
    def created(text: str) -> str:
        (tmp_path / "workflow.yaml").write_text(text)
        ran = say("jane", "workflows", "create", str(tmp_path / "workflow.yaml"), "-q")
        assert ran.code == 0, ran.err
        return ran.out.strip()

    return created


@pytest.fixture
def waiting(say: Headrace, workflow: Callable[[str], str]) -> str:
    """The id of an instance of jane's that waits for two approvals."""
    ran = say("jane", "workflows", "run", workflow(ASKS), "--variable", "amount=400", "-q")
    assert ran.code == 0, ran.err
    return ran.out.strip()


def planned(say: Headrace, by: str, *arguments: str) -> Json:
    ran = say(by, "plan", *arguments, "-o", "json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)["data"]["plan"]


class Terminal:
    def isatty(self) -> bool:
        return True


def test_a_batch_over_a_rule_waits_for_two_others(
    say: Headrace, workflow: Callable[[str], str], people: People, tmp_path: Path
) -> None:
    workflow_id = workflow(PAYOUT)
    (tmp_path / "runs.jsonl").write_text('{"amount": "600"}\n{"amount": "500"}\n')
    run = ("batch", "run", str(tmp_path / "runs.jsonl"), "--workflow", workflow_id, *REASON, "--yes")
    made = say("jane", *run)
    assert made.code == 4 and "Starts 2 of 2 items" in made.err, made
    assert "Rule big: 2 persons have to approve it" in made.out
    (batch_id,) = re.findall(r"headrace batch start (\S+)", made.out)
    early = say("jane", "batch", "start", batch_id, "--yes")
    assert early.code == 4 and "Rule big" in early.out
    own = say("jane", "batch", "approve", batch_id, *REASON, "--yes")
    assert own.code == 1 and f"{people.ids['jane']} has asked for this batch" in own.err
    unasked = say("paul", "batch", "approve", batch_id, *REASON)
    assert unasked.code == 2 and "11.00 EUR sent" in unasked.err and "0 of 2, by rule big" in unasked.err
    one = say("paul", "batch", "approve", batch_id, *REASON, "--yes")
    two = say("eve", "batch", "approve", batch_id, *REASON, "--yes")
    assert one.out == "Approved by 1 of 2 persons.\n"
    assert two.out == f"Approved: `headrace batch start {batch_id}` starts it.\n"
    started = say("jane", "batch", "start", batch_id, "--yes")
    assert started.code == 0 and "done: 2 succeeded" in started.out
    shown = say("jane", "batch", "show", batch_id)
    assert "2 of 2, by rule big" in shown.out and f"approve by eve ({people.ids['eve']})" in shown.out
    again = say("paul", "batch", "approve", batch_id, *REASON, "--yes")
    assert again.out == "Approved before: the batch is done.\n"


def test_a_rejected_batch_is_canceled(say: Headrace, workflow: Callable[[str], str], tmp_path: Path) -> None:
    workflow_id = workflow(PAYOUT)
    (tmp_path / "runs.jsonl").write_text('{"amount": "1001"}\n')
    made = say("jane", "batch", "run", str(tmp_path / "runs.jsonl"), "--workflow", workflow_id, *REASON, "-q")
    batch_id = made.out.strip()
    assert made.code == 4 and batch_id
    rejected = say("paul", "batch", "reject", batch_id, *REASON, "--yes")
    assert (rejected.code, rejected.out) == (0, "Rejected: nothing of it starts.\n")
    assert "rejected by" in say("jane", "batch", "show", batch_id).out
    again = say("eve", "batch", "approve", batch_id, *REASON, "--yes")
    assert again.code == 1 and "canceled" in again.err


def test_the_rest_of_an_instance_is_read_and_approved(say: Headrace, waiting: str, people: People) -> None:
    shown = say("paul", "instances", "show", waiting)
    assert re.search(r'^Waits for +2 approvals of "Pay 400 to the merchant 7", until 20', shown.out, re.MULTILINE)
    assert f"headrace plan --instance {waiting}" in shown.out
    assert re.search("^Status +waiting for approvals$", shown.out, re.MULTILINE)
    ran = say("paul", "plan", "--instance", waiting)
    (plan_id,) = re.findall(r"ID: (\S+)", ran.out)
    comparable = re.sub(r"sha256:\w{64}", "HASH", ran.out.replace(waiting, "INSTANCE").replace(plan_id, "PLAN"))
    comparable = re.sub(r"as of 20.*", "as of MOMENT", comparable).replace(people.ids["paul"], "CLIENT")
    comparable = re.sub(r"merchants:7: .*", "merchants:7: BALANCE", re.sub(r"until 20.*", "until MOMENT", comparable))
    assert (ran.code, comparable, ran.err) == (0, REST, "")

    jane = say("jane", "approve", plan_id, *REASON, "--yes")
    assert jane.code == 1 and f"{people.ids['jane']} has asked for this run" in jane.err
    other = say("paul", "approve", plan_id, *REASON, "--hash", "sha256:0", "--yes")
    assert other.code == 1 and "hash: is 'sha256:0'" in other.err
    for _ in range(2):
        assert say("paul", "approve", plan_id, *REASON, "--yes")[:2] == (0, "Approved by 1 of 2 persons.\n")
    again = say("eve", "plans", plan_id)
    assert again.out.endswith("Z: the\n    invoice is in the folder\n")
    assert f"Approvals needed: 2\n  approved by paul ({people.ids['paul']}), 20" in again.out
    changed = say("paul", "reject", plan_id, *REASON, "--yes")
    assert changed.code == 1 and f"{people.ids['paul']} has approved this plan already" in changed.err

    last = say("eve", "approve", plan_id, *REASON, "--yes", "-o", "json")
    decided = json.loads(last.out)["data"]["plan"]
    assert (decided["state"], [each["principal"] for each in decided["approvals"]["given"]]) == (
        "used",
        [people.ids["paul"], people.ids["eve"]],
    )
    assert say("eve", "approve", plan_id, *REASON, "--yes").out == f"Approved: instance {waiting} goes on.\n"
    late = say("dev", "approve", plan_id, *REASON, "--yes")
    assert late.code == 1 and "used already" in late.err
    assert "\nState: used\nApprovals needed: 2\n" in say("eve", "plans", plan_id).out
    shown = say("paul", "instances", "show", waiting)
    assert "Waits for" not in shown.out and plan_id in shown.out
    assert re.search(r"^Status +succeeded$", shown.out, re.MULTILINE)
    for name in ("paul", "eve"):
        by = rf"^Approved by +{name} \({people.ids[name]}\), 20\S+ \S+Z: the$"
        assert re.search(by, shown.out, re.MULTILINE), shown.out


def test_a_decision_shows_the_plan_and_asks_first(say: Headrace, waiting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(say, "paul", "--instance", waiting)
    for verdict in ("approve", "reject"):
        piped = say("paul", verdict, plan["id"], *REASON)
        assert piped.code == 2 and "add --yes" in piped.err and not piped.out
        assert "world pays 4.00 EUR to merchants:7" in piped.err and plan["hash"] in piped.err
    asked: list[str] = []

    def answer(text: str, **_: Any) -> bool:
        asked.append(text)
        return len(asked) > 1

    monkeypatch.setattr("typer.confirm", answer)
    monkeypatch.setattr("headrace.cli.approvals.sys", type("Sys", (), {"stdin": Terminal()}))
    unsure = say("paul", "reject", plan["id"], *REASON)
    assert unsure.code == 1 and "nothing was stored" in unsure.err
    assert json.loads(say("paul", "plans", plan["id"], "-o", "json").out)["data"]["plan"] == plan
    sure = say("paul", "reject", plan["id"], *REASON)
    assert (sure.code, asked) == (0, ["REJECT this (sent 4.00 EUR)? This is final."] * 2)
    assert sure.out == f"Rejected: instance {waiting} has ended.\n"
    assert re.search(r"^Failure +rejected$", say("jane", "instances", "show", waiting).out, re.MULTILINE)
    ended = say("paul", "plan", "--instance", waiting)
    assert ended.code == 1 and "has ended" in ended.err


def test_a_rule_names_itself_and_an_approved_plan_runs(say: Headrace, workflow: Callable[[str], str]) -> None:
    workflow_id = workflow(PAYOUT)
    plan = planned(say, "jane", workflow_id, "--var", "amount=1001")
    assert "\nApprovals needed: 2, by rule big\n" in say("jane", "plans", plan["id"]).out
    assert say("paul", "approve", plan["id"], *REASON, "--yes").code == 0
    assert say("eve", "approve", plan["id"], *REASON, "--yes").out == (
        f"Approved: `headrace run --plan {plan['id']}` runs it.\n"
    )
    assert re.search(rf"^Plan +{plan['id']}$", say("eve", "plans", "--state", "approved").out, re.MULTILINE)
    ran = say("jane", "run", "--plan", plan["id"])
    assert ran.code == 0, ran.err
    repeated = say("eve", "approve", plan["id"], *REASON, "--yes")
    assert repeated.code == 0 and repeated.out.startswith("Approved before: it has started instance ")
    instance_id = repeated.out.split()[-1].rstrip(".")
    assert f"State: used for instance {instance_id}\n" in say("eve", "plans", plan["id"]).out

    unplanned = say("jane", "workflows", "run", workflow_id, "--variable", "amount=1001", "-q").out.strip()
    assert "2 approvals, by rule big, until 20" in " ".join(say("jane", "instances", "show", unplanned).out.split())
    rest = say("paul", "plan", "--instance", unplanned)
    assert "Stage 0: send\n  waits for 2 approvals, by rule big\n  1. world pays 10.01 EUR" in rest.out


def test_an_approval_that_nothing_asks_for_is_not_called_needed(say: Headrace, workflow: Callable[[str], str]) -> None:
    plan = planned(say, "jane", workflow(PAYOUT), "--var", "amount=400")
    assert "Approvals needed: none by a rule; a person may" in say("paul", "plans", plan["id"]).out
    assert say("paul", "approve", plan["id"], *REASON, "--yes").code == 0
    shown = say("paul", "plans", plan["id"]).out
    assert "\nApprovals: 1 given, none required\n  approved by paul" in shown and "needed" not in shown


def test_the_list_says_of_what_the_plans_are(say: Headrace, waiting: str, people: People) -> None:
    _, plan = (planned(say, "paul", "--instance", waiting) for _ in range(2))
    ran = say("paul", "plans", "--limit", "1")
    assert ran.err == "These are the newest 1; --limit N shows more.\n"
    lines = ran.out.splitlines()
    assert lines[:3] == [
        f"Plan               {plan['id']}",
        f"Of                 the rest of instance {waiting}",
        "                   (asks)",
    ]
    assert lines[3:6] == [
        "With               amount=400 (4.00 EUR)",
        "Amount             sent 4.00 EUR",
        "State              open",
    ]
    assert " ".join(lines[6:-1]).startswith(f"Asked for by       paul ({people.ids['paul']}), 20")
    assert lines[-1].startswith("Can be used until  20")
    assert say("paul", "plans", "--limit", "1", "-q").out == f"{plan['id']}\n"
    (row,) = json.loads(say("paul", "plans", "--limit", "1", "-o", "json").out)["data"]["plans"]
    assert (row["id"], row["instance"], row["state"]) == (plan["id"], waiting, "open")
    assert say("paul", "plans", "--state", "expired").out == "There are no such plans.\n"


def test_the_list_names_the_undone_instance_once_with_its_money(say: Headrace, workflow: Callable[[str], str]) -> None:
    workflow_id = workflow(PAYOUT)
    run = say("jane", "run", workflow_id, "--var", "amount=400", "-q").out.strip()
    assert planned(say, "jane", "--undo", run)["takenBack"] == {"EUR/2": 400}
    lines = say("jane", "plans", "--limit", "1").out.splitlines()
    assert lines[1:4] == [
        f"Of                 the undo of instance {run}",
        "Amount             taken back 4.00 EUR",
        "State              open",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("approve", "nothing", *REASON, "--yes"), 1, "plan 'nothing' does not exist\n  `headrace plans --state open`"),
        (("reject", "nothing", *REASON, "--yes"), 1, "plan 'nothing' does not exist"),
        (("approve", "nothing"), 2, "--reason"),
        (("plans", "nothing"), 1, "plan 'nothing' does not exist"),
        (("plans", "--state", "nothing"), 1, "not one of open, approved"),
        (("plans", "nothing", "--state", "open"), 2, "give a plan, or --state"),
        (("plan", "--instance", "nothing"), 1, "instance 'nothing' does not exist"),
        (("plan", "--instance", "i", "--var", "a=1"), 2, "--instance takes neither"),
        (("plan", "--instance", "i", "--redrive", "i"), 2, "give a workflow or a file"),
    ],
)
def test_mistakes_are_named(say: Headrace, arguments: tuple[str, ...], code: int, says: str) -> None:
    ran = say("paul", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err


def test_an_empty_reason_is_refused(say: Headrace, waiting: str) -> None:
    plan = planned(say, "paul", "--instance", waiting)
    ran = say("paul", "approve", plan["id"], "--reason", " ", "--yes")
    assert ran.code == 1 and ran.err.startswith("error: reason: ")


def test_a_server_with_rules_needs_persons(headrace: Headrace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_APPROVAL_RULES", str(tmp_path / "rules.yaml"))
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HEADRACE_PORT", "0")
    dev = headrace("dev")
    assert dev.code == 2 and "HEADRACE_APPROVAL_RULES needs persons who approve: add --auth" in dev.err
    serve = headrace("serve", "--auth", "none")
    assert serve.code == 2 and "HEADRACE_APPROVAL_RULES: needs authentication" in serve.err
    lacking = headrace("dev", "--auth")
    assert lacking.code != 0 and "rules.yaml cannot be read: No such file or directory" in lacking.err
    (tmp_path / "rules.yaml").write_text("approvals: [{id: big}]")
    wrong = headrace("dev", "--auth")
    assert wrong.code != 0 and "approvals[0].asset: is missing" in wrong.err
