"""The plug-in of pytest, as a project uses it: in a pytest of its own."""

from __future__ import annotations

import pytest

from tests.testing.test_cases import PAYOUT, SPENDING

pytest_plugins = ["pytester"]

CONFTEST = 'pytest_plugins = ["headrace.testing"]\n'
DELAY = """
stages:
  - delay: {duration: 1d}
  - send:
      source: {account: {id: "users:jane", ledger: main}}
      destination: {account: {id: "${to}", ledger: main}}
      amount: {asset: USD/2, amount: 600}
"""
TWO = """
stages:
  - approve: {}
  - wait_event: {event: go}
  - send:
      source: {account: {id: world, ledger: main}}
      destination: {account: {id: "users:jane", ledger: main}}
      amount: {asset: USD/2, amount: 100}
  - send:
      source: {account: {id: "users:jane", ledger: main}}
      destination: {payment: {psp: dummy-pay, type: PAYOUT}}
      amount: {asset: USD/2, amount: 100}
"""
THIEF = """
stages:
  - wait_event: {event: now}
  - update: {account: {id: "users:jane", ledger: main, metadata: {formanceAccountID: acc_9}}}
"""
TESTS = """
import pytest
from headrace.errors import InvalidValue, NotInThisState, NotPermitted

JANE = {"main": {"users:jane": {"balance": {"USD/2": 5000}, "metadata": {"formanceAccountID": "acc_1"}}}}


def test_pays_when_confirmed(money):
    money.given(ledgers=JANE)
    run = money.run("payout.yaml", amount="4000")
    money.clock.advance("2h")
    assert (run.outcome, run.effects, run.error) == ("waiting", [], None)
    run.send_event("confirmed")
    assert run.outcome == "succeeded"
    assert run.effects == ["main users:jane -> world 4000 USD/2", "payout 4000 USD/2 acc_1"]
    assert run.balances["main"]["users:jane"] == {"USD/2": 1000}


def test_two_runs_share_the_services(money):
    money.given({"ledgers": JANE})
    first, second = (money.run("payout.yaml", amount="4000") for _ in range(2))
    second.send_event("confirmed")
    first.send_event("confirmed")
    assert second.outcome == "succeeded"
    assert "INSUFFICIENT_FUND" in first.error


def test_delays_end_at_their_moments(money):
    money.given(ledgers={"main": {"users:jane": {"balance": {"USD/2": 1000}}}})
    first = money.run("delay.yaml", to="a")
    money.clock.advance("12h")
    second = money.run("delay.yaml", to="b")
    money.clock.advance("12h")
    assert (first.outcome, second.outcome) == ("succeeded", "waiting")
    money.clock.advance("30d")
    assert "INSUFFICIENT_FUND" in second.error


def test_persons_approve(money):
    money.given(ledgers=JANE)
    run, other, late = (money.run("approved.yaml", to=to) for to in ("a", "b", "c"))
    money.clock.advance("2h")
    run.approve(by="paul")
    assert (run.outcome, run.effects) == ("waiting", [])
    with pytest.raises(NotPermitted, match="requester has asked for this run"):
        run.approve(by="requester")
    run.approve(by="eve", reason="as agreed")
    assert run.effects == ["main users:jane -> a 600 USD/2"]
    with pytest.raises(NotInThisState, match="has ended"):
        run.approve(by="ann")
    other.reject(by="eve", reason="no invoice")
    assert other.error == "rejected by eve: no invoice"
    money.clock.advance("7d")
    assert late.error == "expired: not approved in time"


def test_what_was_approved_is_what_is_done(money):
    money.given(ledgers={"main": {"users:jane": {"metadata": {"formanceAccountID": "acc_1"}}}})
    run, thief = money.run("two.yaml"), money.run("thief.yaml")
    run.approve(by="paul")
    thief.send_event("now")
    run.send_event("go")
    assert run.error.startswith("plan: stage 3, effect 1: body.destinationAccountID is acc_9, signed acc_1")


def test_what_only_a_person_can_decide(money, monkeypatch):
    from headrace.effects.port import Response
    money.given(wallets=[{"id": "w1", "name": "jane", "ledger": "main", "balances": {"main": {"USD/2": 100}}}])
    sandbox, faults = money._around.sandbox, [Response(500)]
    handle = sandbox.handle
    monkeypatch.setattr(
        sandbox, "handle", lambda request: faults.pop() if faults and request.method == "POST" else handle(request)
    )
    run = money.run("spending.yaml", amount="150")
    money.clock.advance("7d")
    assert (run.outcome, run.effects) == ("needs_attention", [])
    assert "insufficient funds" in run.error
    assert money.run("spending.yaml", amount="100").outcome == "succeeded"
    assert run.outcome == "needs_attention"


def test_mistakes(money):
    with pytest.raises(InvalidValue, match="no value for amount"):
        money.run("payout.yaml")
    with pytest.raises(InvalidValue, match="given.ledger: is not known here"):
        money.given(ledger={})


def test_each_test_has_a_world_of_its_own(money):
    assert "LEDGER_NOT_FOUND" in money.run("send.yaml", to="a").error
    with pytest.raises(FileNotFoundError):
        money.run("none.yaml")


def test_books_are_compared(money):
    money.given(ledgers=JANE)
    from headrace.effects.port import Request
    body = b'{"postings": [{"source": "users:jane", "destination": "b", "amount": 1, "asset": "USD/2"}],'
    body += b'"reference": "headrace:x:0:0"}'
    money._around.sandbox.handle(Request("ledger", "POST", "/v2/main/transactions", body))
"""


def test_a_project_uses_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    delay = "  - delay: {duration: 1d}\n"
    approved = DELAY.replace(delay, "  - approve: {approvals: 2, timeout: 3d}\n")
    pytester.makefile(".yaml", payout=PAYOUT, delay=DELAY, send=DELAY.replace(delay, ""), approved=approved)
    pytester.makefile(".yaml", two=TWO, thief=THIEF, spending=SPENDING)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=9, errors=1)
    result.stdout.fnmatch_lines(["*booked, but no history has it: headrace:x:0:0, 1 times*"])
