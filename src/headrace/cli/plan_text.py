"""A plan as text, for the person who signs it: 80 columns, exact amounts, no word of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.cli import display
from headrace.cli.display import Heading
from headrace.cli.documents import members

Json = dict[str, Any]

COLUMNS = 80


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
    return [f"Stored with ID: {plan['id']}", f"State: {state}", *_approval_lines(plan.get("approvals"))]


def _approval_lines(approvals: Json | None) -> list[str]:
    """How many persons have to approve a plan, if a rule or a stage says so, and what persons have decided."""
    if approvals is None or (approvals["needed"] == 1 and not approvals["given"] and "rule" not in approvals):
        return []
    rule = f", by rule {approvals['rule']}" if "rule" in approvals else ""
    lines = [f"Approvals needed: {approvals['needed']}{rule}"]
    for each in approvals["given"]:
        done = "approved" if each["verdict"] == "approve" else "rejected"
        text = f"  {done} by {each['principal']}, {display.moment(each['decidedAt'])}: {each['reason']}"
        lines += _wrapped(text, "    ")
    return lines


def money(amount: int, asset: str) -> str:
    """`40.00 USD` for 4000 USD/2: exact, with all decimals of the asset."""
    currency, _, decimals = asset.partition("/")
    places = int(decimals or 0)
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(places + 1, "0")
    whole, fraction = (digits[:-places], digits[-places:]) if places else (digits, "")
    grouped = f"{int(whole):,}" if len(whole) <= 1_000 else whole
    return f"{sign}{grouped}{'.' if places else ''}{fraction} {currency}"


def _lines(plan: Json) -> Iterator[str | list[str]]:
    labels = _wallets_of(plan)
    name = plan["definition"].get("name") or "a workflow without a name"
    beginning: Json = plan.get("from") or {"stage": 0}
    yield Heading(f"Plan of {display.printable(name)}")
    if any("revert" in stage for stage in plan["definition"]["stages"]) and "redrive" not in plan:
        beginning = {"stage": 0}  # of the undo itself: it begins at its own first stage
    elif "instance" in beginning:
        yield f"  continues {beginning['instance']}"
    if plan["variables"]:
        yield _wrapped("  with " + ", ".join(f"{key}={value}" for key, value in plan["variables"].items()), "    ")
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
            yield _wrapped(f"  {_wait(wait)}", "    ")
        for effect in effects:
            number += 1
            yield _wrapped(f"  {number}. {_sentence(effect, labels)}", "     ")
            for balance in effect["balances"]:
                yield _wrapped(f"     {_balance(balance, effect, labels)}", "       ")
    yield from _assumed(plan)
    yield ""
    yield "Totals"
    for asset, total in plan["totals"].items():
        sums = [f"{label} {money(total[each], asset)}" for each, label in _SUMS.items() if total[each]]
        yield _wrapped(f"  {', '.join(sums) or money(0, asset)}", "    ")
    if not plan["totals"]:
        yield "  no money moves"
    yield ""
    yield from _verdict(plan, labels)


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
    return _wrapped(f"Stage {number}: {keyword}{why}", "  ")


def _awaited(plan: Json, stage: Json) -> Json:
    """The approvals that an instance waits for: `plan` is of the rest of it, which begins with this stage."""
    from headrace.workflows.variables import expand

    title = stage["approve"].get("title") if "approve" in stage else None
    titled = {} if title is None else {"title": expand(title, plan["variables"])}
    needed = plan["approvals"]
    return {"type": "approval", "approvals": needed["needed"], **members(needed, "rule"), **titled}


def _sentence(effect: Json, labels: dict[str, str]) -> str:
    """One effect in a sentence."""
    body = effect["body"]
    if effect.get("stands"):
        return "The payment is on its holding account already: nothing is booked."
    match effect["activity"]:
        case "AddAccountMetadata":
            _, _, ledger, _, account, *_ = effect["path"].split("/")
            added = ", ".join(f"{name}={value}" for name, value in body.items())
            return f"{account} on ledger {ledger} gets the metadata {added}"
        case "CreateTransferInitiation":
            held = "" if body["validated"] else ", once a person has validated it"
            kind = "pays" if body["type"] == "PAYOUT" else "transfers"
            amount = money(body["amount"], body["asset"])
            return f"{body['provider']} {kind} {amount} to {body['destinationAccountID']}{held}"
        case "RejectTransferInitiation":
            return f"The payout {_initiation_in(effect)}, which waits for validation, is rejected"
        case "ReverseTransferInitiation":
            amount = money(body["amount"], body["asset"])
            return f"The provider is asked to reverse the payout {_initiation_in(effect)} of {amount}"
        case activity if not effect["postings"]:
            return f"{activity} is sent to the {effect['service']} service, and declined"
        case _:
            return "; ".join(
                f"{_label(each['source'], labels)} pays {money(each['amount'], each['asset'])} to "
                f"{_label(each['destination'], labels)} (ledger {each['ledger']})"
                for each in effect["postings"]
            )


def _initiation_in(effect: Json) -> str:
    return effect["path"].split("/")[2]


def _balance(balance: Json, effect: Json, labels: dict[str, str]) -> str:
    asset = balance["asset"]
    text = (
        f"{_label(balance['account'], labels)}: {money(balance['before'], asset)} -> {money(balance['after'], asset)}"
    )
    is_source = any(each["source"] == balance["account"] for each in effect["postings"])
    return f"{text}, lacks {money(effect['missing'], asset)}" if is_source and effect.get("missing") else text


def _assumed(plan: Json) -> Iterator[str | list[str]]:
    from headrace.workflows.activities import ACTIVITIES

    found: dict[str, None] = {}
    for each in plan["assumptions"]:
        if each["type"] == "read":
            found[f"{ACTIVITIES[each['activity']].summary(each['input'])}: {_read(each['value'])}"] = None
        elif each["type"] == "ingestion":
            state = "stands" if each["stands"] else "is not booked yet"
            found[f"Payment {each['payment']} on ledger {each['ledger']} {state}"] = None
        elif each["type"] == "reversal":
            found[f"The provider carries out the reversal of payout {each['initiation']}"] = None
    if found:
        yield ""
        yield "Assumes that this stays so"
        for text in found:
            yield _wrapped(f"  {text}", "    ")


def _read(value: Json) -> str:
    """The finding of a read, as far as it decides who is paid."""
    if "data" in value and all("status" in each for each in value["data"]):
        return ", ".join(f"{each['id']} is {each['status']}" for each in value["data"]) or "found none"
    if "postings" in value:
        return "reverted already" if value.get("reverted") else "stands"
    if "status" in value and "reference" in value and "initialAmount" not in value:
        return str(value["status"])
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
            yield _wrapped(f"  {lacking} lacks {money(failure['missing'], failure['asset'])}.", "    ")
        else:
            yield _wrapped(f"  {failure['error']}", "    ")
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


def _wrapped(text: str, indent: str) -> list[str]:
    """Lines of at most 80 columns where the words allow it; the first keeps its own indentation."""
    own = text[: len(text) - len(text.lstrip())]
    first, *others = display.wrapped(display.printable(text).replace("\n", " "), COLUMNS, indent=indent) or [""]
    return [own + first.removeprefix(indent), *others]
