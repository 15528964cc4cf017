"""`workflows validate` with the linter: text, JSON, SARIF, comments that allow a finding, triggers, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from headrace.cli.definitions import SourceFile
from headrace.cli.lint_comments import Allowance, allowances_of
from headrace.cli.lint_report import WIDTH, lines_of
from headrace.cli.linting import OF_COMMENTS, PlacedFinding
from headrace.linting.registry import EVERY_RULE
from headrace.linting.rule import Level

Headrace = Callable[..., Any]
Json = dict[str, Any]

PAYOUT = """\
name: payout
stages:
  - send:
      source: {account: {id: "${payer}", ledger: main, allowOverdraft: "${over}"}}
      destination: {wallet: {name: jane}}
      amount: {asset: USD/2, amount: 0}
"""
CLEAN = 'name: wait\nstages:\n  - delay: {duration: "${which}"}\n'
TRIGGER = {"event": "SAVED_PAYMENT", "filter": 'event.type == "PAY-IN" and event.status == "SUCCEEDED"'}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rules(ran: Any) -> list[str]:
    """The findings that are printed, as `line:column: level [rule]`."""
    return [line.partition(":")[2] for line in ran.out.splitlines() if line.endswith("]") and not line.startswith(" ")]


def test_a_finding_points_to_its_line_and_says_what_to_do(headrace: Headrace, folder: Path) -> None:
    (folder / "payout.yaml").write_text(PAYOUT)
    ran = headrace("workflows", "validate", "payout.yaml")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "payout.yaml:4:56: error [overdraft-from-variable]",
        "    `${over}` decides whether `${payer}` may be overdrawn",
        '    4 | …: {account: {id: "${payer}", ledger: main, allowOverdraft: "${over}"}}',
        "      |                                             ^",
        "    Write `true` or `false`. Where both are needed, use two workflows and let",
        "    only trusted callers start the one with `true`.",
        "payout.yaml:5:30: note [wallet-by-name]",
        "    the name `jane` decides which wallet is meant",
        "    5 |       destination: {wallet: {name: jane}}",
        "      |                              ^",
        "    Give the wallet's `id`.",
        "payout.yaml:6:30: warning [zero-amount]",
        "    the amount is 0",
        "    6 |       amount: {asset: USD/2, amount: 0}",
        "      |                              ^",
        "    Write the amount that is meant, or remove the stage.",
        "payout.yaml: valid, 1 stage",
        "Needs --variable over, payer",
    ]
    assert ran.err == "Linter: 1 error, 1 warning, 1 note\n"


def test_warnings_fail_with_strict_only_and_notes_never(headrace: Headrace, folder: Path) -> None:
    warned = PAYOUT.replace("${over}", "true").replace("name: jane", "id: w")
    noted = PAYOUT.replace(', allowOverdraft: "${over}"', "").replace("amount: 0", "amount: 1")
    codes = {
        (kind, strict): headrace("workflows", "validate", "-", *(["--strict"] if strict else []), stdin=text).code
        for kind, text in (("error", PAYOUT), ("warning", warned), ("note", noted), ("clean", CLEAN))
        for strict in (False, True)
    }
    assert [each for each, code in codes.items() if code == 1] == [("error", False), ("error", True), ("warning", True)]
    assert set(codes.values()) == {0, 1}


def test_a_program_reads_findings_beside_problems(headrace: Headrace, folder: Path) -> None:
    (folder / "payout.yaml").write_text(
        PAYOUT.replace("      amount: {", "      # headrace: allow zero-amount: why not\n      amount: {")
    )
    (folder / "pay-in.json").write_text(json.dumps({**TRIGGER, "name": "pay-in", "vars": {"payer": "event.x"}}))
    ran = headrace("-o", "json", "workflows", "validate", "payout.yaml", "--trigger", "pay-in.json")
    assert (ran.code, ran.err) == (1, "")
    found = json.loads(ran.out)["data"]
    assert found["valid"] is True
    (definition,) = found["definitions"]
    assert [(each["rule"], each["level"], each["line"], each["allowed"]) for each in definition["findings"]] == [
        ("world-from-variable", "error", 4, None),
        ("overdraft-from-variable", "error", 4, None),
        ("wallet-by-name", "note", 5, None),
        ("zero-amount", "warning", 7, "why not"),
    ]
    assert definition["findings"][0].keys() == {
        *("line", "column", "path", "rule", "level", "reason", "remedy", "allowed")
    }
    (made,) = found["triggers"]
    assert (made["file"], made["valid"], made["name"], made["event"]) == (
        "pay-in.json",
        True,
        "pay-in",
        "SAVED_PAYMENT",
    )
    assert [(each["rule"], each["path"]) for each in made["findings"]] == [("unbound-variable", "vars")]


# comments


def test_a_comment_with_a_reason_allows_the_line_below_it(headrace: Headrace) -> None:
    allowed = PAYOUT.replace(
        "      source:",
        "      # headrace: allow overdraft-from-variable: set by the treasury only\n\n      # a remark\n      source:",
    ).replace("      amount: {", "      # headrace:   allow  zero-amount : a marker\n      amount: {")
    ran = headrace("workflows", "validate", "-", "--strict", stdin=allowed)
    assert (ran.code, rules(ran)) == (0, ["8:30: note [wallet-by-name]"])
    assert ran.err == "Linter: 1 note, 2 allowed\n"


def test_each_comment_allows_one_rule(headrace: Headrace) -> None:
    both = PAYOUT.replace("amount: 0", "amount: 0, amount: 0").replace("amount: 0, ", "")
    both = both.replace("{wallet: {name: jane}}", "{wallet: {name: jane, balance: main}}")
    text = both.replace(
        "      source:",
        "      # headrace: allow wallet-by-name: x\n      # headrace: allow overdraft-from-variable: y\n      source:",
    )
    ran = headrace("workflows", "validate", "-", stdin=text)
    assert rules(ran) == [
        "3:1: ".replace("3", "4") + "note [unused-allow]",
        "7:30: note [wallet-by-name]",
        "8:30: warning [zero-amount]",
    ]


@pytest.mark.parametrize(
    "comment",
    [
        "allow zero-amount",
        "allow zero-amount:",
        "allow zero-amount:   ",
        "allow: no rule",
        "allow no-such-rule: reason",
        "allow",
    ],
)
def test_a_comment_without_a_reason_or_a_rule_allows_nothing(headrace: Headrace, comment: str) -> None:
    text = PAYOUT.replace("      amount: {", f"      # headrace: {comment}\n      amount: {{")
    ran = headrace("workflows", "validate", "-", stdin=text)
    assert [each for each in rules(ran) if "allow" in each or "zero" in each] == [
        "6:1: warning [invalid-allow]",
        "7:30: warning [zero-amount]",
    ]


def test_other_comments_are_no_business_of_the_linter(headrace: Headrace) -> None:
    text = f"# headrace: this is ours\n# headrace allow zero-amount: x\n# headrace: allowed\n{CLEAN}"
    assert rules(headrace("workflows", "validate", "-", stdin=text)) == []


def test_an_unused_comment_is_reported_only_where_its_rule_was_run(headrace: Headrace, folder: Path) -> None:
    text = CLEAN.replace("  - delay", "  # headrace: allow {}: y\n  - delay")
    (folder / "t.json").write_text(json.dumps({**TRIGGER, "vars": {"which": "event.id"}}))
    (folder / "w.yaml").write_text(text.replace("{}", "trigger-loop", 1))
    assert rules(headrace("workflows", "validate", "w.yaml")) == []
    assert rules(headrace("workflows", "validate", "w.yaml", "--trigger", "t.json")) == ["3:1: note [unused-allow]"]
    broken = text.replace("{}", "zero-amount", 1) + "---\nstages: []\n"
    assert rules(headrace("workflows", "validate", "-", stdin=broken)) == ["6:1: stages: must not be empty [stages]"]


def test_a_text_that_looks_like_a_comment_is_none() -> None:
    lines = [
        "a: |",
        "  # headrace: allow zero-amount: within a block",
        'b: "x',
        "  # headrace: allow zero-amount: within quotes",
        '  "',
        "# headrace: allow zero-amount: outside",
        "",
        "c: plain # headrace: allow zero-amount: not a line of its own",
        "d: >-",
        "  text",
        "  # headrace: allow zero-amount: within",
        "# headrace: allow zero-amount: last",
    ]
    source = SourceFile("x", "\n".join(lines).encode(), is_json=False)
    assert allowances_of(source) == [
        Allowance(6, 8, "zero-amount", "outside"),
        Allowance(12, 13, "zero-amount", "last"),
    ]
    ended = SourceFile("x", "\r\n".join(lines).encode(), is_json=False)
    assert allowances_of(ended) == allowances_of(source)
    assert allowances_of(SourceFile("x", source.body, is_json=True)) == []
    assert allowances_of(SourceFile("x", b"# headrace: allow zero-amount: x\n{", is_json=False)) == []


def test_comments_of_each_document_are_its_own(headrace: Headrace) -> None:
    comment = "# headrace: allow zero-amount: nothing here\n"
    ran = headrace("-o", "json", "workflows", "validate", "-", stdin=f"{comment}{CLEAN}---\n{comment}{PAYOUT}")
    found = json.loads(ran.out)["data"]["definitions"]
    unused = [[each["line"] for each in one["findings"] if each["rule"] == "unused-allow"] for one in found]
    assert unused == [[1], [6]]


# triggers


def test_a_trigger_starts_the_only_workflow_or_the_one_it_names(headrace: Headrace, folder: Path) -> None:
    (folder / "a.yaml").write_text(CLEAN)
    (folder / "b.yaml").write_text(CLEAN.replace("name: wait", "name: other").replace("which", "who"))
    made = {**TRIGGER, "vars": {"which": "event.id"}}
    (folder / "t.yaml").write_text(json.dumps({**made, "workflowID": "wait"}, indent=1))
    (folder / "any.json").write_text(json.dumps(made))
    one = headrace("workflows", "validate", "a.yaml", "--trigger", "any.json")
    assert (one.code, rules(one)) == (0, [])
    assert one.out.endswith("any.json: valid, a trigger on SAVED_PAYMENT\n")
    both = headrace("workflows", "validate", "a.yaml", "b.yaml", "--trigger", "t.yaml")
    assert (both.code, rules(both)) == (0, [])
    other = headrace("workflows", "validate", "b.yaml", "--trigger", "t.yaml")
    assert (other.code, len(rules(other))) == (1, 2)
    for file, text in (("any.json", "names no workflow"), ("t.yaml", "2 workflows with the name 'wait'")):
        ran = headrace("workflows", "validate", "a.yaml", "a.yaml", "b.yaml", "--trigger", file)
        assert ran.code == 2 and text in ran.err


def test_a_trigger_that_the_server_refuses_is_a_problem(headrace: Headrace, folder: Path) -> None:
    (folder / "a.yaml").write_text(CLEAN)
    (folder / "t.yaml").write_text(
        "event: X\nfilter: event.id ==\nvars:\n  which: 5\nextra: 1\n---\n[]\n---\na: &x 1\n"
    )
    ran = headrace("workflows", "validate", "a.yaml", "--trigger", "t.yaml")
    assert ran.code == 1
    places = [line.split(": ")[:2] for line in ran.out.splitlines() if line.startswith("t.yaml")]
    assert places[:3] == [["t.yaml:5:1", "extra"], ["t.yaml:2:1", "filter"], ["t.yaml:4:3", "vars.which"]]
    assert places[3][0] == "t.yaml:7:1" and places[4][0] == "t.yaml:9:4"
    assert ran.err == "5 problems in 3 of 4 definitions\n"
    gone = headrace("workflows", "validate", "a.yaml", "--trigger", "gone.yaml")
    assert gone.code == 2 and "gone.yaml" in gone.err and "a.yaml: valid" in gone.out


# SARIF

LEVELS = ["none", "note", "warning", "error"]
TEXT = {"type": "string", "minLength": 1}
MESSAGE = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": TEXT, "markdown": TEXT},
    "additionalProperties": False,
}
SARIF: Json = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": TEXT,
                                    "version": TEXT,
                                    "informationUri": {"type": "string", "format": "uri"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": TEXT,
                                                "shortDescription": MESSAGE,
                                                "help": MESSAGE,
                                                "helpUri": {"type": "string", "format": "uri"},
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "additionalProperties": False,
                                                    "properties": {"level": {"enum": LEVELS}},
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": TEXT,
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": LEVELS},
                                "message": MESSAGE,
                                "partialFingerprints": {"type": "object", "additionalProperties": TEXT},
                                "suppressions": {
                                    "type": "array",
                                    "uniqueItems": True,
                                    "items": {
                                        "type": "object",
                                        "required": ["kind"],
                                        "additionalProperties": False,
                                        "properties": {
                                            "kind": {"enum": ["inSource", "external"]},
                                            "justification": TEXT,
                                        },
                                    },
                                },
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "logicalLocations": {
                                                "type": "array",
                                                "items": {
                                                    "type": "object",
                                                    "additionalProperties": False,
                                                    "properties": {"fullyQualifiedName": TEXT},
                                                },
                                            },
                                            "physicalLocation": {
                                                "type": "object",
                                                "additionalProperties": False,
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "uri": {"type": "string", "format": "uri-reference"}
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                        },
                                                    },
                                                },
                                            },
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""The part of SARIF 2.1.0 that a report uses, by the standard's sections 3.13 to 3.52: names, types, requirements."""


