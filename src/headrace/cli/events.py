"""`headrace events send`: put an event where the triggers see it."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

import typer

from headrace.cli.exits import Failure
from headrace.cli.groups import command, new_group
from headrace.cli.session import KeyOption, Session


class Accepted(TypedDict):
    """The answer of `POST /ext/events`; release 0.1.0 gave `accepted` only."""

    accepted: int
    repeated: NotRequired[int]
    conflicting: NotRequired[int]
    conflicts: NotRequired[list[dict[str, Any]]]


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
    from headrace.cli.direct import json_argument, post
    from headrace.clock import RandomIds

    value = json_argument(envelope, "the event", is_event=True)
    key = idempotency_key or RandomIds().new()  # so that a call that was not answered can be repeated
    answer = post(session, "/ext/events", value, Accepted, status=202, idempotency_key=key)
    session.tell(dict(answer), _summary(answer))
    if conflicting := answer.get("conflicting", 0):
        raise Failure(
            f"{_events(conflicting)} in conflict: the identity is known, with another payload; nothing was started",
            hint=_named(answer.get("conflicts", [])),
        )


def _summary(answer: Accepted) -> str:
    repeated = answer.get("repeated", 0)
    known = f", {repeated} of them known before" if repeated else ""
    return f"{_events(answer['accepted'])} accepted{known}"


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"


def _named(conflicts: list[dict[str, Any]]) -> str:
    return "; ".join(f"entry {conflict['entry']}: {conflict['key']}" for conflict in conflicts)
