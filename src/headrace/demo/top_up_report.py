"""Report on the demo's pay-ins: results compared with the pay-ins sent."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from headrace.demo.examples import Expected, TriggerExample
from headrace.demo.screen import Screen
from headrace.demo.top_ups import Outcome, TopUp, TopUps

EXPECTED = Expected(stages=(("GetPayment", "GetWallet", "CreateTransaction", "CreateTransaction", "CreditWallet"),))
"""Expected stages of one instance. The balances of wallets are compared in total."""


def problems(top_ups: TopUps, outcome: Outcome) -> list[str]:
    """Differences from the expected results, as sentences."""
    # One occurrence for each pay-in, and none for another payment.
    found, wrong = _by_payment(outcome), list[str]()
    for top_up in top_ups.all:
        of_this = found.pop(top_up.payment_id, [])
        if len(of_this) != 1:
            wrong.append(f"pay-in {top_up.label} has {len(of_this)} occurrences, not 1")
        wrong += [f"pay-in {top_up.label} started nothing: {each.error}" for each in of_this if each.error]
    wrong += [f"payment {payment_id} should not have matched the trigger" for payment_id in found]

    # One instance for each occurrence.
    named = sorted(each.workflow_instance_id for each in outcome.occurrences if each.workflow_instance_id)
    if sorted(outcome.instance_ids) != named:
        instances = len(outcome.instance_ids)
        wrong.append(f"the workflow has {instances} instances, its trigger's occurrences name {len(named)}")

    # What was paid in is in the wallets.
    wrong += [
        f"wallet {owner} holds {outcome.balances[owner, asset]} {asset}; its pay-ins come to {promised}"
        for (owner, asset), promised in top_ups.promised().items()
        if outcome.balances[owner, asset] != promised
    ]

    # Each repeated event was suppressed.
    wanted = {each.event_key: each.repeats for each in top_ups.all if each.repeats}
    wrong += [
        f"event {key} came again {wanted.get(key, 0)} times; suppressed {outcome.repeats.get(key, 0)}"
        for key in sorted(wanted.keys() | outcome.repeats.keys())
        if wanted.get(key, 0) != outcome.repeats.get(key, 0)
    ]
    return wrong


def instances_of(top_ups: TopUps, outcome: Outcome) -> dict[str, list[str]]:
    """The instances that each pay-in started, by its label."""
    started = _by_payment(outcome)
    return {
        each.label: [found.workflow_instance_id for found in started.get(each.payment_id, []) if not found.error]
        for each in top_ups.all
    }


def _by_payment(outcome: Outcome) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for occurrence in outcome.occurrences:
        found[occurrence.event["id"]].append(occurrence)
    return dict(found)


# Telling


def tell_trigger(screen: Screen, example: TriggerExample) -> None:
    rule = example.rule
    variables = ", ".join(f"{name} = {source}" for name, source in rule.vars.items())
    screen.line(f"  Trigger    {rule.name}: each {rule.event} starts the workflow of {example.folder.name}")
    screen.line(f"             if    {rule.filter}")
    screen.line(f"             with  {variables}", flush=True)


def tell_outcome(screen: Screen, top_ups: TopUps, outcome: Outcome) -> None:
    screen.heading(f"\nTrigger {top_ups.example.rule.name}: each pay-in, what came of it, and what it started")
    columns = ["Pay-in", "Appeared", "Amount", "Its event came from", "Delivered", "Suppressed", "Instances"]
    started = instances_of(top_ups, outcome)
    screen.table(columns, [_row(each, outcome, started[each.label]) for each in top_ups.all])


def _row(top_up: TopUp, outcome: Outcome, started: list[str]) -> list[str]:
    source, delivered = ("POST ext/events", top_up.by_hand) if top_up.by_hand else ("the sandbox", 1)
    suppressed = outcome.repeats.get(top_up.event_key, 0)
    amount = f"{top_up.asset} {top_up.amount}"
    return [top_up.label, top_up.appeared, amount, source, f"{delivered}x", f"{suppressed}x", str(len(started))]


def balance_rows(top_ups: TopUps, outcome: Outcome) -> list[list[str]]:
    """For the table of balances. A wallet is new: it held nothing."""
    name = top_ups.example.folder.name
    return [
        [name, f"wallet {owner}", asset, "0", str(has), str(wanted), "" if has == wanted else "DIFFERS"]
        for (owner, asset), wanted in sorted(top_ups.promised().items())
        for has in [outcome.balances[owner, asset]]
    ]


def fact_lines(top_ups: TopUps, outcome: Outcome) -> list[str]:
    by_hand = [each.by_hand for each in top_ups.all if each.by_hand]
    suppressed = sum(outcome.repeats.values())
    counts = (
        f"{len(top_ups.all)} pay-ins, {len(outcome.occurrences)} occurrences, {len(outcome.instance_ids)} instances"
    )
    return [
        f"{counts}; each wallet holds the exact sum of its pay-ins",
        f"{sum(by_hand)} deliveries of {len(by_hand)} events, before the kill and after it: {suppressed} suppressed",
        f"{top_ups.others} pay-ins that the filter leaves out started nothing",
    ]