def sarif(folder: Path) -> Json:
    report = json.loads((folder / "out.sarif").read_text())
    jsonschema_rs.Draft202012Validator(SARIF, validate_formats=True).validate(report)
    return report["runs"][0]


def test_sarif_holds_problems_findings_and_what_is_allowed(headrace: Headrace, folder: Path) -> None:
    (folder / "a b.yaml").write_text(
        PAYOUT.replace("      amount: {", "      # headrace: allow zero-amount: a marker\n      amount: {")
        + "---\n"
        + PAYOUT
    )
    (folder / "wrong.yaml").write_text("stages: []\n")
    (folder / "t.json").write_text("[]")
    ran = headrace("workflows", "validate", "a b.yaml", "wrong.yaml", "--trigger", "t.json", "--sarif", "out.sarif")
    assert ran.code == 1
    run = sarif(folder)
    declared = run["tool"]["driver"]["rules"]
    assert all(declared[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])
    described = {each["id"]: each["defaultConfiguration"]["level"] for each in declared}
    assert described == {
        **{rule.name: rule.level for rule in EVERY_RULE if rule.applies},
        **{name: level for name, (level, _, _) in OF_COMMENTS.items()},
        "stages": "error",
        "trigger": "error",
    }
    found = [
        (
            each["ruleId"],
            each["level"],
            each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            *each["locations"][0]["physicalLocation"]["region"].values(),
        )
        for each in run["results"]
    ]
    assert found == [
        ("stages", "error", "wrong.yaml", 1, 1),
        ("trigger", "error", "t.json", 1, 1),
        ("overdraft-from-variable", "error", "a%20b.yaml", 4, 56),
        ("wallet-by-name", "note", "a%20b.yaml", 5, 30),
        ("zero-amount", "warning", "a%20b.yaml", 7, 30),
        ("overdraft-from-variable", "error", "a%20b.yaml", 12, 56),
        ("wallet-by-name", "note", "a%20b.yaml", 13, 30),
        ("zero-amount", "warning", "a%20b.yaml", 14, 30),
    ]
    suppressed = [each.get("suppressions") for each in run["results"] if each["ruleId"] == "zero-amount"]
    assert suppressed == [[{"kind": "inSource", "justification": "a marker"}], None]
    prints = [*(print_ for each in run["results"] for print_ in each["partialFingerprints"].values())]
    assert len(set(prints)) == len(prints)
    assert "zero-amount:stages[0].send.amount.amount" in prints


