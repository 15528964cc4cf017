"""Reports of cases: lines of at most 80 columns for people, a document for programs, JUnit's XML for a pipeline."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from headrace.testing.checks import Verdict
from headrace.testing.results import Result, duration_text
from headrace.testing.virtual import START_AT

Json = dict[str, Any]
Verdicts = Sequence[tuple[str, Sequence[Verdict]]]
"""By the file that the cases are from."""

COLUMNS = 80
_INDENT = " " * 8
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_lines(verdicts: Verdicts) -> Iterator[str]:
    """One line for each case that passed; for one that failed, what was expected and what happened."""
    for file, of_file in verdicts:
        yield file
        for verdict in of_file:
            yield from wrapped(f"  {'FAIL' if verdict.differences else 'ok  '}  {verdict.case.name}", _INDENT)
            yield from failure_lines(verdict, _INDENT)
    total = sum(len(of_file) for _, of_file in verdicts)
    failed = sum(bool(verdict.differences) for _, of_file in verdicts for verdict in of_file)
    yield ""
    yield f"{total} {'case' if total == 1 else 'cases'}: {total - failed} passed, {failed} failed"


def failure_lines(verdict: Verdict, indent: str = "") -> Iterator[str]:
    """The differences, `-` expected and `+` happened, and the history of the run; nothing where there is none."""
    if not verdict.differences:
        return
    for difference in verdict.differences:
        yield f"{indent}{difference.about}"
        for line in difference.lines:
            yield from wrapped(f"{indent}  {line}", f"{indent}      ")
    if verdict.result is not None and verdict.result.stages:
        yield f"{indent}what happened"
        for line in history_lines(verdict.result):
            yield from wrapped(f"{indent}  {line}", f"{indent}      ")


def history_lines(result: Result) -> Iterator[str]:
    """The stages with the time from the start at which each began, and their activities."""
    for each in result.stages:
        stage = each.stage
        state = "" if stage.terminated_at is not None else ", open"
        state = f": {stage.error}" if stage.error else state
        yield f"{duration_text(stage.started_at - START_AT)} stage {stage.number} {stage.keyword}{state}"
        for row in each.activities:
            outcome = "done" if row.terminated_at is not None else "open"
            outcome = row.error or (f"needs attention: {row.last_failure}" if row.needs_attention else outcome)
            attempts = f", {row.attempt} attempts" if row.attempt > 1 else ""
            yield f"   {row.name}{attempts}: {outcome}"


def wrapped(line: str, indent: str) -> list[str]:
    """A line in lines of at most 80 columns, all but the first with this indent. A long word stays whole."""
    printable = "".join(each if each.isprintable() else "?" for each in line)
    wrapper = textwrap.TextWrapper(COLUMNS, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return wrapper.wrap(printable) or [""]


def document(verdicts: Verdicts) -> Json:
    """The same for programs."""
    return {
        "passed": not any(verdict.differences for _, of_file in verdicts for verdict in of_file),
        "files": [{"file": file, "cases": [_case(verdict) for verdict in of_file]} for file, of_file in verdicts],
    }


def _case(verdict: Verdict) -> Json:
    result = verdict.result
    found: Json = {"name": verdict.case.name, "passed": not verdict.differences}
    if result is not None:
        found |= {"outcome": result.outcome, "error": result.error, "effects": result.effects}
    return found | {"differences": [{"about": each.about, "lines": each.lines} for each in verdict.differences]}


def write_junit(verdicts: Verdicts, file: Path) -> None:
    """Write JUnit's XML. A run takes no time, so no time is reported. Raises OSError."""
    root = ET.Element("testsuites", name="headrace test")
    for name, of_file in verdicts:
        failures = sum(bool(verdict.differences) for verdict in of_file)
        attributes = {"name": _xml(name), "tests": str(len(of_file)), "failures": str(failures), "errors": "0"}
        suite = ET.SubElement(root, "testsuite", attributes)
        for verdict in of_file:
            case = ET.SubElement(suite, "testcase", classname=_xml(name), name=_xml(verdict.case.name))
            if verdict.differences:
                about = ", ".join(difference.about for difference in verdict.differences)
                failure = ET.SubElement(case, "failure", message=f"differs: {about}")
                failure.text = _xml("\n".join(failure_lines(verdict)))
    ET.indent(root)
    ET.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _xml(text: str) -> str:
    """Text without the characters that XML cannot hold, however they are written."""
    return _NOT_XML.sub("?", text)
