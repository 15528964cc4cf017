"""`headrace events send`: put an event where the triggers see it."""

from __future__ import annotations

from typing import Annotated, TypedDict

import typer

from headrace.cli.groups import command, new_group
from headrace.cli.session import KeyOption, Session


class Accepted(TypedDict):
    accepted: int


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

    One with an `id`, or with a key, is taken once, however often it is sent.
    """
    from headrace.cli.direct import json_argument, post
    from headrace.clock import RandomIds

    value = json_argument(envelope, "the event")
    key = idempotency_key or RandomIds().new()  # so that a call that was not answered can be repeated
    accepted = post(session, "/ext/events", value, Accepted, status=202, idempotency_key=key)["accepted"]
    session.tell({"accepted": accepted}, f"{accepted} event{'' if accepted == 1 else 's'} accepted")
