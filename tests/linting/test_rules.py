"""Each rule finds its seeded defects, at their places, and leaves alone what looks like them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from headrace.linting.registry import EVERY_RULE, RULES
from headrace.linting.workflow import Trigger, Workflow
from headrace.triggers.definition import parse_definition
from headrace.workflows.config import parse_config
from tests.linting.samples import account, delay, payment, payout, send, trigger, update, wait, wallet

Json = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """Stages, and the paths at which the rule finds them wrong; `in trigger` before a path in a trigger."""

    stages: list[Json]
    at: list[str] = field(default_factory=list)
    triggers: tuple[Trigger, ...] = ()
    more: Json = field(default_factory=dict)

    @property
    def document(self) -> Json:
        return {"name": "sample", "stages": self.stages, **self.more}


S0, S1, S2 = (f"stages[{index}].send" for index in range(3))
A, B, C = account("a"), account("b"), account("c")
VAR = account("users:${user}")
HOLD = account("escrow:${order}")
PAYMENT = payment("${payment}")


def when(stage: Json, variable: str) -> Json:
    return {**stage, "when": f'{variable} == "yes"'}


FROM_EVENT: Json = {"payment": "event.id", "amount": "event.amount"}


def on(event: str, filter_: str | None, stages: list[Json], *at: str, **variables: str) -> Sample:
    """A workflow with one trigger."""
    return Sample(stages, list(at), (trigger(event, filter_, **variables),))


def paid(*stages: Json, at: list[str] | None = None, filter_: str | None = None, **variables: str) -> Sample:
    """A workflow that a pay-in starts."""
    made = trigger(**variables) if filter_ is None else trigger("SAVED_PAYMENT", filter_, **variables)
    return Sample(list(stages), at or [], (made,))


DEFECTS: dict[str, list[Sample]] = {
    "asset-mismatch": [
        Sample([send(A, HOLD), when(send(HOLD, B, asset="EUR/2"), "vars.a")], [f"{S1}.amount.asset"]),
        Sample([send(A, HOLD), send(HOLD, B, asset="EUR/2")], [f"{S1}.amount.asset"]),
        Sample(
            [send(A, wallet("${w}")), send(wallet("${w}", balance="main"), B, asset="GBP/2")], [f"{S1}.amount.asset"]
        ),
        Sample(
            [send(A, HOLD), send(A, HOLD, asset="EUR/2"), send(HOLD, payout(), asset="CHF/2")], [f"{S2}.amount.asset"]
        ),
    ],
    "asset-precision": [
        Sample([send(A, B), send(B, C, asset="USD/4")], [f"{S1}.amount.asset"]),
        Sample([send(A, B, asset="USD"), wait("x"), send(VAR, C)], ["stages[2].send.amount.asset"]),
        Sample([send(A, B, asset="USDC_POLYGON/6"), send(B, C, asset="USDC_POLYGON/8")], [f"{S1}.amount.asset"]),
    ],
    "splits-exceed": [
        Sample([send(A, HOLD, 1000), send(HOLD, B, 900), send(HOLD, C, "101")], [f"{S2}.amount.amount"]),
        Sample([send(A, HOLD, "${sum}"), send(HOLD, B, "${sum}"), send(HOLD, C, 1)], [f"{S2}.amount.amount"]),
        paid(
            send(PAYMENT, A, "${amount}"), send(PAYMENT, account("fees"), 200), at=[f"{S1}.amount.amount"], **FROM_EVENT
        ),
        Sample([send(A, wallet("w"), 5), send(wallet("w"), B, 6)], [f"{S1}.amount.amount"]),
    ],
    "splits-leave-rest": [
        Sample([send(A, HOLD, 1000), send(HOLD, B, 700), send(HOLD, C, 299)], [f"{S2}.amount.amount"]),
        Sample([send(A, HOLD, "${sum}"), send(A, HOLD, 5), send(HOLD, B, "${sum}")], [f"{S2}.amount.amount"]),
        Sample([send(A, wallet("w"), "10"), send(wallet("w"), B, 9)], [f"{S1}.amount.amount"]),
    ],
    "unbound-variable": [
        paid(when(delay("1s"), "vars.a"), at=["in trigger vars"], b="event.id"),
        paid(send(PAYMENT, A, "${amount}"), at=["in trigger vars"], payment="event.id"),
        Sample([wait("paid:${order}")], ["in trigger "], (trigger(),)),
        paid(send(PAYMENT, VAR, "${sum.net}"), at=["in trigger vars"] * 2, payment="event.id", total="event.amount"),
    ],
    "unused-variable": [
        paid(send(PAYMENT, A), at=["in trigger vars.amount"], **FROM_EVENT),
        paid(wait("x"), at=["in trigger vars.'a b'"], **{"a b": "1"}),
        paid(wait("${order}"), at=["in trigger vars.orders"], order="event.id", orders="event.id"),
    ],
    "wait-without-timeout": [
        Sample([wait("confirmed")], ["stages[0].wait_event"]),
        Sample([wait("a", timeout="1h"), wait("b")], ["stages[1].wait_event"]),
        Sample([wait("a", timeout=None)], ["stages[0].wait_event"]),
        Sample([send(A, B, 5), {"approve": {}}], ["stages[1].approve"]),
    ],
    "same-event-twice": [
        Sample([when(wait("ok"), "vars.a"), wait("ok")], ["stages[1].wait_event.event"]),
        Sample([when(wait("ok"), "vars.a"), when(wait("ok"), "vars.a")], ["stages[1].wait_event.event"]),
        Sample([wait("ok"), delay("1s"), wait("ok")], ["stages[2].wait_event.event"]),
        Sample([wait("ok:${a}"), wait("ok:${a}")], ["stages[1].wait_event.event"]),
        Sample(
            [wait("a"), wait("b"), wait("a"), wait("b")], ["stages[2].wait_event.event", "stages[3].wait_event.event"]
        ),
    ],
    "world-from-variable": [
        paid(send(account("${who}"), B), at=[f"{S0}.source.account.id"], who="event.reference"),
        paid(
            send(payment("${payment}", throughAccount="w${x}"), B),
            at=[f"{S0}.source.payment.throughAccount"],
            payment="event.id",
            x="event.metadata.x",
        ),
        paid(
            send(A, account("b", "bank", throughAccount="${in}")),
            at=[f"{S0}.destination.account.throughAccount"],
            **{"in": '"wor" + event.reference'},
        ),
        paid(send(account("${who}"), B), at=[f"{S0}.source.account.id"], who='"world"'),
    ],
    "overdraft-on": [
        Sample([send(account("a", allowOverdraft=True), B)], [f"{S0}.source.account.allowOverdraft"]),
        Sample([send(payment("p", allowOverdraft="true"), B)], [f"{S0}.source.payment.allowOverdraft"]),
        Sample([send(A, account("b", "bank", allowOverdraft=True))], [f"{S0}.destination.account.allowOverdraft"]),
    ],
    "overdraft-from-variable": [
        Sample([send(account("a", allowOverdraft="${over}"), B)], [f"{S0}.source.account.allowOverdraft"]),
        Sample([send(payment("p", allowOverdraft="tr${x}"), B)], [f"{S0}.source.payment.allowOverdraft"]),
        Sample([send(A, account("b", "bank", allowOverdraft="${o}"))], [f"{S0}.destination.account.allowOverdraft"]),
    ],
    "ledger-missing": [
        Sample([send(account("a", None), B)], [f"{S0}.source.account"]),
        Sample([send(A, {"account": {"id": "b", "ledger": None}})], [f"{S0}.destination.account"]),
        Sample(
            [send(A, B), send(account("a", None), account("b", None))],
            [f"{S1}.source.account", f"{S1}.destination.account"],
        ),
    ],
    "same-account": [
        Sample([send(A, account("a", throughAccount="x"))], [f"{S0}.destination.account"]),
        Sample([send(wallet("${w}"), wallet("${w}", balance="main"))], [f"{S0}.destination.wallet"]),
        Sample([send(payment("p", ledger="main", holdingAccount="a"), A)], [f"{S0}.destination.account"]),
        Sample([send(account("world"), account("world"))], [f"{S0}.destination.account"]),
        Sample([send(A, account("b", "bank", throughAccount="b"))], [f"{S0}.destination.account.throughAccount"]),
    ],
    "zero-amount": [
        Sample([send(A, B, 0)], [f"{S0}.amount.amount"]),
        Sample([send(A, B), send(B, C, "0")], [f"{S1}.amount.amount"]),
        Sample([send(A, payout(), 0)], [f"{S0}.amount.amount"]),
    ],
    "fixed-timestamp": [
        Sample([send(A, B, timestamp="2024-12-31T23:59:59Z")], [f"{S0}.timestamp"]),
        Sample([send(A, B), send(B, C, timestamp="2024-12-31T00:00:00+01:00")], [f"{S1}.timestamp"]),
        Sample([send(PAYMENT, B, timestamp="2030-01-01T00:00:00Z")], [f"{S0}.timestamp"]),
    ],
    "bridge-one-sided": [
        Sample(
            [send(account("a", throughAccount="out"), account("b", "bank"))], [f"{S0}.source.account.throughAccount"]
        ),
        Sample(
            [send(account("a", throughAccount="world"), account("b", "bank", throughAccount="in"))],
            [f"{S0}.destination.account.throughAccount"],
        ),
        Sample([send(payment("p", throughAccount="psp"), B)], [f"{S0}.source.payment.throughAccount"]),
    ],
    "irreversible-not-last": [
        Sample([send(A, payout()), when(delay("1h"), "vars.a")], [S0], more={"on_failure": "undo"}),
        Sample([send(A, payout()), send(A, B)], [S0], more={"on_failure": "undo"}),
        Sample([wait("x"), send(A, payout()), delay("1h"), update("a")], [S1], more={"on_failure": "undo"}),
        Sample([send(A, payout()), wait("x", timeout="1h")], [S0], more={"on_failure": "undo"}),
    ],
    "wallet-by-name": [
        Sample([send({"wallet": {"name": "jane"}}, A)], [f"{S0}.source.wallet.name"]),
        Sample([send(A, {"wallet": {"name": "${who}", "id": ""}})], [f"{S0}.destination.wallet.name"]),
        Sample([send(A, {"wallet": {"name": "x", "id": None, "balance": "b"}})], [f"{S0}.destination.wallet.name"]),
    ],
    "not-portable": [
        Sample([delay("7d")], ["stages[0].delay.duration"]),
        Sample([wait("x"), delay("+1w2h")], ["stages[1].delay.duration"]),
        Sample([delay(".5d")], ["stages[0].delay.duration"]),
        Sample(
            [wait("x", timeout="1h", on_timeout="fail")],
            [f"stages[0].wait_event.{m}" for m in ("timeout", "on_timeout")],
        ),
        Sample([{"approve": {}}, {**delay("1h"), "when": "true"}], ["stages[0].approve", "stages[1].when"]),
        Sample([delay("1h")], ["on_failure"], more={"on_failure": "undo"}),
    ],
    "amount-may-be-float": [
        paid(
            send(PAYMENT, A, "${amount}"), at=["in trigger vars.amount"], payment="event.id", amount="event.amount / 2"
        ),
        paid(send(PAYMENT, A, "${x}"), at=["in trigger vars.x"], payment="event.id", x="int(event.amount * 0.97)"),
        paid(
            send(PAYMENT, A, "${x}"), at=["in trigger vars.x"], payment="event.id", x="event.v ? event.amount ^ 2 : 1"
        ),
        paid(send(PAYMENT, A, "1${x}"), at=["in trigger vars.x"], payment="event.id", x="mean(event.amounts)"),
    ],
    "trigger-any-status": [
        on("SAVED_PAYMENT", None, [wait("x")], "in trigger event"),
        on("payments.saved_payment", 'event.type == "PAY-IN"', [wait("x")], "in trigger filter"),
        on("SAVED_PAYMENT", 'event.status in ["SUCCEEDED"]', [wait("x")], "in trigger filter"),
        on("SAVED_PAYMENT", "event.amount > 100 and event.type != nil", [wait("x")], "in trigger filter"),
    ],
    "trigger-many-per-payment": [
        on("SAVED_PAYMENT", 'event.type == "PAY-IN" and event.status != "FAILED"', [wait("x")], "in trigger filter"),
        on("SAVED_PAYMENT", 'event.status in ["SUCCEEDED", "REFUNDED"]', [wait("x")], "in trigger filter"),
        on("SAVED_PAYMENT", 'event.status startsWith "DISPUTE"', [wait("x")], "in trigger filter"),
    ],
    "trigger-loop": [
        on("SUCCEEDED_WORKFLOW", None, [when(delay("1s"), "vars.a")], "in trigger event"),
        on("COMMITTED_TRANSACTIONS", None, [send(A, B)], "in trigger event"),
        on("SAVED_METADATA", 'event.ledger == "main"', [update("a", state="x")], "in trigger filter"),
        on("SAVED_PAYMENT", 'event.status == "SUCCEEDED"', [send(A, payout(type="PAYOUT"))], "in trigger filter"),
        on(
            "ledger.committed_transactions",
            'any(event.transactions, any(.postings, .destination startsWith "users:"))',
            [send(A, VAR)],
            "in trigger filter",
            user="event.transactions[0].reference",
        ),
        on("SUCCEEDED_WORKFLOW", 'event.id != "other"', [delay("1s")], "in trigger filter"),
    ],
}

CLEAN: dict[str, list[Sample]] = {
    "asset-mismatch": [
        Sample([when(send(A, HOLD), "vars.a"), send(HOLD, B, asset="EUR/2")]),
        Sample([send(HOLD, B, asset="EUR/2"), send(A, HOLD)]),
        Sample([send(A, HOLD, asset="${x}"), send(HOLD, B, asset="EUR/2")]),
        Sample([send(A, HOLD), send(A, HOLD, asset="EUR/2"), send(HOLD, B, asset="EUR/2")]),
        Sample([send(A, account("world")), send(account("world"), B, asset="EUR/2")]),
        Sample([send(A, account("x", "one")), send(account("x", "two"), B, asset="EUR/2")]),
        Sample([send(A, HOLD), send(HOLD, B, asset="USD/4")]),  # asset-precision
    ],
    "asset-precision": [Sample([send(A, B), send(A, B, asset="EUR/2"), send(A, B, asset="${x}"), send(B, C)])],
    "splits-exceed": [
        Sample([send(A, HOLD, 10), when(send(HOLD, B, 10), "vars.a"), when(send(HOLD, C, 10), "vars.b")]),
        Sample([send(A, HOLD, 10), when(send(A, HOLD, 5), "vars.a"), send(HOLD, B, 15)]),
        Sample([send(A, HOLD, 1000), send(HOLD, B, 900), send(HOLD, C, 100)]),
        Sample([send(A, HOLD, "${sum}"), send(HOLD, B, "${net}"), send(HOLD, C, "${fee}")]),
        Sample([send(HOLD, B, 5), send(A, HOLD, 1), send(HOLD, B, 5)]),
        Sample([send(A, HOLD, 1), send(account("escrow:${order}", allowOverdraft=True), B, 2)]),
        Sample([send(A, HOLD, 1, "${x}"), send(A, HOLD, 2), send(HOLD, B, 3)]),
        paid(send(payment("${other}"), A, "${amount}"), send(payment("${other}"), B, 1), other="event.x", **FROM_EVENT),
        Sample([send(PAYMENT, A, 5000), send(PAYMENT, B, 5000)]),
    ],
    "splits-leave-rest": [
        Sample([send(A, HOLD, 10), send(HOLD, B, 5), when(send(HOLD, C, 5), "vars.a")]),
        Sample([send(A, HOLD, 1000), send(HOLD, B, 900), send(HOLD, C, 100)]),
        Sample([send(A, HOLD, 1000)]),
        Sample([send(HOLD, B, 5), send(A, HOLD, 10)]),
        Sample([send(A, HOLD, "${sum}"), send(HOLD, B, 5)]),
        Sample([send(A, HOLD, 7, "${x}"), send(A, HOLD, 7, "${y}"), send(HOLD, B, 5, "${x}")]),
    ],
    "unbound-variable": [paid(send(PAYMENT, VAR, "${sum.net}"), payment="event.id", sum="event", user="event.x")],
    "unused-variable": [
        paid(when(delay("1s"), "vars.a"), a="event.id"),
        paid({**delay("1s"), "when": "vars?.a == nil"}, a="event.id"),
        paid({**delay("1s"), "when": "len(vars) > 0"}, a="event.id"),
        paid(send(PAYMENT, VAR, "${sum.net}"), payment="event.id", sum="event", user="event.x"),
    ],
    "wait-without-timeout": [Sample([wait("a", timeout="1h"), {"approve": {"approvals": 2, "timeout": "3d"}}])],
    "same-event-twice": [
        Sample([when(wait("ok"), "vars.a"), when(wait("ok"), "vars.b")]),
        Sample([wait("ok:${a}"), wait("ok:${b}"), wait("ok")]),
    ],
    "world-from-variable": [
        Sample([send(account("${who}"), B)]),
        paid(send(VAR, B), user="event.reference"),
        paid(send(account("${who}"), B), who='"users:" + event.reference'),
        paid(send(account("${who}"), B), who='event.x ? "a" : "a"'),
        paid(send(account("${who}"), B), who='event.reference + ":a"'),
        paid(send(A, account("${who}")), who="event.reference"),
        paid(send(account("world"), B)),
        paid(send(account("${w}ide"), B), w="event.reference"),
    ],
    "overdraft-on": [Sample([send(account("a", allowOverdraft=False), account("b", allowOverdraft="${x}"))])],
    "overdraft-from-variable": [
        Sample([send(account("a", allowOverdraft="false"), account("b", allowOverdraft=True))])
    ],
    "ledger-missing": [Sample([send(payment("p"), B), send(wallet("w"), A)])],
    "same-account": [
        Sample([send(A, account("a", "bank")), send(A, account("a${x}")), send(wallet("w"), wallet("w", balance="b"))]),
        Sample([send(account("a", None), account("a", None))]),
        Sample([send(account("world"), account("world", "bank"))]),
        Sample(
            [
                send(PAYMENT, payment_account := account("payment:1", "orchestration-000-internal")),
                send(payment_account, A),
            ]
        ),
    ],
    "zero-amount": [Sample([send(A, B, 1), send(A, B, "${zero}")])],
    "fixed-timestamp": [Sample([send(A, B, timestamp="${day}T00:00:00Z"), send(A, B, timestamp=None)])],
    "bridge-one-sided": [
        Sample([send(account("a", throughAccount="out"), account("b", "bank", throughAccount="in"))]),
        Sample([send(account("a", throughAccount="out"), B), send(A, account("b", "bank"))]),
        Sample(
            [send(account("a", throughAccount="out"), payout()), send(account("a", throughAccount="o"), wallet("w"))]
        ),
    ],
    "irreversible-not-last": [
        Sample([send(A, B), send(A, payout()), delay("1h")], more={"on_failure": "undo"}),
        Sample([send(A, payout()), wait("x")], more={"on_failure": "undo"}),
        Sample([send(A, payout()), wait("x", timeout="1h", on_timeout="continue")], more={"on_failure": "undo"}),
        Sample([send(A, payout()), send(A, B)]),
    ],
    "wallet-by-name": [Sample([send(wallet("w"), wallet("x", name=None))])],
    "not-portable": [
        Sample([delay("1h30m"), delay("${pause}"), wait("7d"), {"delay": {"until": "2030-01-01T00:00:00Z"}}])
    ],
    "amount-may-be-float": [
        paid(send(PAYMENT, A, "${amount}"), **FROM_EVENT),
        paid(send(PAYMENT, VAR, "${amount}"), user="string(event.amount / 2)", **FROM_EVENT),
        paid(send(PAYMENT, A, "${a}"), payment="event.id", a="event.amount / 2 > 5 ? event.amount : event.amount - 1"),
        Sample([send(A, B, "${amount}")]),
    ],
    "trigger-any-status": [
        paid(wait("x")),
        on("SAVED_ACCOUNT", None, [wait("x")]),
        on("SAVED_PAYMENT", 'event.type == "PAYOUT" and event.status != "FAILED"', [wait("x")]),
        on("SAVED_PAYMENT", 'not (event.type != "PAY-IN" or event.status != "SUCCEEDED")', [wait("x")]),
        on("SAVED_PAYMENT", 'event.type in ["PAY-IN"] ? event.status == "SUCCEEDED" : false', [wait("x")]),
        on("SAVED_PAYMENT", 'let s = event.status; s == "SUCCEEDED" && event?.type == "PAY-IN"', [wait("x")]),
        Sample([wait("x")]),
    ],
    "trigger-many-per-payment": [
        paid(wait("x")),
        on("SAVED_PAYMENT", 'event.type == "PAY-IN"', [wait("x")]),  # trigger-any-status
        on("SAVED_PAYMENT_INITIATION_ADJUSTMENT", 'event.status != "FAILED"', [wait("x")]),
        on("SAVED_PAYMENT", 'event.status in ["SUCCEEDED", "PAID"] and event.status != "PAID"', [wait("x")]),
    ],
    "trigger-loop": [
        on("COMMITTED_TRANSACTIONS", None, [when(send(A, B), "vars.a")], a="event.ledger"),
        on("SAVED_METADATA", None, [when(update("a", state="x"), "vars.a")], a="event.ledger"),
        paid(send(A, payout())),
        on("COMMITTED_TRANSACTIONS", None, [update("a"), delay("1s")]),
        on("COMMITTED_TRANSACTIONS", 'event.ledger == "bank"', [send(A, B)]),
        on("COMMITTED_TRANSACTIONS", 'not hasPrefix(event.transactions[0].reference, "headrace:")', [send(A, B)]),
        on(
            "COMMITTED_TRANSACTIONS",
            'event.transactions[0].metadata.kind == "order"',
            [send(A, B, metadata={"k": "x"})],
        ),
        on(
            "COMMITTED_TRANSACTIONS",
            'any(event.transactions, any(.postings, .amount > 100 and .asset == "EUR/2"))',
            [send(A, B)],
        ),
        on("SAVED_METADATA", 'hasPrefix(event.targetId, "orders:")', [update("users:${u}")], u="event.x"),
        on("SAVED_METADATA", 'event.metadata.state == "new"', [update("a", state="settled")]),
        on("orchestration.succeeded_workflow", 'event.id == "0190-other"', [delay("1s")]),
    ],
}

CASES = [
    pytest.param(rule, sample, id=f"{rule}-{kind}-{number}")
    for kind, table in (("defect", DEFECTS), ("clean", CLEAN))
    for rule, samples in table.items()
    for number, sample in enumerate(samples, 1)
]
BY_NAME = {rule.name: rule for rule in EVERY_RULE}


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_a_rule_finds_its_defects_and_nothing_else(name: str, sample: Sample) -> None:
    remarks = list(BY_NAME[name].check(Workflow(sample.document, sample.triggers)))
    assert [f"in trigger {each.path}" if each.trigger else each.path for each in remarks] == sample.at
    assert all(each.message and not each.message.endswith(".") for each in remarks)


@pytest.mark.parametrize(("name", "sample"), CASES)
def test_the_samples_are_valid(name: str, sample: Sample) -> None:
    """Only members that the language does not have yet are refused."""
    extensions = {"when"}
    text = str(sample.document)
    if not any(f"'{each}'" in text for each in extensions):
        parse_config(sample.document)
    for each in sample.triggers:
        parse_definition({"event": each.event, "filter": each.filter, "vars": dict(each.variables), "workflowID": "x"})


def test_every_rule_has_three_seeded_defects() -> None:
    assert list(DEFECTS) == list(BY_NAME) == list(CLEAN)
    assert all(len(samples) >= 3 and all(each.at for each in samples) for samples in DEFECTS.values())
    assert not any(each.at for samples in CLEAN.values() for each in samples)


def test_every_rule_is_run() -> None:
    """A rule about a member that the language lacks would not be."""
    assert set(BY_NAME) == set(RULES)


def test_rules_that_need_a_trigger_find_nothing_without_one() -> None:
    for name, samples in DEFECTS.items():
        if BY_NAME[name].needs_trigger:
            assert not [found for each in samples for found in BY_NAME[name].check(Workflow(each.document))]
