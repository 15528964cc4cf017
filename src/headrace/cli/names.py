"""Resolve workflows and triggers by id, or by a name that exactly one of them has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from headrace.cli import display
from headrace.cli.errors import Failure
from headrace.cli.session import Session

MOST_SHOWN = 5

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Candidate = tuple[str, str, str]
"""Id, name, and when it was created."""


def workflow_id_of(session: Session, text: str) -> str:
    """Return the id of a workflow given by id or name. Raises Failure unless exactly one has the name."""
    if _ID.fullmatch(text):
        return text
    found = session.v1.list_workflows().data
    return _chosen("workflow", text, [(each.id, each.config.name or "", _at(each.created_at)) for each in found])


def trigger_id_of(session: Session, text: str) -> str:
    """Return the id of a trigger given by id or name. Raises Failure unless exactly one has the name."""
    if _ID.fullmatch(text):
        return text
    found = session.v1.list_triggers().data
    return _chosen("trigger", text, [(each.id, each.name or "", _at(each.created_at)) for each in found])


def _at(moment: object) -> str:
    return display.moment(str(moment))


def _chosen(noun: str, text: str, candidates: Sequence[Candidate]) -> str:
    if any(text == candidate_id for candidate_id, _, _ in candidates):
        return text
    named = [candidate for candidate in candidates if candidate[1] == text]
    if len(named) == 1:
        return named[0][0]
    if not named:
        near = get_close_matches(text, {name for _, name, _ in candidates} - {""}, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"headrace {noun}s list shows them all."
        raise Failure(f"{noun} {text!r} does not exist: it is neither an id nor a name", hint=hint, kind="NOT_FOUND")
    shown = [f"{candidate_id}  created {created}" for candidate_id, _, created in named[:MOST_SHOWN]]
    more = [f"and {len(named) - MOST_SHOWN} older ones"] if len(named) > MOST_SHOWN else []
    raise Failure("\n  ".join([f"{len(named)} {noun}s are named {text!r}; give the id of one", *shown, *more]))
