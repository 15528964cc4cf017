"""Effects of earlier instances of a case, which a continuation meets again under the same keys.

What is done is never sent again: its recorded output answers the stage that asks for it, if it asks for the same. What
is not done may be sent, under the same key; with other content only where every earlier attempt was answered by a
refusal, since one that is still on its way would book what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from headrace.effects.port import Request
from headrace.effects.settlement import LOOKED_UP
from headrace.effects.wire import stored
from headrace.workflows.activities import Activity

NO_LONGER_FITS = "what was booked no longer fits"
NEEDS_SAME_BYTES = "an earlier attempt had no answer and may still arrive, so only the same request may be sent"
TIMES = frozenset({"scheduledAt"})
"""Members of a request that differ from one instance to the next, whatever it does."""


@dataclass(frozen=True, slots=True)
class EarlierEffect:
    """An effect as earlier instances left it. `request`: as it was sent; `output`: as history shows it, once done.

    `may_arrive`: it is not done, and an attempt had no answer.
    """

    activity: str
    request: Request
    is_done: bool
    may_arrive: bool = False
    output: Any = None

    def objection(self, activity: Activity, request: Request) -> str:
        """Why what a stage asks for now may not take its place; empty where it may."""
        if not self.is_done and not self.may_arrive:
            return ""
        found = "the activity" if activity.name != self.activity else difference(self.request, request)
        if not found:
            return ""
        return f"{NO_LONGER_FITS if self.is_done else NEEDS_SAME_BYTES}: {found}"

    def settled_by_look_up(self, activity: Activity) -> bool:
        """Whether the effect counts as sent before: its outcome is not known, or a look-up must come first."""
        return self.may_arrive or activity.settlement in LOOKED_UP

    def to_send(self, request: Request) -> Request:
        """The request of a further attempt: where one may still arrive, byte for byte that one."""
        return self.request if self.may_arrive else request


def difference(before: Request, now: Request) -> str:
    """The first place in which two requests differ, other than by their time, with both values; empty where none."""
    for name in ("service", "method", "path"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            return f"{name} is {new}, was {old}"
    old, new = (_members(request) for request in (before, now))
    return next(_differences(old, new, "body"), "")


def _members(request: Request) -> dict[str, Any]:
    if request.body is None:
        return {}
    return {name: value for name, value in stored(request).items() if name not in TIMES}


def _differences(old: object, new: object, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        before, now = cast("dict[str, object]", old), cast("dict[str, object]", new)
        for name in dict.fromkeys((*before, *now)):
            if name not in now:
                yield f"{path}.{name} is missing, was {_shown(before[name])}"
            elif name not in before:
                yield f"{path}.{name} is {_shown(now[name])}, was missing"
            else:
                yield from _differences(before[name], now[name], f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list):
        first, second = cast("list[object]", old), cast("list[object]", new)
        if len(first) != len(second):
            yield f"{path} has {len(second)} items, had {len(first)}"
        for number, (one, other) in enumerate(zip(first, second, strict=False)):
            yield from _differences(one, other, f"{path}[{number}]")
    else:
        was, found = cast("object", old), new
        if type(was) is not type(found) or was != found:
            yield f"{path} is {_shown(found)}, was {_shown(was)}"


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
