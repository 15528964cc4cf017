"""The table of balances before and after, one row for what each example expects, over all its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.demo.examples import Example, Expected
from headrace.demo.stack import Stack

Label = tuple[str, str, str]
"""Example, whose balance, asset."""


class Seeded(Protocol):
    @property
    def example(self) -> Example: ...
    @property
    def names(self) -> dict[str, str]: ...


def read_balances(stack: Stack, runs: Sequence[Seeded]) -> dict[Label, int]:
    totals: dict[Label, int] = {}
    for run in runs:
        expected, labels = run.example.expected(run.names), _labels(run.example)
        has = [stack.balance(each.ledger, each.account, each.asset) for each in expected.accounts]
        has += [stack.wallet_balance(each.wallet, each.asset) for each in expected.wallets]
        for label, balance in zip(labels, has, strict=True):
            totals[label] = totals.get(label, 0) + balance
    return totals


def balance_rows(
    runs: Sequence[Seeded], before: dict[Label, int], after: dict[Label, int]
) -> tuple[list[str], list[list[str]]]:
    """Rows of the table: a balance before and after, next to the promised one."""
    promised: dict[Label, int] = {}
    for run in runs:
        expected = run.example.expected(run.names)
        wanted = [each.balance for each in (*expected.accounts, *expected.wallets)]
        for label, balance in zip(_labels(run.example), wanted, strict=True):
            promised[label] = promised.get(label, 0) + balance
    rows = [
        [*label, str(before[label]), str(after[label]), str(wanted), "" if after[label] == wanted else "DIFFERS"]
        for label, wanted in sorted(promised.items())
    ]
    return ["Example", "Balance of", "Asset", "Before", "After", "Promised", ""], rows


def _labels(example: Example) -> list[Label]:
    """With `*` for what differs from run to run."""
    names = {"run": "*"} | {
        step["save_as"]: str(step.get("name", "")) for step in example.plan.seed if "save_as" in step
    }
    expected: Expected = example.expected({name: text.replace("${run}", "*") for name, text in names.items()})
    labels = [(example.name, f"{each.account} on {each.ledger}", each.asset) for each in expected.accounts]
    return labels + [(example.name, f"wallet {each.wallet}", each.asset) for each in expected.wallets]
