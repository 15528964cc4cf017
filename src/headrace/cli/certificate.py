"""`headrace certificate`: a signed statement that the books show a case as recorded, and its check without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.completion import instance_ids
from headrace.cli.errors import REFUSED, USAGE, Failure
from headrace.cli.plan_text import money
from headrace.cli.registration import command, new_group
from headrace.cli.session import KeyOption, Printer, Session

Json = dict[str, Any]

group = new_group("Certify what a case did, and check certificates without a server.")


@command(group, "create")
def create(
    session: Session,
    instance: Annotated[
        str, typer.Argument(metavar="INSTANCE", help="An instance that has ended.", autocompletion=instance_ids)
    ],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write the signed file; - is standard output.")
    ] = None,
    idempotency_key: KeyOption = None,
) -> None:
    """Check a case against the books of the services, and sign what they show.

    Books nothing. Refused, with the reason, where history and books do not agree.
    """
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
) -> None:
    """Check a certificate without a server. The exit code is 1 if it is not genuine.

    Only the pinned keys are trusted, and only signed bytes are read.
    """
    from headrace.certificates.envelope import verify as check
    from headrace.errors import InvalidValue

    content = _content(file)
    try:
        document = json.loads(_content(pinned))
    except (ValueError, RecursionError):
        raise Failure(f"{pinned} is not JSON", code=USAGE) from None
    try:
        payload = check(content, document)
    except InvalidValue as error:
        if error.field == "keys":
            raise Failure(f"{pinned}: {error.reason}", code=USAGE) from None
        raise Failure(f"{file} is not a genuine certificate: {error.reason}", code=REFUSED) from None
    printer.show({"certificate": payload}, lambda: ["The signature is good.", *_lines(payload)])


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
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
    instances: list[Json] = payload["instances"]
    effects: list[Json] = payload["effects"]
    facts = [
        ("Case", payload["case"]),
        ("Outcome", ", then ".join(each["outcome"] for each in instances)),
        ("Started by", instances[0]["startedBy"]),
        ("Checked", f"{display.moment(payload['checkedAt'])}, by release {payload['release']}"),
        ("Journal", payload["journal"]),
        ("Effects", _counted(effects)),
    ]
    found = display.fact_lines(facts)
    for asset, sums in payload["assets"].items():
        rows = [(money(sums[name], asset), text) for name, text in _SUMS.items() if sums[name] or name == "sent"]
        widest = max(len(amount) for amount, _ in rows)
        found += ["", asset, *(f"  {amount:>{widest}}  {text}" for amount, text in rows)]
    exceptions: list[Json] = payload["exceptions"]
    if exceptions:
        found += ["", "Exceptions", *(f"  {display.printable(_exception(each))}" for each in exceptions)]
    return found


_SUMS = {
    "sent": "sent",
    "in": "came in from payments",
    "out": "paid out",
    "issued": "issued from world",
    "retired": "retired to world",
    "stranded": "stranded",
    "attested": "not shown by the books",
}
"""The sums of an asset, and what they are for a reader. Those that are 0 are left out, but for what was sent."""


def _counted(effects: list[Json]) -> str:
    standings = [effect["books"]["standing"] for effect in effects]
    counts = {standing: standings.count(standing) for standing in dict.fromkeys(standings)}
    return ", ".join(f"{count} {standing.replace('_', ' ')}" for standing, count in counts.items()) or "none"


def _exception(found: Json) -> str:
    match found["kind"]:
        case "stranded":
            where = f"account {found['account']} of ledger {found['ledger']}"
            amount = money(found["amount"], found["asset"])
            return f"{amount} rest on {where}: stage {found['stage']} did not go on"
        case "payout":
            return f"stage {found['stage']}: the payout is {found['status']}"
        case "attested":
            return f"stage {found['stage']}: {money(found['amount'], found['asset'])}, by a person's word alone"
        case "overwritten":
            return f"metadata of effect {found['key']} was changed since"
        case _:
            return f"{found['key']}: {found['why']}"
