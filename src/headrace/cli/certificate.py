"""`headrace certificate`: a signed statement that the books show a case as recorded, and its check without a server."""

from __future__ import annotations

import json
import sys
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.completion import instance_ids
from headrace.cli.display import hanging, money
from headrace.cli.errors import REFUSED, USAGE, Failure
from headrace.cli.registration import command, new_group
from headrace.cli.session import KeyOption, Printer, Session

Json = dict[str, Any]

group = new_group("Certify what cases did, and check certificates without a server.")


@command(group, "create")
def create(
    session: Session,
    instance: Annotated[
        str | None,
        typer.Argument(metavar="[INSTANCE]", help="An instance that has ended.", autocompletion=instance_ids),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="AGE|TIME", help="Certify a period: its first moment.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="AGE|TIME", help="The first moment after it; 0s is now.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="List the ledgers' transactions of the period, too.")] = False,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write the signed file; - is standard output.")
    ] = None,
    idempotency_key: KeyOption = None,
) -> None:
    """Check a case, or all cases of a period, against the books; sign what they show.

    Books nothing. Refused, with the reason, where history and books do not agree.
    --from and --to certify the cases that ended from one moment to before the other:
    2026-01-01 (UTC), a date-time, or an age such as 7d.
    """
    if (instance is None) is (start is None) or (start is None) is not (end is None) or (full and start is None):
        raise Failure("give either INSTANCE, or --from and --to (and --full)", code=USAGE)
    if start is not None and end is not None:
        from headrace.cli.periods import moment_since

        made = session.ext.create_period_certificate(
            from_=moment_since(start, option="--from"),
            to=moment_since(end, option="--to"),
            full=full,
            idempotency_key=idempotency_key,
        ).data
    else:
        made = session.ext.create_certificate(instance_id=instance, idempotency_key=idempotency_key).data
    if out == "-":
        sys.stdout.write(made.certificate + "\n")
        return
    if out is not None:
        Path(out).write_text(made.certificate + "\n", encoding="ascii")
    document = {"id": made.id, "sha": made.sha, "kid": made.kid, "payload": made.payload}
    session.show(
        {"certificate": document},
        lambda: [*_lines(made.payload), *_stored_lines(made.id, out)],
        ids=[made.id],
    )


@command(group, "keys")
def keys(
    session: Session,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the keys to this file.")] = None,
) -> None:
    """Read the public keys of a server, to be pinned: kept, and used for every later check."""
    published = session.ext.get_certificate_keys().data.keys
    if out is not None:
        Path(out).write_text(json.dumps({"keys": published}, indent=2) + "\n", encoding="ascii")
    session.show(
        {"keys": published}, lambda: [_key_line(key) for key in published], ids=(key["kid"] for key in published)
    )


@command(group, "verify")
def verify(
    printer: Printer,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The certificate; - is standard input.")],
    pinned: Annotated[
        str, typer.Option("--keys", metavar="FILE", help="The pinned keys, as `headrace certificate keys` wrote them.")
    ],
    cases: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="FILE", help="A case that FILE, of a period, must have a line of. Repeatable."),
    ] = None,
    before: Annotated[
        list[str] | None,
        typer.Option(
            "--previous", metavar="FILE", help="The certificate of the period before. Repeatable, the newest first."
        ),
    ] = None,
) -> None:
    """Check a certificate without a server. The exit code is 1 if it is not genuine.

    Only the pinned keys are trusted, and only signed bytes are read. --case and --previous
    are certificates too, and are checked like it.
    """
    from headrace.certificates.envelope import require_line, require_previous
    from headrace.certificates.envelope import verify as check
    from headrace.errors import InvalidValue

    content = _content(file)
    others = {name: _content(name) for name in (*(cases or ()), *(before or ()))}
    try:
        document = json.loads(_content(pinned))
    except (ValueError, RecursionError):
        raise Failure(f"{pinned} is not JSON", code=USAGE) from None
    now = file
    try:
        payload = newest = check(content, document)
        for now in cases or ():
            require_line(payload, check(others[now], document))
        for now in before or ():
            found = check(others[now], document)
            require_previous(newest, others[now], found)
            newest = found
    except InvalidValue as error:
        match error.field:
            case "keys":
                raise Failure(f"{pinned}: {error.reason}", code=USAGE) from None
            case "certificate":
                raise Failure(f"{now} is not a genuine certificate: {error.reason}", code=REFUSED) from None
            case _:
                raise Failure(f"{now}: {error.reason}", code=REFUSED) from None
    printer.show({"certificate": payload}, lambda: ["The signature is good.", *_lines(payload)])