def test_a_fingerprint_is_the_rule_and_the_path_wherever_the_line_is(headrace: Headrace, folder: Path) -> None:
    seen: list[list[Json]] = []
    for text in (PAYOUT, f"# a comment\n\n{PAYOUT}"):
        (folder / "w.yaml").write_text(text)
        headrace("workflows", "validate", "w.yaml", "--sarif", "out.sarif")
        seen.append([each["partialFingerprints"] for each in sarif(folder)["results"]])
    assert seen[0] == seen[1] and len(seen[0]) == 3


def test_a_file_elsewhere_has_an_absolute_uri(headrace: Headrace, folder: Path) -> None:
    file = folder / "w.yaml"
    file.write_text(PAYOUT)
    headrace("workflows", "validate", str(file), "--sarif", "out.sarif")
    location = sarif(folder)["results"][0]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == file.as_uri()
    assert location["logicalLocations"] == [{"fullyQualifiedName": "stages[0].send.source.account.allowOverdraft"}]
    ran = headrace("workflows", "validate", str(file), "--sarif", str(folder / "no" / "out.sarif"))
    assert ran.code == 2 and "out.sarif" in ran.err


def test_a_clean_report_has_no_results(headrace: Headrace, folder: Path) -> None:
    ran = headrace("workflows", "validate", "-", "--sarif", "out.sarif", stdin=CLEAN)
    assert (ran.code, ran.err) == (0, "")
    assert sarif(folder)["results"] == []


