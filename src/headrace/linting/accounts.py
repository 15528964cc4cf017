"""Rules about the accounts, wallets and ledgers of a send."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.linting.rule import Level, Remark, rule
from headrace.linting.workflow import Workflow, is_literal
from headrace.money import WORLD


@rule("overdraft-on", Level.WARNING)
def overdraft_on(workflow: Workflow) -> Iterator[Remark]:
    """The paying account may go below zero without limit: `allowOverdraft` is true.

    Leave `allowOverdraft` out, so that the ledger refuses what the account does not have. If a credit line is meant,
    allow the finding with that reason.
    """
    for send in workflow.sends:
        for party, member in send.payers:
            if party.members.get("allowOverdraft") in (True, "true"):
                account = party.members.get(member, WORLD)
                yield Remark(party.path_of("allowOverdraft"), f"`{account}` may be overdrawn without limit")


@rule("overdraft-from-variable", Level.ERROR)
def overdraft_from_variable(workflow: Workflow) -> Iterator[Remark]:
    """A variable decides whether an account may go below zero, so the caller or an event decides it.

    Write `true` or `false`. Where both are needed, use two workflows and let only trusted callers start the one with
    `true`.
    """
    for send in workflow.sends:
        for party, member in send.payers:
            value = party.members.get("allowOverdraft", False)
            if not is_literal(value):
                account = party.members.get(member, WORLD)
                yield Remark(party.path_of("allowOverdraft"), f"`{value}` decides whether `{account}` may be overdrawn")


@rule("ledger-missing", Level.ERROR)
def ledger_missing(workflow: Workflow) -> Iterator[Remark]:
    """An account of a send has no `ledger`. The server accepts the definition, and every run then fails at this stage.

    Add the `ledger` that the account is on.
    """
    for send in workflow.sends:
        for party in send.parties:
            if party.kind == "account" and party.ledger is None:
                yield Remark(party.path, f"{party.name} has no ledger: the stage fails whenever it runs")


@rule("same-account", Level.WARNING)
def same_account(workflow: Workflow) -> Iterator[Remark]:
    """Money moves from an account, or a wallet's balance, to itself.

    Correct one side. If only a trace on the account is wanted, use `update`.
    """
    for send in workflow.sends:
        source, destination = send.parties
        shares_ledger = source.ledger is not None and source.ledger == destination.ledger
        if (source.key is not None and source.key == destination.key) or (
            shares_ledger and source.account is not None and source.account == destination.account
        ):
            yield Remark(destination.path, f"{destination.name} is the source, too")
        elif not shares_ledger:
            for party in send.parties:
                if party.account == party.members.get("throughAccount", "") != WORLD:
                    yield Remark(party.path_of("throughAccount"), f"{party.name} is its own through account")


@rule("bridge-one-sided", Level.WARNING)
def bridge_one_sided(workflow: Workflow) -> Iterator[Remark]:
    """A send between two ledgers has its own through account on one side only; the other side uses `world`.

    Set `throughAccount` on both sides: money that is on its way then shows on both ledgers, and the sums that left one
    ledger can be compared with those that reached the other.
    """
    for send in workflow.sends:
        source, destination = send.parties
        if None in (source.ledger, destination.ledger) or source.ledger == destination.ledger:
            continue
        own = [party for party in send.parties if party.through != WORLD]
        if len(own) == 1:
            (other,) = (party for party in send.parties if party is not own[0])
            yield Remark(
                own[0].path_of("throughAccount"),
                f"`{own[0].through}` bridges ledger `{own[0].ledger}`, and `world` bridges `{other.ledger}`",
            )


@rule("wallet-by-name", Level.NOTE)
def wallet_by_name(workflow: Workflow) -> Iterator[Remark]:
    """A wallet is given by its name. The name is looked up when the stage runs, and a name can move to another wallet.

    Give the wallet's `id`.
    """
    for send in workflow.sends:
        for party in send.parties:
            if party.kind == "wallet" and party.members.get("name"):
                yield Remark(party.path_of("name"), f"the name `{party.members['name']}` decides which wallet is meant")
