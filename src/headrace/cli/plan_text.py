"""A plan as text, for the person who signs it: 80 columns, exact amounts, no word of the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from headrace.cli import display
from headrace.cli.display import Heading, hanging, money
from headrace.cli.documents import members
from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.activity import check_complete, effect_names

Json = dict[str, Any]


def plan_lines(plan: Json) -> list[str]:
    """The whole plan: steps, assumptions, totals, verdict."""
    return [line for text in _lines(plan) for line in (text if isinstance(text, list) else [text])]


def stored_lines(plan: Json) -> list[str]:
    """The id of a plan that a server has stored, for how long it can be used or why not, and what was decided."""
    if "id" not in plan:
        return []
    state = plan["state"]
    if state in ("open", "approved"):
        state = f"{state} until {display.moment(plan['expiresAt'])}"
    elif "instanceID" in plan:
        state = f"{state} for instance {plan['instanceID']}"
    asked = hanging(f"Asked for by: {display.person(plan['requester'], plan.get('requesterName'))}", "  ")
    return [f"Stored with ID: {plan['id']}", *asked, f"State: {state}", *_approval_lines(plan)]


def _approval_lines(plan: Json) -> list[str]:
    """How many persons have to approve a plan, if a rule or a stage says so, and what persons have decided."""
    approvals: Json | None = plan.get("approvals")
    if approvals is None:
        return []
    if "instance" in plan or "rule" in approvals:
        rule = f", by rule {approvals['rule']}" if "rule" in approvals else ""
        lines = [f"Approvals needed: {approvals['needed']}{rule}"]
    elif approvals["given"]:
        given = sum(each["verdict"] == "approve" for each in approvals["given"])
        lines = [f"Approvals: {given or 'none'} given, none required"]
    else:
        lines = ["Approvals needed: none by a rule; a person may approve or reject it"]
    for each in approvals["given"]:
        done = "approved" if each["verdict"] == "approve" else "rejected"
        by = display.person(each["principal"], each.get("name"))
        text = f"  {done} by {by}, {display.moment(each['decidedAt'])}: {each['reason']}"
        lines += hanging(text, "    ")
    return lines


def _lines(plan: Json) -> Iterator[str | list[str]]:
    from headrace.workflows.variables import amount_assets

    labels, payouts = _wallets_of(plan), _payouts_of(plan)
    name = plan["definition"].get("name") or "a workflow without a name"
    beginning: Json = plan.get("from") or {"stage": 0}
    yield Heading(f"Plan of {display.printable(name)}")
    if _is_undo(plan) and "redrive" not in plan:
        beginning = {"stage": 0}  # of the undo itself: it begins at its own first stage
    elif "instance" in beginning:
        yield f"  continues {beginning['instance']}"
    if plan["variables"]:
        assets = amount_assets(plan["definition"]["stages"], plan["variables"])
        yield hanging("  with " + ", ".join(variable_texts(plan["variables"], assets)), "    ")
    yield ""
    number = 0
    for stage, each in enumerate(plan["definition"]["stages"]):
        effects = [effect for effect in plan["effects"] if effect["stage"] == stage]
        waits = [wait for wait in plan["assumptions"] if wait["stage"] == stage and wait["type"] in _WAITS]
        is_before = stage < beginning["stage"]
        yield _title(plan, stage, each, is_before=is_before, is_reached=bool(effects or waits))
        if is_before or stage in plan["skipped"]:
            continue
        if stage == beginning["stage"] and "instance" in plan:
            waits.insert(0, _awaited(plan, each))
        for wait in waits:
            yield hanging(f"  {_wait(wait)}", "    ")
        for effect in effects:
            number += 1
            yield hanging(f"  {number}. {_sentence(effect, labels, payouts)}", "     ")
            for balance in effect["balances"]:
                yield hanging(f"     {_balance(balance, effect, labels)}", "       ")
    yield from _assumed(plan, payouts)
    yield from _total_lines(plan)
    yield ""
    yield from _verdict(plan, labels)


def _total_lines(plan: Json) -> Iterator[str | list[str]]:
    yield ""
    yield "Totals"
    for text in total_texts(plan) or ["no money moves"]:
        yield hanging(f"  {text}", "    ")
    yield f"  balances as of {display.moment(plan['plannedAt'])}"


def total_texts(plan: Json) -> list[str]:
    """The sums of a whole plan, and what an undo takes back on each ledger."""
    back: Counter[tuple[str, str]] = Counter()  # by ledger and asset
    for effect in plan["effects"] if _is_undo(plan) else ():
        for each in effect["postings"]:
            back[each["ledger"], each["asset"]] += each["amount"]
    taken = [f"taken back {money(amount, asset)} on ledger {ledger}" for (ledger, asset), amount in back.items()]
    return [*sum_texts(plan["totals"], is_undo=_is_undo(plan)), *taken]


def sum_texts(totals: Json, *, is_undo: bool) -> list[str]:
    """For each asset, what is sent, booked in and paid out of it."""
    labels = _SUMS | ({"externalIn": "to come back from the provider"} if is_undo else {})
    return [
        ", ".join(f"{label} {money(total[each], asset)}" for each, label in labels.items() if total[each])
        or money(0, asset)
        for asset, total in totals.items()
    ]


def variable_texts(variables: dict[str, str], assets: dict[str, str]) -> Iterator[str]:
    """The variables as they were given; one that is an amount, which has an asset, also as money."""
    for name, text in variables.items():
        yield f"{name}={text}" + (f" ({money(int(text), assets[name])})" if name in assets else "")


def _is_undo(plan: Json) -> bool:
    return any("revert" in stage for stage in plan["definition"]["stages"])


_WAITS = ("event", "delay", "approval")
_SUMS = {"sent": "sent", "externalIn": "booked in from payments", "externalOut": "paid out"}


def _wait(wait: Json) -> str:
    if wait["type"] == "event":
        return f'waits for the event "{wait["event"]}"'
    if wait["type"] == "approval":
        title = f' of "{wait["title"]}"' if "title" in wait else ""
        rule = f", by rule {wait['rule']}" if "rule" in wait else ""
        return f"waits for {wait['approvals']} approval{'' if wait['approvals'] == 1 else 's'}{title}{rule}"
    return f"waits until {display.moment(wait['until'])}"


def _title(plan: Json, number: int, stage: Json, *, is_before: bool, is_reached: bool) -> list[str]:
    """The line of a stage, with the reason where nothing of it is planned."""
    from headrace.workflows.conditions import WHEN, parts_of

    keyword, _ = parts_of(stage)
    why = ""
    if is_before:
        why = " (done before)"
    elif number in plan["skipped"]:
        why = f" (skipped: {stage[WHEN]} is false)"
    elif not is_reached and number > _last_stage(plan):
        why = " (not reached)"
    return hanging(f"Stage {number}: {keyword}{why}", "  ")


def _awaited(plan: Json, stage: Json) -> Json:
    """The approvals that an instance waits for: `plan` is of the rest of it, which begins with this stage."""
    from headrace.workflows.variables import expand

    title = stage["approve"].get("title") if "approve" in stage else None
    titled = {} if title is None else {"title": expand(title, plan["variables"])}
    needed = plan["approvals"]
    return {"type": "approval", "approvals": needed["needed"], **members(needed, "rule"), **titled}


def _sentence(effect: Json, labels: dict[str, str], payouts: dict[str, Payout]) -> str:
    """One effect in a sentence."""
    if effect["activity"] in ("RejectTransferInitiation", "ReverseTransferInitiation"):
        initiation_id = effect["path"].split("/")[2]
        effect = {**effect, "payout": payouts.get(initiation_id, Payout(_short(initiation_id)))}
    if effect.get("stands"):
        return "The payment is on its holding account already: nothing is booked."
    return SENTENCES.get(effect["activity"], _sent)(effect, labels)


def _sent(effect: Json, labels: dict[str, str]) -> str:
    """An effect of a server that is newer than this command."""
    return f"{effect['activity']} is sent to the {effect['service']} service"


def _moved(effect: Json, labels: dict[str, str]) -> str:
    if not effect["postings"]:
        return f"{_sent(effect, labels)}, and declined"
    return "; ".join(
        f"{_label(each['source'], labels)} pays {money(each['amount'], each['asset'])} to "
        f"{_label(each['destination'], labels)} (ledger {each['ledger']})"
        for each in effect["postings"]
    )


def _noted(effect: Json, labels: dict[str, str]) -> str:
    _, _, ledger, _, account, *_ = effect["path"].split("/")
    added = ", ".join(f"{name}={value}" for name, value in effect["body"].items())
    return f"{account} on ledger {ledger} gets the metadata {added}"


def _initiated(effect: Json, labels: dict[str, str]) -> str:
    body = effect["body"]
    held = "" if body["validated"] else ", once a person has validated it"
    kind = "pay" if body["type"] == "PAYOUT" else "transfer"
    amount = money(body["amount"], body["asset"])
    final = "" if effect["reversible"] == "reject" else "; only the provider can undo it"
    return f"{body['provider']} is asked to {kind} {amount} to {body['destinationAccountID']}{held}{final}"


def _rejected(effect: Json, labels: dict[str, str]) -> str:
    return f"The {effect['payout'].words}, which waits for validation, is rejected"


def _reversed(effect: Json, labels: dict[str, str]) -> str:
    return f"{effect['payout'].provider} is asked to reverse its {effect['payout'].words}"


SENTENCES: dict[str, Callable[[Json, dict[str, str]], str]] = {
    "CreateTransaction": _moved,
    "AddAccountMetadata": _noted,
    "CreditWallet": _moved,
    "DebitWallet": _moved,
    "CreateTransferInitiation": _initiated,
    "RevertTransaction": _moved,
    "RejectTransferInitiation": _rejected,
    "ReverseTransferInitiation": _reversed,
}
"""By the name of an effect, its sentence in a plan."""
check_complete(SENTENCES, effect_names(), "sentence", "to SENTENCES of headrace.cli.plan_text")


def _balance(balance: Json, effect: Json, labels: dict[str, str]) -> str:
    asset = balance["asset"]
    text = (
        f"{_label(balance['account'], labels)}: {money(balance['before'], asset)} -> {money(balance['after'], asset)}"
    )
    is_source = any(each["source"] == balance["account"] for each in effect["postings"])
    return f"{text}, lacks {money(effect['missing'], asset)}" if is_source and effect.get("missing") else text


def _assumed(plan: Json, payouts: dict[str, Payout]) -> Iterator[str | list[str]]:
    found: dict[str, None] = {}
    for each in plan["assumptions"]:
        if initiations := _initiations_in(each):
            found |= {f"The {payouts[item['id']].words} is {item['status']}": None for item in initiations}
        elif each["type"] == "read":
            found[f"{ACTIVITIES[each['activity']].summary(each['input'])}: {_read(each['value'])}"] = None
        elif each["type"] == "ingestion":
            state = "stands" if each["stands"] else "is not booked yet"
            found[f"Payment {each['payment']} on ledger {each['ledger']} {state}"] = None
        elif each["type"] == "reversal":
            payout = payouts.get(each["initiation"], Payout(_short(each["initiation"])))
            found[f"{payout.provider} carries out the reversal of its {payout.words}"] = None
    if found:
        yield ""
        yield "Assumes that this stays so; else the run stops there"
        for text in found:
            yield hanging(f"  {text}", "    ")


class Payout(NamedTuple):
    """A payout or transfer that an undo deals with, in words that follow "the" or "its"."""

    words: str
    provider: str = "The provider"


def payout_words(given: Json) -> str:
    """A payout or transfer as it was asked for: `payout of 5.00 USD to acc_9`."""
    kind = "payout" if given.get("type", "PAYOUT") == "PAYOUT" else "transfer"
    return f"{kind} of {money(given['amount'], given['asset'])} to {given['destination']}"


def _short(initiation_id: str) -> str:
    """A payout of which the plan has no more than its id, which can be longer than a line."""
    return f"payout …{initiation_id[-12:]}"


def _initiations_in(assumption: Json) -> list[Json]:
    """The payouts and transfers that a read of an undo has found."""
    value: Json = assumption.get("value", {}) if assumption["type"] == "read" else {}
    found: list[Json] = value.get("data", [value])
    is_of_payouts = all("status" in each and "reference" in each and "initialAmount" not in each for each in found)
    return found if is_of_payouts else []


def _payouts_of(plan: Json) -> dict[str, Payout]:
    """The payouts that an undo has read, by id."""
    asked: Json = plan.get("payouts", {})
    found: dict[str, Payout] = {}
    for each in (item for assumption in plan["assumptions"] for item in _initiations_in(assumption)):
        if (given := asked.get(each["reference"])) is not None:
            found[each["id"]] = Payout(payout_words(given), given["provider"].upper())
        else:
            found[each["id"]] = Payout(f"{_short(each['id'])} of {money(each['amount'], each['asset'])}")
    return found


def _read(value: Json) -> str:
    """The finding of a read, as far as it decides who is paid."""
    if value.get("data") == []:
        return "found none"
    if "postings" in value:
        return "reverted already" if value.get("reverted") else "stands"
    if "data" in value:
        return f"found {len(value['data'])}: " + ", ".join(wallet["id"] for wallet in value["data"])
    if "initialAmount" in value:
        return f"{value['type']}, {value['status']}, {money(value['initialAmount'], value['asset'])}"
    metadata = ", ".join(f"{name}={text}" for name, text in value.get("metadata", {}).items())
    return metadata or "no metadata"


def _verdict(plan: Json, labels: dict[str, str]) -> Iterator[str | list[str]]:
    for name, opening in (("fails", "The run would FAIL"), ("ends", "Once that is funded, it would still FAIL")):
        failure = plan.get(name)
        if failure is None:
            continue
        yield Heading(f"{opening} at stage {failure['stage']}.")
        if "missing" in failure:
            lacking = f"{_label(failure['account'], labels)} (ledger {failure['ledger']})"
            yield hanging(f"  {lacking} lacks {money(failure['missing'], failure['asset'])}.", "    ")
        else:
            yield hanging(f"  {failure['error']}", "    ")
    if plan["verdict"] == "succeeds":
        yield Heading("The run would succeed.")
    yield f"Plan {plan['hash']}"


def _last_stage(plan: Json) -> int:
    """The last stage that the plan reaches."""
    end: Json | None = plan.get("ends") or plan.get("fails")
    return len(plan["definition"]["stages"]) if end is None or "missing" in end else end["stage"]


def _wallets_of(plan: Json) -> dict[str, str]:
    """Labels of the wallets that the plan reads, by the beginning of their accounts."""
    read = [each["value"] for each in plan["assumptions"] if each["type"] == "read" and each["activity"] == "GetWallet"]
    return {f"wallets:{wallet['id'].replace('-', '')}:": wallet.get("name") or wallet["id"] for wallet in read}


def _label(account: str, labels: dict[str, str]) -> str:
    for prefix, name in labels.items():
        if account.startswith(prefix):
            return f"wallet {name} (balance {account.removeprefix(prefix)})"
    return account
