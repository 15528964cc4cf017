"""`headrace test`: what a case says is what it checks, and each member of `expect` can fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.errors import InvalidValue
from headrace.testing.cases import read_suite
from headrace.testing.checks import Verdict, run_case

PAYOUT = """
name: payout
stages:
  - wait_event: {event: confirmed}
  - send:
      source: {account: {id: "users:jane", ledger: main}}
      destination: {payment: {psp: dummy-pay, type: PAYOUT}}
      amount: {asset: USD/2, amount: "${amount}"}
"""
GIVEN = """
workflow: payout.yaml
given:
  ledgers: {main: {users:jane: {balance: {USD/2: 5000}, metadata: {formanceAccountID: acc_1}}}}
  wallets: [{id: w1, name: jane, ledger: main, balances: {main: {USD/2: 100}}}]
  payments: [{id: p1, amount: 4199, asset: USD/2}]
cases:
"""
PAYS = """
  - name: pays
    run: {amount: "4000"}
    events: [{name: confirmed, at: 2h}]
    expect:
      outcome: succeeded
      effects: ["main users:jane -> world 4000 USD/2", "payout 4000 USD/2 acc_1"]
      effects_include: ["payout 4000 USD/2 acc_1"]
      balances: {main: {users:jane: {USD/2: 1000}, "wallets:w1:main": {USD/2: 100}}}
      ended_at: 2h
"""


def written(folder: Path, cases: str, workflow: str = PAYOUT, given: str = GIVEN) -> Path:
    (folder / "payout.yaml").write_text(workflow)
    file = folder / "payout.test.yaml"
    file.write_text(given + cases)
    return file


def only(folder: Path, cases: str, **files: str) -> Verdict:
    suite = read_suite(written(folder, cases, **files))
    return run_case(suite, suite.cases[0])


def about(verdict: Verdict) -> dict[str, list[str]]:
    return {difference.about: difference.lines for difference in verdict.differences}


def test_a_case_that_passes(tmp_path: Path) -> None:
    assert about(only(tmp_path, PAYS)) == {}


@pytest.mark.parametrize(
    ("right", "wrong", "member", "lines"),
    [
        ("outcome: succeeded", "outcome: waiting", "outcome", ["- waiting", "+ succeeded"]),
        ("outcome: succeeded", "error: INSUFFICIENT_FUND", "outcome", ["- failed", "+ succeeded"]),
        ("outcome: succeeded", "error: INSUFFICIENT_FUND", "error", ["- .. INSUFFICIENT_FUND ..", "+ none"]),
        (
            '["main users:jane -> world 4000 USD/2", "payout 4000 USD/2 acc_1"]',
            '["payout 4000 USD/2 acc_1", "main users:jane -> world 4000 USD/2"]',
            "effects",
            ["+ main users:jane -> world 4000 USD/2", "  payout 4000 USD/2 acc_1"],
        ),
        (
            'effects_include: ["payout 4000 USD/2 acc_1"]',
            'effects_include: ["payout 4000 USD/2 acc_1", "payout 4000 USD/2 acc_1"]',
            "effects_include",
            ["- payout 4000 USD/2 acc_1", "  main users:jane -> world 4000 USD/2"],
        ),
        ("users:jane: {USD/2: 1000}", "users:jane: {USD/2: 999}", "balances", ["- main users:jane 999 USD/2"]),
        ("ended_at: 2h", "ended_at: 2h1s", "ended_at", ["- 2h1s", "+ 2h"]),
        ("ended_at: 2h", "skipped: [0]", "skipped", ["- stage 0"]),
    ],
)
def test_each_member_of_expect_can_fail(tmp_path: Path, right: str, wrong: str, member: str, lines: list[str]) -> None:
    differences = about(only(tmp_path, PAYS.replace(right, wrong)))
    assert differences[member][: len(lines)] == lines


def test_outcomes(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
  - {name: waits, run: {amount: "1"}, expect: {outcome: waiting, effects: []}}
  - name: lacks funds
    run: {amount: "5001"}
    events: [{name: confirmed}]
    expect: {outcome: failed, error: INSUFFICIENT_FUND, ended_at: 0s}
  - name: another event
    run: {amount: "1"}
    events: [{name: canceled, at: 1s}]
    expect: {outcome: waiting}
""",
    )
    suite = read_suite(file)
    assert [about(run_case(suite, case)) for case in suite.cases] == [{}, {}, {}]


