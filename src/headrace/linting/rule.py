"""The definition of a rule, and the decorator that makes one of a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from headrace.linting.workflow import Trigger, Workflow


class Level(StrEnum):
    """How serious a finding is: an error fails the check, a warning with --strict, a note never."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Remark:
    """One place that breaks a rule: a path in the definition of a `trigger`, or in the workflow's without one."""

    path: str
    message: str
    trigger: Trigger | None = None


Check = Callable[[Workflow], Iterable[Remark]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by its stable `name`. `about` says what it finds, `remedy` what to do; both are Markdown.

    `needs_trigger`: it finds nothing in a workflow without triggers. `applies` is False while the language lacks the
    member that the rule is about: the rule is then neither run nor documented.
    """

    name: str
    level: Level
    about: str
    remedy: str
    check: Check
    needs_trigger: bool = False
    applies: bool = True


def rule(name: str, level: Level, *, needs_trigger: bool = False, applies: bool = True) -> Callable[[Check], Rule]:
    """Make a rule of a function. Its docstring has two paragraphs: what the rule finds, and what to do."""

    def register(check: Check) -> Rule:
        about, remedy = (" ".join(text.split()) for text in (inspect.getdoc(check) or "").split("\n\n"))
        return Rule(name, level, about, remedy, check, needs_trigger, applies)

    return register
