"""`headrace attention`, and `headrace instances resolve`: effects about which a person has to decide."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.completion import instance_ids
from headrace.cli.errors import USAGE, Failure
from headrace.cli.session import KeyOption, Session

if TYPE_CHECKING:
    from headrace_client import Attention

Json = dict[str, Any]


def attention(
    session: Session,
    instance: Annotated[
        str | None,
        typer.Option("--instance", metavar="INSTANCE", help="Only of this instance.", autocompletion=instance_ids),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most N effects.")] = 20,
) -> None:
    """List effects that need attention: whether money has moved is unknown, and a person has to decide."""
    from itertools import islice

    from headrace.cli.documents import documents

    found = list(
        islice(session.ext.iterate_attention(instance_id=instance, page_size=min(limit + 1, 1_000)), limit + 1)
    )
    shown = found[:limit]
    session.show(
        {"attention": documents(shown)},
        lambda: _all_lines(shown),
        ids=(effect.instance_id for effect in shown),
    )
    if len(found) > limit:
        display.note(f"These are the newest {limit}; --limit N shows more.")


def _all_lines(effects: list[Attention]) -> list[str]:
    if not effects:
        return ["No effect needs attention."]
    found: list[str] = []
    for number, effect in enumerate(effects):
        found += ([""] if number else []) + effect_lines(effect)
    return found


def effect_lines(effect: Attention) -> list[str]:
    """One effect, for a terminal of 80 columns: what it moves, and what is known of it."""
    moved = "" if effect.amount is None else f" {effect.amount} {effect.asset}"
    ended = "; the instance was aborted" if effect.aborted else ""
    place = f"stage {effect.stage}, activity {effect.position}"
    workflow = f" of {effect.workflow_name}" if effect.workflow_name else ""
    return display.fact_lines(
        [
            ("Effect", f"{effect.activity}{moved}{ended}"),
            ("Instance", effect.instance_id),
            ("Place", f"{place}{workflow}"),
            ("Since", f"{display.moment(effect.since)}, after {_counted(effect.attempts)}"),
            ("Request", f"{effect.request.method} {effect.request.path} ({effect.request.service})"),
            ("Key", effect.key),
            ("Booked?", effect.for_booked),
            ("Not booked?", effect.for_not_booked),
            ("Last failure", (effect.last_failure or "-").removeprefix("needs attention: ")),
        ]
    )


def _counted(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def resolve(
    session: Session,
    instance_id: Annotated[
        str, typer.Argument(metavar="INSTANCE", help="Id of the instance.", autocompletion=instance_ids)
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why you decide so; it is stored.")],
    booked: Annotated[bool, typer.Option("--booked", help="It was booked: the instance goes on.")] = False,
    not_booked: Annotated[
        bool, typer.Option("--not-booked", help="It was not booked: the instance ends, and nothing is sent again.")
    ] = False,
    transaction: Annotated[
        str | None, typer.Option("--transaction", metavar="LEDGER/ID", help="The transaction that shows it.")
    ] = None,
    initiation: Annotated[
        str | None, typer.Option("--initiation", metavar="ID", help="The transfer initiation that shows it.")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="What you have seen, in words.")] = None,
    stage: Annotated[
        int | None,
        typer.Option("--stage", metavar="N", min=0, help="The stage.  [default: that of the effect in question]"),
    ] = None,
    activity: Annotated[
        int | None,
        typer.Option("--activity", metavar="N", min=0, help="Its activity.  [default: the effect in question]"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Decide whether an effect that needs attention was booked.

    Shows the effect and asks before it writes. Needs the scope orchestration:approve.
    """
    from headrace.cli.documents import document

    if booked == not_booked:
        raise Failure("give either --booked or --not-booked", code=USAGE)
    evidence = _evidence(transaction, initiation, text)
    if stage is None or activity is None or not yes:
        effect = _effect_of(session, instance_id)
        if (stage, activity) not in ((None, None), (effect.stage, effect.position)):
            raise Failure(
                f"the effect that needs attention is activity {effect.position} of stage {effect.stage}", code=USAGE
            )
        stage, activity = effect.stage, effect.position
        if not yes:
            _ask(effect, is_booked=booked)
    body = {"outcome": "booked" if booked else "not_booked", "evidence": evidence, "reason": reason}
    resolution = session.ext.resolve_effect(
        instance_id=instance_id, number=stage, position=activity, request_body=body, idempotency_key=idempotency_key
    ).data
    then = "it is done" if booked else "it is closed, and is never sent again"
    session.show({"resolution": document(resolution)}, f"Activity {activity} of stage {stage}: {then}.")


def _evidence(transaction: str | None, initiation: str | None, text: str | None) -> Json:
    given = [each for each in (transaction, initiation, text) if each is not None]
    if len(given) != 1:
        raise Failure("give one of --transaction, --initiation and --text", code=USAGE)
    if initiation is not None:
        return {"initiationID": initiation}
    if text is not None:
        return {"text": text}
    ledger, _, number = (transaction or "").rpartition("/")
    if not ledger or not (number.isascii() and number.isdigit() and len(number) <= 30):
        raise Failure(f"--transaction {transaction!r} is not LEDGER/ID, such as main/12", code=USAGE)
    return {"ledger": ledger, "transactionID": int(number)}


def _effect_of(session: Session, instance_id: str) -> Attention:
    found = session.ext.list_attention(instance_id=instance_id).data.data
    if not found:
        raise Failure(f"no effect of instance {instance_id} needs attention")
    return found[0]


def _ask(effect: Attention, *, is_booked: bool) -> None:
    """Show the effect on standard error and wait for a yes. Raises Failure without one."""
    for line in effect_lines(effect):
        display.note(line)
    if not sys.stdin.isatty():
        raise Failure("this needs a yes, and there is no terminal to ask on: add --yes", code=USAGE)
    verdict = "BOOKED: the instance goes on" if is_booked else "NOT BOOKED: it is closed, and the instance ends"
    if effect.aborted:
        verdict = "BOOKED" if is_booked else "NOT BOOKED"
    if not typer.confirm(f"{verdict}. This is final. Store it?", err=True):
        raise Failure("nothing was stored")