# excerpts


@pytest.mark.parametrize("length", [0, 10, 66, 67, 68, 100, 500])
@pytest.mark.parametrize("column", [1, 5, 60, 68, 90, 400])
def test_an_excerpt_fits_the_page_and_points_to_the_column(length: int, column: int) -> None:
    line = "".join(chr(0x21 + index % 90) for index in range(length))
    source = SourceFile("f", line.encode(), is_json=False)
    place = (source, 1, 1, column)
    shown = list(lines_of(PlacedFinding(*place, "", "rule", Level.NOTE, "word " * 40, "what to do " * 20)))
    assert all(len(each) <= WIDTH for each in shown)
    (excerpt,) = [each for each in shown if each.startswith("    1 | ")]
    (pointer,) = [each for each in shown if each.endswith("^")]
    if column <= length:
        assert excerpt[len(pointer) - 1] in (line[column - 1], "…")
        assert excerpt[len(pointer) - 1] == line[column - 1] or column in (1, length)


def test_an_excerpt_of_wide_or_hostile_characters_stays_in_place() -> None:
    source = SourceFile("f", "a:\t漢字 \x1b[31m x".encode(), is_json=False)
    shown = list(lines_of(PlacedFinding(source, 1, 1, 7, "", "rule", Level.NOTE, "m", "r")))
    assert shown[2:4] == ["    1 | a: 漢字 �[31m x", "      |         ^"]
    beyond = PlacedFinding(source, 1, 9, 1, "", "rule", Level.NOTE, "m", "r")
    assert not any("|" in each for each in lines_of(beyond))
