"""Run the linter on definitions that were read from files, and place each finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.cli.definitions import Checked, SourceFile
from headrace.cli.errors import USAGE, Failure
from headrace.cli.lint_comments import Allowance, allowances_of
from headrace.cli.trigger_files import ANY_WORKFLOW, CheckedTrigger
from headrace.linting.registry import EVERY_RULE, RULES, find
from headrace.linting.rule import Level
from headrace.linting.workflow import Trigger

INVALID_ALLOW = "invalid-allow"
UNUSED_ALLOW = "unused-allow"
OF_COMMENTS: dict[str, tuple[Level, str, str]] = {
    INVALID_ALLOW: (
        Level.WARNING,
        "A comment that should allow a finding has no reason, or names no rule, and therefore allows nothing.",
        "Write `# headrace: allow RULE: reason` above the line of the finding.",
    ),
    UNUSED_ALLOW: (
        Level.NOTE,
        "A comment allows a finding that does not exist in the line below it.",
        "Remove the comment, or move it to the line above the finding.",
    ),
}
"""Findings about comments by rule: level, meaning and remedy."""

_NAMES = {rule.name for rule in EVERY_RULE}


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding and its place. `reason` is that of the comment that allows it; empty if it is not allowed."""

    source: SourceFile
    document: int
    line: int
    column: int
    path: str
    rule: str
    level: Level
    message: str
    remedy: str
    reason: str = ""

    @property
    def is_allowed(self) -> bool:
        return bool(self.reason)


def lint(definitions: Sequence[Checked], triggers: Sequence[CheckedTrigger]) -> list[PlacedFinding]:
    """Lint every valid definition with the valid triggers that start it.

    Raises Failure if it is open which of several workflows a trigger starts.
    """
    starts = [(trigger, _workflow_of(trigger, definitions)) for trigger in triggers if trigger.definition is not None]
    found: list[PlacedFinding] = []
    for checked in definitions:
        found += _found_in(checked, [trigger for trigger, started in starts if started is checked])
    sources = {id(each.source): each.source for each in (*definitions, *triggers)}
    for source in sources.values():
        parts = [each for each in (*definitions, *triggers) if each.source is source]
        if all(each.definition is not None for each in parts):
            found = _after_comments(found, source, parts, has_triggers=bool(triggers))
    order = {identity: number for number, identity in enumerate(sources)}
    return sorted(found, key=lambda each: (order[id(each.source)], each.line, each.column))


def _workflow_of(trigger: CheckedTrigger, definitions: Sequence[Checked]) -> Checked | None:
    """The definition that a trigger starts: the only one, else the one that has the name that it gives."""
    assert trigger.definition is not None
    if len(definitions) == 1:
        return definitions[0]
    wanted = trigger.definition.workflow_id
    named = [each for each in definitions if each.definition is not None and each.definition.config.name == wanted]
    if len(named) != 1 and all(each.definition is not None for each in definitions):
        names = "no workflow" if wanted == ANY_WORKFLOW else f"{len(named)} workflows with the name {wanted!r}"
        hint = "Set workflowID in it to the name of one of the workflows."
        raise Failure(f"{trigger.file} starts one of several workflows, and names {names}", code=USAGE, hint=hint)
    return named[0] if named else None


def _found_in(checked: Checked, own: Sequence[CheckedTrigger]) -> list[PlacedFinding]:
    if checked.definition is None or checked.read is None:
        return []
    triggers = {_as_linted(trigger): trigger for trigger in own}
    found: list[PlacedFinding] = []
    for each in find(checked.read.value, list(triggers)):
        rule, remark = each.rule, each.remark
        part = checked if remark.trigger is None else triggers[remark.trigger]
        line, column = (part.read.locate(remark.path) if part.read is not None else None) or (1, 1)
        found.append(
            PlacedFinding(
                *(part.source, part.document, line, column),
                *(remark.path, rule.name, rule.level, remark.message, rule.remedy),
            )
        )
    return found


def _as_linted(trigger: CheckedTrigger) -> Trigger:
    assert trigger.definition is not None
    return Trigger(trigger.definition.event, trigger.definition.filter, trigger.definition.vars or {})


def _after_comments(
    found: list[PlacedFinding], source: SourceFile, parts: Sequence[Checked | CheckedTrigger], *, has_triggers: bool
) -> list[PlacedFinding]:
    """The findings with the reasons that comments of the file give, and the findings about these comments."""
    allowances = allowances_of(source)
    if not allowances:
        return found
    by_place = {(each.rule, each.target): each for each in allowances if each.rule}
    used: set[Allowance] = set()
    result: list[PlacedFinding] = []
    for finding in found:
        allowance = by_place.get((finding.rule, finding.line)) if finding.source is source else None
        if allowance is not None:
            used.add(allowance)
            finding = replace(finding, reason=allowance.reason)
        result.append(finding)
    for each in allowances:
        rule = RULES.get(each.rule)
        if each.rule not in _NAMES:
            message = (
                f"`{each.rule}` is no rule" if each.rule else "the comment allows nothing: it has no rule or no reason"
            )
            result.append(_about(each, INVALID_ALLOW, message, source, parts))
        elif each not in used and rule is not None and (has_triggers or not rule.needs_trigger):
            message = f"there is no finding of `{each.rule}` in line {each.target}"
            result.append(_about(each, UNUSED_ALLOW, message, source, parts))
    return result


def _about(
    allowance: Allowance, rule: str, message: str, source: SourceFile, parts: Sequence[Checked | CheckedTrigger]
) -> PlacedFinding:
    """A finding about a comment, in the document that holds the comment's target."""
    starts = [(each.read.locate("") or (1, 1), each.document) for each in parts if each.read is not None]
    document = max((number for (line, _), number in starts if line <= allowance.target), default=1)
    level, _, remedy = OF_COMMENTS[rule]
    return PlacedFinding(source, document, allowance.line, 1, "", rule, level, message, remedy)
