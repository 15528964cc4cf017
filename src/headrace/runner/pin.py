"""A pin: the effects that an instance may have, as a plan was signed.

An effect is compared before its intent is stored, so an effect that was not signed is neither stored nor sent. What is
compared is its commitment, all of it: service, activity, method, path and body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

import msgspec

from headrace.planning.commitments import commitment_of
from headrace.planning.document import COMMITTED
from headrace.workflows.activities import Activity, Json

MAX_CHARACTERS = 80
"""The length of a value in a message."""


class Pin:
    """The signed effects of a plan, by stage and ordinal, and the stages that it leaves out."""

    __slots__ = ("_effects", "_ends", "_skipped")

    def __init__(self, document: Json) -> None:
        effects: list[Json] = document["effects"]
        self._effects = {(each["stage"], each["ordinal"]): {name: each[name] for name in COMMITTED} for each in effects}
        self._skipped = frozenset[int](document["skipped"])
        self._ends: dict[int, int] = {}
        for stage, ordinal in self._effects:
            self._ends[stage] = max(self._ends.get(stage, 0), ordinal + 1)

    def deviation(self, effect: Activity, stage: int, ordinal: int, schemas: Mapping[str, str]) -> str | None:
        """How an effect differs from the one that was signed; None: it does not.

        Raises InvalidValue where no request can be made of the effect.
        """
        signed = self._effects.get((stage, ordinal))
        place = f"stage {stage}, effect {ordinal}"
        if signed is None:
            return f"{place}: {effect.name} is not signed"
        found = commitment_of(effect, stage, ordinal, schemas).shown()
        difference = next(_differences(found, signed, ""), None)
        return None if difference is None else f"{place}: {difference}"

    def skip_deviation(self, stage: int, *, is_skipped: bool) -> str | None:
        """How a stage that opens differs from what was signed: it is left out, or it is not; None: it does not."""
        if is_skipped == (stage in self._skipped):
            return None
        return (
            f"stage {stage} is skipped, and was signed to run"
            if is_skipped
            else f"stage {stage} runs, signed to be skipped"
        )

    def left(self, stage: int, ordinal: int) -> str | None:
        """The signed effect that a stage which is about to end well has not had; None: it has had all.

        `ordinal`: how many it has had. What an earlier instance of the case had done is not among the signed effects.
        """
        for left in range(ordinal, self._ends.get(stage, 0)):
            if (signed := self._effects.get((stage, left))) is not None:
                name = signed["activity"]
                return f"stage {stage}, effect {left}: {name} is signed, and the stage has ended without it"
        return None


@lru_cache(maxsize=64)
def pin_of(document: str) -> Pin:
    """The pin of a stored plan, from the text of its document, which never changes."""
    return Pin(msgspec.json.decode(document))


_ABSENT = object()


def _differences(found: Any, signed: Any, path: str) -> Iterator[str]:
    """Each place where two values of JSON differ, with both values. `1` and `true` differ."""
    members, signed_members = _members(found), _members(signed)
    items, signed_items = _items(found), _items(signed)
    if members is not None and signed_members is not None:
        for name in [*members, *(name for name in signed_members if name not in members)]:
            inner = f"{path}.{name}" if path else name
            yield from _differences(members.get(name, _ABSENT), signed_members.get(name, _ABSENT), inner)
    elif items is not None and signed_items is not None:
        for number in range(max(len(items), len(signed_items))):
            ours = items[number] if number < len(items) else _ABSENT
            theirs = signed_items[number] if number < len(signed_items) else _ABSENT
            yield from _differences(ours, theirs, f"{path}[{number}]")
    elif type(found) is not type(signed) or found != signed:
        yield f"{path} is {_shown(found)}, signed {_shown(signed)}"


def _members(value: object) -> Json | None:
    return cast("Json", value) if isinstance(value, dict) else None


def _items(value: object) -> list[Any] | None:
    return cast("list[Any]", value) if isinstance(value, list | tuple) else None


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "absent"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."