SPENDING = """
stages:
  - send:
      source: {wallet: {id: w1, balance: main}}
      destination: {account: {id: "shops:1", ledger: main}}
      amount: {asset: USD/2, amount: "${amount}"}
  - update: {account: {id: "shops:1", ledger: main, metadata: {state: paid}}}
"""
"""Its wallet holds 100. A service of wallets that refuses a debit again proves nothing about the first attempt."""
UNKNOWN = """
  - name: a person has to decide
    run: {amount: "150"}
    faults: [{effect: 0, kind: drop}]
    expect:
      outcome: needs_attention
      error: insufficient funds
      effects: []
      balances: {main: {"wallets:w1:main": {USD/2: 100}, shops:1: {USD/2: 0}}}
"""


def test_what_only_a_person_can_decide_needs_attention(tmp_path: Path) -> None:
    assert about(only(tmp_path, UNKNOWN, workflow=SPENDING)) == {}
    for outcome in ("failed", "waiting", "succeeded"):
        assert list(about(only(tmp_path, UNKNOWN.replace("needs_attention", outcome), workflow=SPENDING))) == [
            "outcome"
        ]
    certain = UNKNOWN.replace("    faults: [{effect: 0, kind: drop}]\n", "")
    assert list(about(only(tmp_path, certain, workflow=SPENDING))) == ["outcome"], "without the fault it is refused"
    enough = only(tmp_path, UNKNOWN.replace("150", "100"), workflow=SPENDING)
    assert enough.result is not None and enough.result.outcome == "succeeded", "the resend finds what was booked"


@pytest.mark.parametrize("kind", ["drop", "delay", "overlap", "429", "500", "503"])
@pytest.mark.parametrize("effect", [0, 1])
def test_a_fault_changes_no_booking(tmp_path: Path, kind: str, effect: int) -> None:
    faulty = f"    faults: [{{effect: {effect}, kind: {kind}}}, {{effect: {effect}, kind: drop}}]\n    expect:"
    if kind == "delay" or (effect == 1 and kind in ("drop", "overlap")):  # no second attempt: it is known to be booked
        faulty = faulty.replace(f", {{effect: {effect}, kind: drop}}", "")
    verdict = only(tmp_path, PAYS.replace("    expect:", faulty).replace("      ended_at: 2h\n", ""))
    assert about(verdict) == {}
    assert verdict.result is not None
    assert verdict.result.ended_us is not None and verdict.result.ended_us > 7_200_000_000


def test_a_fault_that_hits_nothing_fails_the_case(tmp_path: Path) -> None:
    faulty = "    faults: [{effect: 2, kind: drop}]\n    expect:"
    assert list(about(only(tmp_path, PAYS.replace("    expect:", faulty)))) == ["faults"]


def test_a_delay_takes_no_time_and_moves_the_clock(tmp_path: Path) -> None:
    workflow = PAYOUT.replace("wait_event: {event: confirmed}", "delay: {duration: 30d}")
    case = '  - {name: later, run: {amount: "5"}, expect: {outcome: succeeded, ended_at: 30d}}\n'
    assert about(only(tmp_path, case, workflow=workflow)) == {}


WALLETS = """
stages:
  - send:
      source: {payment: {id: "${payment}"}}
      destination: {wallet: {id: "${wallet}", balance: main}}
      amount: {asset: USD/2, amount: "${amount}"}
  - send:
      source: {wallet: {id: "${wallet}", balance: main}}
      destination: {account: {id: "shops:1", ledger: main}}
      amount: {asset: USD/2, amount: 150}
  - update: {account: {id: "shops:1", ledger: main, metadata: {state: paid}}}
"""


def test_wallets_payments_and_metadata(tmp_path: Path) -> None:
    case = """
  - name: top up and spend
    run: {payment: p1, wallet: w1, amount: "4199"}
    expect:
      outcome: succeeded
      effects_include:
        - wallets world -> wallet:w1:main 4199 USD/2
        - wallets wallet:w1:main -> shops:1 150 USD/2
        - main shops:1 metadata state=paid
      balances: {main: {"wallets:w1:main": {USD/2: 4149}, shops:1: {USD/2: 150}}}
"""
    verdict = only(tmp_path, case, workflow=WALLETS)
    assert about(verdict) == {}, verdict.result