def _content(file: str) -> bytes:
    """The content of a file, without the blank lines that mail and editors add around it."""
    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).strip()
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", code=USAGE) from None


def _key_line(key: Json) -> str:
    retired = f", retired {display.moment(key['retiredAt'])}" if "retiredAt" in key else ""
    return f"{key['kid']}{retired}"


def _stored_lines(certificate_id: str, out: str | None) -> list[str]:
    written = [] if out is None or out == "-" else [f"The signed file is {out}."]
    return ["", f"Stored as certificate {certificate_id}.", *written]


def _lines(payload: Json) -> list[str]:
    """The content of a certificate, for a terminal of 80 columns."""
    if payload["kind"] == "period":
        return _period_lines(payload)
    instances: list[Json] = payload["instances"]
    names: dict[str, str] = payload.get("names", {})
    facts = [
        ("Case", payload["case"]),
        ("Outcome", _outcome(payload)),
        *(fact for each in instances for fact in _instance_facts(each, names)),
        ("Checked", f"{display.moment(payload['checkedAt'])}, by release {payload['release']}"),
        ("Journal", f"{payload['journal']} (the id of the database that was checked)"),
    ]
    found = display.fact_lines([(label, display.printable(text)) for label, text in facts])
    found += ["", "In the books" if payload["effects"] else "Nothing was booked"]
    for number, effect in enumerate(payload["effects"][:MAX_EFFECTS], 1):
        found += hanging(f"  {number}. {_effect(effect)}", "     ")
    if len(payload["effects"]) > MAX_EFFECTS:
        found.append(f"  and {len(payload['effects']) - MAX_EFFECTS:,} more: -o json has them all")
    found += _sum_lines(payload["assets"])
    exceptions: list[Json] = payload["exceptions"]
    if exceptions:
        found += ["", "Exceptions"]
        found += [line for each in exceptions for line in hanging(f"  {_exception(each)}", "    ")]
    return [*found, "", "It states the books as they were then. What was done later is not in it."]


def _outcome(payload: Json) -> str:
    """How the runs of a case have ended, and what has become of it by its undo."""
    instances: list[Json] = payload["instances"]
    runs = ", then ".join(each["outcome"] for each in takewhile(_is_no_undo, instances))
    match payload.get("undo", {}).get("state"):
        case None:
            return runs
        case "undone":
            return f"{runs}; all of it was taken back"
        case "undone_but":
            return f"{runs}; taken back but for the exceptions"
        case _:
            return f"{runs}; its undo FAILED: not all of it was taken back"


def _is_no_undo(instance: Json) -> bool:
    return instance["kind"] != "undo"


_KINDS = {"run": "Run", "continuation": "Continued", "undo": "Undo"}


def _instance_facts(instance: Json, names: dict[str, str]) -> list[tuple[str, str]]:
    """Facts of one instance of a case: when, by whom and why it was started, and who approved it."""

    def person(principal: str) -> str:
        return display.person(principal, names.get(principal))

    ended = f" to {display.moment(instance['endedAt'])}" if "endedAt" in instance else ""
    facts = [(_KINDS[instance["kind"]], f"{display.moment(instance['startedAt'])}{ended}")]
    if "reason" in instance:
        facts.append(("Because", instance["reason"]))
    facts.append(("Started by", person(instance["startedBy"])))
    asked = [each for each in instance["requestedBy"] if each != instance["startedBy"]]
    facts += [("Asked for by", ", ".join(map(person, asked)))] if asked else []
    plans: list[Json] = instance.get("approvals", [])
    for plan in plans:
        for each in plan["decisions"]:
            verdict = "Approved by" if each["verdict"] == "approve" else "Rejected by"
            said = f"{person(each['principal'])}, {display.moment(each['at'])}: {each['reason']}"
            facts.append((verdict, said))
        facts.append(("Plan", f"{plan['plan']}, {plan['hash']}"))
    return facts if plans else [*facts, ("Approved by", "no person: no approval was asked for")]


def _effect(effect: Json) -> str:
    """One effect as the books show it, in a sentence."""
    books = effect["books"]
    standing = _STANDINGS.get(books["standing"], "")
    if (pays := effect["request"].get("pays")) is not None:
        paid = f"{books['status']}, {money(books['paid'], pays['asset'])} paid" if "status" in books else standing
        asked = f"asked to pay {money(pays['amount'], pays['asset'])} to {pays['destination']}"
        return f"{pays['provider'] or 'The provider'} was {asked}: {paid}"
    if "postings" in books:
        moves = "; ".join(
            f"{each['source']} paid {money(each['amount'], each['asset'])} to {each['destination']}"
            for each in books["postings"]
        )
        back = ", taken back" if books["reverted"] else ""
        return f"{moves} (transaction {books['transaction']} of ledger {books['ledger']}{back})"
    status = f": {books['status']}" if "status" in books else standing and f": {standing}"
    return f"{effect['activity']} of stage {effect['stage']}{status}"


