"""`headrace events send`: send events to the triggers."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.documents import Json, documents
from headrace.cli.errors import Failure
from headrace.cli.registration import command, new_group
from headrace.cli.session import KeyOption, Session

group = new_group("Send events to the triggers.")


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