TRIGGER = """
name: top-up
event: SAVED_PAYMENT
filter: event.type == "PAY-IN"
vars: {payment: event.id, wallet: 'split(event.reference, ":")[1]', amount: event.amount}
"""


def test_a_trigger_starts_the_workflow_with_its_variables(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(TRIGGER)
    case = """
  - name: starts
    trigger: t.yaml
    event: {id: p1, type: PAY-IN, reference: "wallet:w1", amount: 4199}
    expect: {outcome: succeeded, balances: {main: {"wallets:w1:main": {USD/2: 4149}}}}
"""
    assert about(only(tmp_path, case, workflow=WALLETS)) == {}
    other = case.replace("type: PAY-IN", "type: PAYOUT")
    assert about(only(tmp_path, other, workflow=WALLETS)) == {
        "trigger": ["+ the filter of the trigger does not match the event"]
    }
    without = case.replace("id: p1, ", "")
    assert "payment" in about(only(tmp_path, without, workflow=WALLETS))["trigger"][0]


def test_a_run_by_a_trigger_may_not_name_world(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text('event: E\nvars: {source: event.source, amount: "1"}\n')
    workflow = PAYOUT.replace("users:jane", "${source}").replace("  - wait_event: {event: confirmed}\n", "")
    case = "  - {name: steals, trigger: t.yaml, event: {source: world}, expect: {error: world, effects: []}}\n"
    assert about(only(tmp_path, case, workflow=workflow)) == {}


APPROVED = """
name: payout
stages:
  - approve: {approvals: 2, timeout: 1d}
  - send:
      source: {account: {id: "users:jane", ledger: main}}
      destination: {account: {id: shops, ledger: main}}
      amount: {asset: USD/2, amount: "${amount}"}
"""
PERSONS = """
  - name: two persons approve
    run: {amount: "4000"}
    approvals: [{by: paul, at: 2h}, {by: eve, at: 3h}]
    expect: {outcome: succeeded, effects: ["main users:jane -> shops 4000 USD/2"], ended_at: 3h}
"""


def test_persons_approve_and_reject_and_time_does_neither(tmp_path: Path) -> None:
    cases = """
  - name: a rejection
    run: {amount: "1"}
    approvals: [{by: paul, at: 2h}, {by: eve, at: 3h, verdict: reject, reason: no invoice}]
    expect: {error: "rejected by eve: no invoice", effects: [], ended_at: 3h}
  - name: the requester may reject
    run: {amount: "1"}
    approvals: [{by: requester, verdict: reject}]
    expect: {error: "rejected by requester: as the test says", ended_at: 0s}
  - name: one of two persons
    run: {amount: "1"}
    approvals: [{by: paul, at: 2h}]
    expect: {error: "expired: not approved in time", effects: [], ended_at: 1d}
  - name: the same person again
    run: {amount: "1"}
    approvals: [{by: paul, at: 2h}, {by: paul, at: 3h}]
    expect: {error: "expired: not approved in time"}
  - name: what was approved would fail
    run: {amount: "5001"}
    approvals: [{by: paul}, {by: eve}]
    expect: {error: INSUFFICIENT_FUND}
"""
    suite = read_suite(written(tmp_path, PERSONS + cases, workflow=APPROVED))
    assert [about(run_case(suite, case)) for case in suite.cases] == [{}] * 6


def test_an_approval_that_a_condition_leaves_out_is_none_that_lacks(tmp_path: Path) -> None:
    workflow = APPROVED.replace("timeout: 1d}\n", "timeout: 1d}\n    when: 'int(vars.amount) > 100'\n")
    case = '  - {name: small, run: {amount: "100"}, expect: {outcome: succeeded, skipped: [0], ended_at: 0s}}\n'
    assert about(only(tmp_path, case, workflow=workflow)) == {}


def test_a_decision_of_a_condition_that_is_not_stored_is_a_contradiction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = APPROVED.replace("  - approve: {approvals: 2, timeout: 1d}\n", "  - delay: {duration: 1h}\n")
    workflow += "    when: 'vars.amount == \"5\"'\n"
    case = '  - {name: runs, run: {amount: "5"}, expect: {outcome: succeeded}}\n'
    assert about(only(tmp_path, case, workflow=workflow)) == {}
    monkeypatch.setattr("headrace.runner.instance.InstanceRunner._store_decision", lambda *_: None)
    assert about(only(tmp_path, case, workflow=workflow)) == {
        "books": ["+ stage 1 has a condition, and what it has said is not stored"]
    }


def test_a_run_without_an_end_of_its_wait_waits(tmp_path: Path) -> None:
    case = '  - {name: waits, run: {amount: "1"}, expect: {outcome: waiting, effects: []}}\n'
    assert about(only(tmp_path, case, workflow=APPROVED.replace(", timeout: 1d", ""))) == {}


@pytest.mark.parametrize(
    ("approvals", "lines"),
    [
        (
            "[{by: requester}, {by: paul}, {by: eve, at: 90m}]",
            ["approve by requester at 0s: requester has asked for this run, so another person has to approve it"],
        ),
        (
            "[{by: paul}, {by: paul, at: 1h, verdict: reject}, {by: eve, at: 2h}]",
            ["reject by paul at 1h: paul has approved this plan already; a decision stands"],
        ),
        (
            "[{by: paul}, {by: eve}, {by: ann, at: 2h}]",
            ["approve by ann at 2h: never, the run did not wait for it"],
        ),
    ],
)
def test_a_decision_that_is_refused_or_not_asked_for_fails_the_case(
    tmp_path: Path, approvals: str, lines: list[str]
) -> None:
    case = f'  - {{name: x, run: {{amount: "1"}}, approvals: {approvals}, expect: {{outcome: succeeded}}}}\n'
    assert about(only(tmp_path, case, workflow=APPROVED)) == {"approvals": [f"+ {line}" for line in lines]}


def test_a_decision_waits_until_the_run_asks(tmp_path: Path) -> None:
    """Two waits, behind a delay and an event: each decision is for the one that is open."""
    stages = """
stages:
  - delay: {duration: 2d}
  - approve: {title: "Pay ${amount}"}
  - wait_event: {event: go}
  - approve: {timeout: 1h}
"""
    workflow = stages + APPROVED.partition("timeout: 1d}\n")[2]
    case = """
  - name: later
    run: {amount: "7"}
    events: [{name: go, at: 3d}]
    approvals: [{by: paul}, {by: paul, at: 1h}]
    expect: {outcome: succeeded, effects: ["main users:jane -> shops 7 USD/2"], ended_at: 3d}
"""
    assert about(only(tmp_path, case, workflow=workflow)) == {}


def test_a_run_by_a_trigger_has_the_same_requester(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text('event: E\nvars: {amount: "string(event.amount)"}\n')
    case = PERSONS.replace('run: {amount: "4000"}', "trigger: t.yaml\n    event: {amount: 4000}")
    assert about(only(tmp_path, case, workflow=APPROVED)) == {}
    own = case.replace("by: eve", "by: requester").replace("outcome: succeeded", "outcome: failed")
    assert "requester has asked for this run" in about(only(tmp_path, own, workflow=APPROVED))["approvals"][0]


def test_what_goes_on_without_approvals_is_a_contradiction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """History and decisions are compared, also where other persons have approved the run."""
    monkeypatch.setattr("headrace.usecases.approvals.approvals_in", lambda decisions: len(decisions) + 1)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
    case = PERSONS.replace(", {by: eve, at: 3h}", "").replace("3h", "2h")
    assert about(only(tmp_path, case, workflow=APPROVED)) == {
        "books": ["+ stage 0 went on without 2 approvals of one plan"]
    }
    monkeypatch.undo()
    monkeypatch.setattr("headrace.runner.instance.gate_before", lambda *_: None)
    waits = '  - {name: x, run: {amount: "1"}, expect: {outcome: succeeded}}\n'
    assert about(only(tmp_path, waits, workflow=APPROVED)) == {
        "books": ["+ stage 0 is a wait for approvals, and no approvals are stored with it"]
    }


@pytest.mark.parametrize(
    ("cases", "place", "reason"),
    [
        ("  - {nam: x}", "8:", "cases[0].nam: is not known here"),
        ("  - {run: {}, expect: {outcome: waiting}}", "8:", "cases[0].name: is required"),
        ("  - {name: x, expect: {outcome: waiting}}", "8:", "has either `run`"),
        ("  - {name: x, run: {}, expect: {outcome: waiting}}", "8:", "cases[0].run: no value for amount"),
        ("  - {name: x, run: {amount: 5}, expect: {outcome: waiting}}", "8:", 'cases[0].run.amount: must be text'),
        ('  - {name: x, run: {amount: "5"}}', "8:", "cases[0].expect: is required"),
        ('  - {name: x, run: {amount: "5"}, expect: {outcom: x}}', "8:", "cases[0].expect.outcom: is not known"),
        ('  - {name: x, run: {amount: "5"}, expect: {outcome: x}}', "8:", "must be one of succeeded, failed, waiting"),
        ('  - {name: x, run: {amount: "5"}, events: [{name: e, at: 2}]}', "8:", 'write "2"'),
        ('  - {name: x, run: {amount: "5"}, faults: [{effect: 0, kind: 404}]}', "8:", "kind: must be one of drop"),
        ('  - {name: x, run: {amount: "5"}, approvals: [{}]}', "8:", "cases[0].approvals[0].by: is required"),
        ('  - {name: x, run: {amount: "5"}, approvals: [{by: a, who: b}]}', "8:", "[0].who: is not known here"),
        ('  - {name: x, run: {amount: "5"}, approvals: [{by: a, verdict: b}]}', "8:", "must be approve or reject"),
        ('  - {name: x, run: {amount: "5"}, approvals: [{by: a, reason: " "}]}', "8:", "approvals[0].reason: "),
        ('  - {name: x, run: {amount: "5"}, approvals: [{by: a, at: 2}]}', "8:", 'write "2"'),
        ('  - {name: x, run: {amount: "5"}, event: {}, expect: {outcome: waiting}}', "", "belongs to a `trigger`"),
        ('  - {name: x, trigger: none.yaml, event: {}, expect: {outcome: waiting}}', "", "No such file"),
        ("  []", "", "cases: needs a case at least"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_file_line_and_place(tmp_path: Path, cases: str, place: str, reason: str) -> None:
    file = written(tmp_path, cases)
    with pytest.raises(InvalidValue) as caught:
        read_suite(file)
    assert f"{file}:{place}" in str(caught.value)
    assert reason in str(caught.value)


def test_mistakes_of_the_workflow_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"payout.yaml:4:\d+: stages\[0\]"):
        read_suite(written(tmp_path, PAYS, workflow=PAYOUT.replace("wait_event", "wait_events")))


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_command_line(tmp_path: Path) -> None:
    file = str(written(tmp_path, PAYS + PAYS.replace("name: pays", 'name: "a < b & \\a é"').replace("1000", "1001")))
    junit = tmp_path / "junit.xml"
    done = invoke("test", file, "--junit", str(junit))
    assert done.exit_code == 1
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if str(tmp_path) not in line)
    assert "  ok    pays\n" in done.stdout
    assert "          - main users:jane 1001 USD/2\n          + main users:jane 1000 USD/2\n" in done.stdout
    assert done.stdout.endswith("2 cases: 1 passed, 1 failed\n")
    suite = ET.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    passed, failed = suite
    assert (len(passed), failed.get("name")) == (0, "a < b & ? é")
    assert "- main users:jane 1001 USD/2" in (failed[0].text or "")
    document = json.loads(invoke("test", file, "-o", "json").stdout)["data"]
    assert [case["passed"] for case in document["files"][0]["cases"]] == [True, False]


def test_exit_codes_of_the_command(tmp_path: Path) -> None:
    assert invoke("test", str(written(tmp_path, PAYS))).exit_code == 0
    assert invoke("test", str(written(tmp_path, "  - {nam: x}"))).exit_code == 2
    assert invoke("test", str(tmp_path / "none.yaml")).exit_code == 2


SAGA = """
name: all-or-nothing
on_failure: undo
stages:
  - send:
      source: {account: {id: "users:jane", ledger: main}}
      destination: {account: {id: "shops", ledger: main}}
      amount: {asset: USD/2, amount: "${amount}"}
  - send:
      source: {account: {id: "users:jane", ledger: main}}
      destination: {account: {id: fees, ledger: main}}
      amount: {asset: USD/2, amount: 2000}
"""
TAKEN_BACK = """
  - name: is taken back
    run: {amount: "4000"}
    expect:
      outcome: failed
      error: INSUFFICIENT_FUND
      effects: ["main users:jane -> shops 4000 USD/2", "main revert 3"]
      balances: {main: {users:jane: {USD/2: 5000}, shops: {USD/2: 0}}}
"""


def test_the_undo_of_a_failing_run_is_part_of_its_case(tmp_path: Path) -> None:
    verdict = only(tmp_path, TAKEN_BACK, workflow=SAGA)
    assert about(verdict) == {} and verdict.result is not None and verdict.result.problems == []