_STANDINGS = {
    "observed": "the account has this metadata",
    "overwritten": "the metadata was changed since",
    "attested": "a person has called it booked; the books do not show it",
    "absent": "was not booked",
    "not_excluded": "was not done; the service cannot show that",
}


def _period_lines(payload: Json) -> list[str]:
    previous, still_open = payload["previous"], payload["open"]
    facts = [
        ("Period", f"{display.moment(payload['from'])} to before {display.moment(payload['to'])}"),
        ("Cases", f"{payload['cases']:,} ended in it"),
        ("Open", f"{still_open['count']:,} had not ended" if still_open["count"] else "none"),
    ]
    if still_open["oldest"] is not None:
        facts.append(("Oldest", f"{still_open['oldest']['case']}, {display.moment(still_open['oldest']['startedAt'])}"))
    if previous is not None:
        facts += [("Previous", previous["id"]), ("It was to", f"before {display.moment(previous['to'])}")]
    facts += [
        ("Ledgers", _FULL if payload["full"] else "not listed: made without --full"),
        ("Checked", f"{display.moment(payload['checkedAt'])}, by release {payload['release']}"),
        ("Journal", payload["journal"]),
    ]
    found = [*display.fact_lines(facts), *_sum_lines(payload["assets"])]
    if still_open["atRest"]:
        amounts = [money(amount, asset) for asset, amount in still_open["atRest"].items()]
        found += ["", "On its way in open cases", *(f"  {amount}" for amount in amounts)]
    exceptions: list[Json] = payload["exceptions"]
    lines: list[Json] = payload["lines"]
    shown = [display.hanging(f"  {_exception(each)}", "    ") for each in exceptions]
    for line in lines:
        of_case: list[Json] = line.get("exceptions", [])
        shown += [display.hanging(f"  {line['case']}: {_exception(each)}", "    ") for each in of_case]
    if shown:
        found += ["", "Exceptions", *(text for each in shown[:MAX_EXCEPTIONS] for text in each)]
    if len(shown) > MAX_EXCEPTIONS:
        found.append(f"  and {len(shown) - MAX_EXCEPTIONS:,} more: -o json has them all")
    return found


def _sum_lines(assets: Json) -> list[str]:
    found: list[str] = []
    for asset, sums in assets.items():
        rows = [(money(sums[name], asset), text) for name, text in _SUMS.items() if sums[name] or name == "sent"]
        widest = max(len(amount) for amount, _ in rows)
        found += ["", asset, *(f"  {amount:>{widest}}  {text}" for amount, text in rows)]
    return found


MAX_EFFECTS = 50
"""Effects of a case that a terminal shows."""
MAX_EXCEPTIONS = 20
"""Exceptions of a period that a terminal shows."""
_FULL = "searched for what names Headrace and no case explains"
_SUMS = {
    "sent": "sent",
    "takenBack": "of it taken back",
    "in": "came in from payments",
    "out": "paid out",
    "issued": "issued from world",
    "retired": "retired to world",
    "stranded": "stranded",
    "attested": "not shown by the books",
}
"""The sums of an asset, and what they are for a reader. Those that are 0 are left out, but for what was sent."""


def _exception(found: Json) -> str:
    match found["kind"]:
        case "stranded":
            where = f"account {found['account']} of ledger {found['ledger']}"
            amount, why = money(abs(found["amount"]), found["asset"]), f"stage {found['stage']} was not finished"
            if found["amount"] < 0:
                return f"{amount} more have left {where} than came to it: {why}"
            return f"{amount} came to {where} and stayed there: {why}"
        case "payout":
            return f"stage {found['stage']}: the payout is {found['status']}"
        case "attested":
            amount = money(found["amount"], found["asset"])
            return f"stage {found['stage']}: a person has called {amount} booked; the books do not show it"
        case "went_on":
            return f"case {found['case']} ended here and has gone on since: it counts later"
        case "late":
            return "ended in an earlier period, and was recorded after its certificate"
        case "shared":
            where = f"transaction {found['transaction']} of ledger {found['ledger']}"
            return f"{money(found['amount'], found['asset'])} of {where} came in once: another case counts it"
        case "overwritten":
            return f"metadata that effect {found['key']} wrote was changed since"
        case "kept":
            stage = found["key"].split(":")[-2]
            return f"stage {stage} was not taken back: {found['why']}"
        case _:
            return f"{found['key']}: {found['why']}"
