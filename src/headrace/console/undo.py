"""The undo of a run: a preview of what it would revert and keep, and the start of exactly that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from headrace.console.pages import status_for
from headrace.engine.cases import KeptEffect
from headrace.errors import HeadraceError, NotRunnable
from headrace.usecases.idempotency import Caller
from headrace.usecases.ports import Ports
from headrace.usecases.undo import UndoPreview, preview_undo, undo_instance
from headrace.usecases.undoing import check_external
from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.undo import reverted_key


@dataclass(frozen=True, slots=True)
class Undoing:
    """A preview as a page shows it. `reverts`: what is taken back, the last effect first, in sentences.

    `refusal`: why nothing can be undone now; then there is nothing else.
    """

    external: str
    hash: str = ""
    reverts: tuple[str, ...] = ()
    kept: tuple[KeptEffect, ...] = ()
    refusal: str = ""


async def previewed(ports: Ports, instance_id: str, given: str) -> Undoing:
    """Preview an undo by the books as they are. `given`: what to do with a paid payout. Raises InvalidValue."""
    external = check_external(given)
    try:
        preview = await preview_undo(ports, instance_id, external)
    except HeadraceError as reason:
        if status_for(reason) is None:
            raise
        return Undoing(external, refusal=str(reason))
    return Undoing(external, hash_of(preview), reverted(preview), (*preview.kept, *preview.blocked))


async def undo(ports: Ports, caller: Caller, instance_id: str, form: Mapping[str, str]) -> str:
    """Start the undo that the form has shown; the path of its run. Raises NotRunnable where it would do something else.

    After a start there is nothing to compare: the key of the form tells whether it was its own.
    """
    external = check_external(form.get("external", "keep"))
    if await ports.journal.successor(instance_id) is None:
        found = hash_of(await preview_undo(ports, instance_id, external))
        if found != form.get("hash", ""):
            raise NotRunnable("changed", "what the undo would revert has changed: it is shown as it is now")
    wanted = {"reason": form.get("reason", ""), "external": external}
    return f"runs/{(await undo_instance(ports, caller, instance_id, wanted)).target}"


def hash_of(preview: UndoPreview) -> str:
    """A hash of what an undo would revert, and how."""
    return sha256(msgspec.json.encode(preview.stages, order="sorted")).hexdigest()


def reverted(preview: UndoPreview) -> tuple[str, ...]:
    """Each effect that an undo would revert, in a sentence with its amount."""
    effects = {each.key: each for each in preview.effects}
    found = [effects[key] for stage in preview.stages if (key := reverted_key(stage)) in effects]
    return tuple(ACTIVITIES[effect.activity].summary(effect.input) for effect in found)
