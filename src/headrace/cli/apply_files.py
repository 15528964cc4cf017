"""Read the documents that `headrace apply` puts: workflows, and triggers with `kind: trigger`, each with a name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from headrace.cli.definitions import STANDARD_INPUT, Checked, Finding, checked_document, placed, source_file
from headrace.cli.errors import USAGE, Failure
from headrace.cli.trigger_files import ANY_WORKFLOW, TRIGGER_RULE, CheckedTrigger, checked_trigger
from headrace.errors import InvalidValue, Problem

Json = dict[str, Any]

ENDINGS = (".yaml", ".yml", ".json")
KIND, TRIGGER = "kind", "trigger"
CASES = "cases"
NAME_RULE = "name"


@dataclass
class Documents:
    """All documents of an apply. `skipped` names files that hold cases for `headrace test`."""

    workflows: list[Checked] = field(default_factory=list[Checked])
    triggers: list[CheckedTrigger] = field(default_factory=list[CheckedTrigger])
    skipped: list[str] = field(default_factory=list[str])

    @property
    def all(self) -> list[Checked | CheckedTrigger]:
        return [*self.workflows, *self.triggers]

    def by_name(self) -> tuple[Json, Json]:
        """Definitions and triggers by name, as the API takes them. All of them are valid."""
        from headrace.usecases.names import is_name

        workflows: Json = {}
        triggers: Json = {}
        for each in self.workflows:
            assert each.definition is not None
            config = each.definition.config
            workflows[config.name or ""] = config.definition
        for each in self.triggers:
            assert each.read is not None
            members = dict(cast("Json", each.read.value))
            name = members.pop("name")
            if members.get("workflow") is None and is_name(members.get("workflowID") or ""):
                members["workflow"] = members.pop("workflowID")  # as a file for `workflows validate` names it
            triggers[name] = {
                member: value for member, value in members.items() if member != KIND and value is not None
            }
        return workflows, triggers


def read_documents(places: Iterable[str], *, prunes: bool = False) -> Documents:
    """Read files, and the files of directories and of those below them. Raises OSError, Failure.

    A document that has a problem, or no name, or that of another one, has findings. With `prunes` nothing may be passed
    over unseen: what is missing is deleted.
    """
    found = Documents()
    for place in places:
        for file in _files(place, prunes=prunes):
            _read(file, found)
    if not found.all:
        raise Failure("there is no workflow and no trigger: nothing to apply", code=USAGE)
    _require_names(found)
    return found


def _files(place: str, *, prunes: bool) -> Iterator[str]:
    if place == STANDARD_INPUT or not Path(place).is_dir():
        yield place
        return
    for folder, folders, names in os.walk(place, onerror=_fail):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        if prunes:
            _require_no_links(Path(folder), [*folders, *names])
        for name in sorted(names):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield str(Path(folder) / name)


def _fail(error: OSError) -> None:
    """A folder that cannot be read is no empty one."""
    raise error


def _require_no_links(folder: Path, names: Iterable[str]) -> None:
    """Require that a folder has no link to another folder, which is not read, nor one that leads nowhere."""
    for name in sorted(names):
        path = folder / name
        if not name.startswith(".") and path.is_symlink() and not path.is_file():
            raise Failure(
                f"{path} is a link to a folder, or leads nowhere: what it stands for would be pruned. "
                "Name the folder with --file, or leave --prune out",
                code=USAGE,
            )


def _read(file: str, found: Documents) -> None:
    source = source_file(file)
    for number, read in source.documents():
        value = None if read is None or isinstance(read, Finding) else read.value
        members = cast("Json", value) if isinstance(value, dict) else {}
        if members.get(KIND) == TRIGGER:
            found.triggers.append(checked_trigger(source, number, read))
        elif KIND in members:
            problem = Problem(KIND, f"must be {TRIGGER}; a workflow has no `kind`", "unknown-key")
            finding = placed(problem, None if isinstance(read, Finding) else read)
            found.workflows.append(Checked(source, number, findings=[finding]))
        elif CASES in members and "stages" not in members:
            found.skipped.append(source.label)
        else:
            found.workflows.append(checked_document(source, number, read))


def _require_names(found: Documents) -> None:
    from headrace.usecases.names import check_name

    seen: dict[tuple[str, str], str] = {}
    for each in found.all:
        if each.definition is None:
            continue
        is_trigger = isinstance(each, CheckedTrigger)
        name = each.definition.name if isinstance(each, CheckedTrigger) else each.definition.config.name
        kind = TRIGGER if is_trigger else "workflow"
        reason = ""
        if not name:
            reason = f"is required: the name under which the {kind} is put"
        else:
            try:
                check_name(name)
            except InvalidValue as error:
                reason = error.reason
        first = seen.setdefault((kind, name or ""), f"{each.file}, document {each.document}")
        if not reason and first != f"{each.file}, document {each.document}":
            reason = f"{name!r} is the name of another {kind}, too: {first}"
        if isinstance(each, CheckedTrigger) and each.definition.workflow_id == ANY_WORKFLOW:
            problem = Problem("workflow", "is required: the name of the workflow that it starts", TRIGGER_RULE)
            each.findings.append(placed(problem, each.read))
        if reason:
            rule = TRIGGER_RULE if is_trigger else NAME_RULE
            each.findings.append(placed(Problem("name", reason, rule), each.read))
