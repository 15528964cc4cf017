"""Tables that fit their terminal, style where it is wanted, and documents that move no cursor."""

from __future__ import annotations

import io
import json
import sys

import pytest

from headrace.cli import display
from headrace.cli.display import Heading, Output

ID = "01a20fb5-02a6-775f-b74c-38a910a9f6a2"
TIME = "2026-11-24 22:37:30.662Z"
COLUMNS = ["ID", "Created at", "Updated at", "Error"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def be_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called by the test itself: pytest puts its own standard output back between a fixture and its test."""
    for name in ("NO_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    return screen


def laid_out(width: int, monkeypatch: pytest.MonkeyPatch, *rows: list[str]) -> list[str]:
    be_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    return display.table_lines(COLUMNS, rows, spare="Updated at")


def test_a_wide_terminal_shows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    heading, row = laid_out(100, monkeypatch, [ID, TIME, TIME, "bad"])
    assert isinstance(heading, Heading)
    assert heading.split() == ["ID", "Created", "at", "Updated", "at", "Error"]
    assert row == f"{ID}  {TIME}  {TIME}  bad"


def test_a_narrower_one_does_without_what_can_be_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert laid_out(80, monkeypatch, [ID, TIME, TIME, "bad"])[1] == f"{ID}  {TIME}  bad"
    long = "no funds: users:1 has less than is asked for, " * 3
    rows = laid_out(80, monkeypatch, [ID, TIME, TIME, long])[1:]
    assert rows[0] == f"{ID}  {TIME}  no funds:"
    assert all(len(each) <= 80 for each in rows)
    assert " ".join(each[len(f"{ID}  {TIME}  ") :] for each in rows) == long.rstrip()


def test_a_narrow_one_has_a_line_for_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert laid_out(60, monkeypatch, [ID, TIME, TIME, ""], ["2", TIME, TIME, "bad"]) == [
        f"ID          {ID}",
        f"Created at  {TIME}",
        f"Updated at  {TIME}",
        "",
        "ID          2",
        f"Created at  {TIME}",
        f"Updated at  {TIME}",
        "Error       bad",
    ]


def test_a_pipe_reads_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert not sys.stdout.isatty()
    rows = [[ID, TIME, TIME, "bad\nworse"]]
    assert display.table_lines(COLUMNS, rows, spare="Updated at")[1] == f"{ID}  {TIME}  {TIME}  bad worse"


def test_wide_characters_keep_the_columns_straight() -> None:
    lines = display.table_lines(["Name", "Event"], [["日本", "a"], ["abcd", "b"], ["é", "c"]])
    assert [line.rstrip() for line in lines] == ["Name  Event", "日本  a", "abcd  b", "é     c"]


def test_headings_are_bold_where_style_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = be_terminal(monkeypatch)
    display.heading("Bold")
    monkeypatch.setenv("NO_COLOR", "1")
    display.heading("Not")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    display.heading("Neither")
    assert terminal.getvalue() == "\x1b[1mBold\x1b[0m\nNot\nNeither\n"


@pytest.mark.parametrize("output", [Output.JSON, Output.YAML])
def test_documents_move_no_cursor(output: Output) -> None:
    value = {"name": "a\x1b[2J\x9b\x7f\u202e\u2028b\U000e0001é"}
    text = display.document_text(value, output)
    assert all(line.isprintable() for line in text.split("\n"))
    assert "é" in text
    if output is Output.JSON:
        assert json.loads(text) == value


def test_errors_of_programs_are_documents(capsys: pytest.CaptureFixture[str]) -> None:
    display.error("VALIDATION", "no: 1", "try", Output.YAML)
    assert capsys.readouterr().err == "errorCode: VALIDATION\nerrorMessage: 'no: 1'\nhint: try\n"
    display.error("VALIDATION", "no", "", Output.JSON)
    assert capsys.readouterr().err == '{"errorCode":"VALIDATION","errorMessage":"no"}\n'
