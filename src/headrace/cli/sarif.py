"""SARIF 2.1.0, the form in which code hosts read findings: https://docs.oasis-open.org/sarif/sarif/v2.1.0/."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.cli.definitions import Checked, Finding, SourceFile
from headrace.cli.linting import OF_COMMENTS, PlacedFinding
from headrace.cli.trigger_files import TRIGGER_RULE, CheckedTrigger
from headrace.linting.registry import RULES

Json = dict[str, Any]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_PAGES = "https://github.com/headrace/headrace/blob/main/docs"
_FINGERPRINT = "headrace/rule-and-path/v1"


def sarif_of(
    version: str, checked: Sequence[Checked], triggers: Sequence[CheckedTrigger], findings: Sequence[PlacedFinding]
) -> Json:
    """Build one run of SARIF: the problems of definitions, all as errors, and the findings of the linter.

    An allowed finding is a suppressed result. The fingerprint of a result is its rule and its path.
    """
    problems = [(each, problem) for each in (*checked, *triggers) for problem in each.findings]
    rules = _rules({problem.rule for _, problem in problems})
    numbers = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [*(_problem(each, problem) for each, problem in problems), *(map(_finding, findings))]
    for result in results:
        result["ruleIndex"] = numbers[result["ruleId"]]
    driver = {
        "name": "headrace",
        "version": version,
        "informationUri": f"{_PAGES}/how-to/lint.md",
        "rules": rules,
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules(broken: Iterable[str]) -> list[Json]:
    """Describe the rules of the linter, and those of definitions that are broken."""
    from headrace.workflows.rules import RULES as OF_DEFINITIONS

    meanings = {**OF_DEFINITIONS, TRIGGER_RULE: "The server refuses this trigger."}
    page = f"{_PAGES}/reference/lint-rules.md"
    described = [_rule(each.name, each.level, each.about, each.remedy, page) for each in RULES.values()]
    described += [_rule(name, *texts, page) for name, texts in OF_COMMENTS.items()]
    page = f"{_PAGES}/how-to/validate-in-the-editor.md"
    return described + [_rule(name, "error", meanings[name], "", page) for name in sorted(broken)]


def _rule(name: str, level: str, about: str, remedy: str, page: str) -> Json:
    described: Json = {
        "id": name,
        "shortDescription": {"text": about},
        "defaultConfiguration": {"level": str(level)},
        "helpUri": f"{page}#{name}" if remedy else page,
    }
    return described | ({"help": {"text": remedy, "markdown": remedy}} if remedy else {})


def _problem(checked: Checked | CheckedTrigger, problem: Finding) -> Json:
    place = (checked.source, checked.document, problem.line, problem.column)
    return _result(problem.rule, "error", problem.reason, problem.path, place)


def _finding(finding: PlacedFinding) -> Json:
    place = (finding.source, finding.document, finding.line, finding.column)
    result = _result(finding.rule, finding.level, f"{finding.message}. {finding.remedy}", finding.path, place)
    if finding.is_allowed:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.reason}]
    return result


def _result(rule: str, level: str, message: str, path: str, place: tuple[SourceFile, int, int, int]) -> Json:
    source, document, line, column = place
    location: Json = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(source.label)},
            "region": {"startLine": line, "startColumn": column},
        }
    }
    if path:
        location["logicalLocations"] = [{"fullyQualifiedName": path}]
    within = f"{document}:{path}" if document > 1 else path
    return {
        "ruleId": rule,
        "level": str(level),
        "message": {"text": message},
        "locations": [location],
        "partialFingerprints": {_FINGERPRINT: f"{rule}:{within}"},
    }


def _uri(label: str) -> str:
    """A file as a URI: relative where its name is, so that a code host finds it in the repository."""
    path = Path(label)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
