"""`headrace events`: send events to the triggers, and publish once more what a publisher rejected."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli import display
from headrace.cli.documents import Json, documents
from headrace.cli.errors import USAGE, Failure
from headrace.cli.registration import command, new_group
from headrace.cli.session import KeyOption, Session

if TYPE_CHECKING:
    from headrace_client import Replay

LISTED = 100
"""Dead letters of one list, and of one replay."""

group = new_group("Send events to the triggers; list and replay dead letters.")


@command(group, "send", "s")
def send(
    session: Session,
    envelope: Annotated[
        str,
        typer.Argument(metavar="JSON|@FILE|-", help='{"type", "app", "version", "date", "payload", "id"}, or a list.'),
    ],
    idempotency_key: KeyOption = None,
) -> None:
    """Send one event or several.

    One with an `idempotency_key` or an `id`, or sent under the same key, starts a workflow once, however often it is
    sent. CloudEvents 1.0 are accepted too. Exit code 1: an event has a known identity and another payload.
    """
    from headrace.cli.json_arguments import json_argument
    from headrace.events import event_json

    value = json_argument(envelope, "the event", is_event=True)
    exact = event_json.stored(value).encode()  # integers of any length, the client's own encoder may refuse them
    sent = session.ext.send_events(events=exact, idempotency_key=idempotency_key).data
    counted: Json = {"accepted": sent.accepted, "repeated": sent.repeated, "conflicting": sent.conflicting}
    known = f", {sent.repeated} of them known before" if sent.repeated else ""
    if sent.conflicts:
        counted["conflicts"] = documents(sent.conflicts)
    session.show(counted, f"{_events(sent.accepted)} accepted{known}")
    if sent.conflicting:
        what = "in conflict: the identity is known, with another payload; nothing was started"
        named = "; ".join(f"entry {conflict.entry}: {conflict.key}" for conflict in sent.conflicts)
        raise Failure(f"{_events(sent.conflicting)} {what}", hint=named)


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"


@command(group, "dead-letters", has_ids=True)
def dead_letters(session: Session) -> None:
    """List the latest 100 events that a broker or an endpoint rejected, newest first.

    Once the cause is removed, `headrace events replay` publishes them again.
    """
    letters = session.ext.list_dead_letters().data
    lines: list[str] = []
    for letter in letters:
        facts = [
            ("Event", f"{letter.id} ({letter.event.get('type', '')})"),
            ("Publisher", letter.publisher),
            ("Since", display.moment(letter.dead_lettered_at)),
            ("Reason", letter.reason),
        ]
        lines += ([""] if lines else []) + display.fact_lines(facts)
    shown = lines or ["No event is a dead letter."]
    session.show({"deadLetters": documents(letters)}, lambda: shown, ids=(each.id for each in letters))


@command(group, "replay", has_ids=True)
def replay(
    session: Session,
    events: Annotated[
        list[str] | None,
        typer.Argument(metavar="EVENT", help="Ids of dead letters.  [default: all]", show_default=False),
    ] = None,
    publisher: Annotated[
        str | None, typer.Option("--publisher", metavar="NAME", help="Only those of this broker or endpoint.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Publish dead letters again, in the order of their events, once the cause is removed.

    Exit code 1: a publisher rejected one again, or cannot be reached; what is left stays a dead letter.
    """
    letters = session.ext.list_dead_letters().data
    chosen = [each for each in letters if publisher in (None, each.publisher) and (not events or each.id in events)]
    if unknown := sorted(set(events or ()) - {each.id for each in chosen}):
        raise Failure(f"not a dead letter: {', '.join(unknown)}", hint="`headrace events dead-letters` lists them")
    if not chosen:
        session.show({"replays": []}, "No event is a dead letter.", ids=())
        return
    wanted: dict[str, list[str]] = {}
    for each in reversed(chosen):
        wanted.setdefault(each.publisher, []).append(each.id)
    if not yes:
        _ask(wanted, " or more" if len(letters) == LISTED and not events else "")
    done: list[Replay] = []
    for name, ids in wanted.items():
        body: Json = {"publisher": name, "ids": ids} if events else {"publisher": name}
        is_more = True
        while is_more:  # without ids a request takes the first ones
            done.append(session.ext.replay_dead_letters(request_body=body).data)
            tried = len(done[-1].delivered) + len(done[-1].refused)
            is_more = not events and tried >= LISTED and bool(done[-1].delivered) and not done[-1].left
    delivered = [event for each in done for event in each.delivered]
    lines = [line for each in done for line in _replay_lines(each)]
    session.show({"replays": documents(done)}, lambda: lines, ids=delivered)
    kept = len({each.id for round_ in done for each in round_.refused}) + sum(each.left for each in done)
    if kept:
        raise Failure(f"{_events(kept)} not delivered; they stay dead letters")


def _ask(wanted: dict[str, list[str]], more: str) -> None:
    if not sys.stdin.isatty():
        raise Failure("this needs a yes, and there is no terminal to ask on: add --yes", code=USAGE)
    for name, ids in wanted.items():
        display.note(f"{_events(len(ids))}{more} to {name}")
    if not typer.confirm("Publish again?", err=True):
        raise Failure("nothing was published")


def _replay_lines(done: Replay) -> list[str]:
    lines = [f"{done.publisher}: {_events(len(done.delivered))} delivered"]
    lines += [f"  {each.id} was rejected again: {each.reason}" for each in done.refused]
    if done.left:
        lines.append(f"  {_events(done.left)} not tried: {done.unreachable or 'the request took too long'}")
    return lines
