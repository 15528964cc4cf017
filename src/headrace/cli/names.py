"""Resolve workflows and triggers by id, or by name.

A name with versions stands for its current version. Any other name must be that of exactly one workflow or trigger.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from headrace.cli import display
from headrace.cli.errors import Failure
from headrace.cli.session import Session

if TYPE_CHECKING:
    from headrace_client import NamedWorkflow

MOST_SHOWN = 5
_UNKNOWN_THERE = (400, 404, 405, 501)
"""Statuses by which a server answers that has no such name, or no names with versions at all."""
_PAGE = 100

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Candidate = tuple[str, str, str]
"""Id, name, and when it was created."""


def named_workflow(session: Session, text: str) -> NamedWorkflow | None:
    """Return the name with versions that a text is; None where it is an id, or another name."""
    from headrace.usecases.names import is_name
    from headrace_client import Error, SDKError

    if not is_name(text):
        return None
    try:
        return session.ext.get_named_workflow(name=text).data
    except (Error, SDKError) as error:
        if error.status not in _UNKNOWN_THERE:
            raise
        return None


def named_workflows(session: Session) -> list[NamedWorkflow]:
    """Return all names with versions; none of a server that has no such names."""
    from headrace_client import Error, SDKError

    found: list[NamedWorkflow] = []
    try:
        page = session.ext.list_named_workflows(page_size=_PAGE).data
        found += page.data
        while page.next is not None:
            page = session.ext.list_named_workflows(cursor=page.next).data
            found += page.data
    except (Error, SDKError) as error:
        if error.status not in _UNKNOWN_THERE:
            raise
    return found


def workflow_ids_of(session: Session, text: str) -> tuple[str, ...]:
    """Return the ids of the workflows that a filter means: all versions of a name. Raises Failure where none is."""
    if not _ID.fullmatch(text) and (named := named_workflow(session, text)) is not None:
        return tuple(version.workflow_id for version in named.versions)
    return (workflow_id_of(session, text),)


def workflow_id_of(session: Session, text: str) -> str:
    """Return the id of a workflow given by id or name. Raises Failure unless exactly one has the name."""
    if _ID.fullmatch(text):
        return text
    if (named := named_workflow(session, text)) is not None:
        return named.workflow_id
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
