"""`headrace apply`: put the workflows and triggers of files under their names, in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli import display
from headrace.cli.errors import REFUSED, Failure
from headrace.cli.session import KeyOption, Session

if TYPE_CHECKING:
    from headrace.cli.apply_files import Documents
    from headrace.cli.linting import PlacedFinding

Json = dict[str, Any]

DEFAULT_SET = "default"


def apply(
    session: Session,
    file: Annotated[
        list[str],
        typer.Option("--file", "-f", metavar="DIR|FILE|-", help="A directory or a file, YAML or JSON; repeatable."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and write nothing.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete what this set has made, and the files do not hold.")
    ] = False,
    set_name: Annotated[
        str, typer.Option("--set", metavar="SET", help="Name of the set that owns what is made.")
    ] = DEFAULT_SET,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at warnings of the linter, too.")] = False,
    idempotency_key: KeyOption = None,
) -> None:
    """Put workflows and triggers of files under their names.

    A document with `kind: trigger` is a trigger, which names its workflow in `workflow`; every other one is a workflow.
    Each has a `name`. All are checked and linted before anything is sent, and put in one commit: all of them, or none.
    A second apply changes nothing. --prune deletes what an apply of the same --set has made and the files do not
    hold, workflows with all versions; it refuses a linked folder.
    """
    from headrace.cli.apply_files import read_documents
    from headrace.cli.linting import lint

    found = read_documents(file, prunes=prune)
    findings = _findings(found, lint)
    _require_good(session, found, findings, strict=strict)
    workflows, triggers = found.by_name()
    wanted: Json = {"set": set_name, "workflows": workflows, "triggers": triggers, "prune": prune, "dryRun": dry_run}
    applied = session.ext.apply(documents=wanted, idempotency_key=idempotency_key).data
    documents: list[Json] = [
        {"kind": each.kind, "name": each.name, "action": each.action, "version": each.version, "id": each.id}
        for each in applied.documents
    ]
    session.show(
        {"set": applied.set, "dryRun": applied.dry_run, "documents": documents},
        lambda: _lines(documents, is_dry=dry_run),
        ids=(each["id"] for each in documents),
    )


def _findings(found: Documents, lint: Any) -> list[PlacedFinding]:
    """Run the linter. A trigger whose workflow is not in the files is linted by itself only."""
    names = {each.definition.config.name for each in found.workflows if each.definition is not None}
    known = [each for each in found.triggers if each.definition is not None and each.definition.workflow_id in names]
    if any(each.findings for each in found.all):
        return []
    return lint(found.workflows, known)


def _require_good(session: Session, found: Documents, findings: list[PlacedFinding], *, strict: bool) -> None:
    """Show problems and findings. Raises Failure where nothing may be written."""
    from headrace.cli.lint_report import lines_of, summary
    from headrace.linting.rule import Level

    problems = [
        f"{each.file}:{one.line}:{one.column}: {one} [{one.rule}]" for each in found.all for one in each.findings
    ]
    failing = (Level.ERROR, Level.WARNING) if strict else (Level.ERROR,)
    is_stopped = bool(problems) or any(each.level in failing and not each.is_allowed for each in findings)
    if session.is_for_people or is_stopped:
        for line in problems:
            display.note(line)
        for finding in findings:
            if not finding.is_allowed and finding.level is not Level.NOTE:
                for line in lines_of(finding):
                    display.note(line)
    if session.is_for_people:
        for file in found.skipped:
            display.note(f"{file}: cases for `headrace test`, not applied")
    if is_stopped:
        counted = f"{len(problems)} problems" if len(problems) > 1 else "1 problem" if problems else summary(findings)
        raise Failure(f"nothing was applied: {counted}", code=REFUSED)


def _lines(documents: list[Json], *, is_dry: bool) -> Iterator[str]:
    rows = [[each["action"], each["kind"], each["name"], str(each["version"])] for each in documents]
    yield from display.table_lines(["Action", "Kind", "Name", "Version"], rows)
    changed = sum(each["action"] != "unchanged" for each in documents)
    if is_dry:
        yield f"{changed} would change. Nothing was written: leave --dry-run out."
    else:
        yield f"{changed} changed, {len(documents) - changed} unchanged."
