"""Every row of every table is the same after an export and an import, between any two databases."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import SystemClock
from headrace.errors import AlreadyOwned, TransferError, Unusable
from headrace.journal.archive import export_journal, import_journal, undo_export
from headrace.journal.port import Unit
from headrace.journal.transfer import DERIVED, SKIP, TABLES, Operator, RestingJournal, Row, Table, derived
from headrace.journal.writes import Publish, WantType
from tests.support.journals import adapter
from tests.support.resting import RESTING, rows_of

PAIRS = [(source, target) for source in RESTING for target in RESTING]
OPERATOR = Operator("operator:test", "0.0.0", "export-1")
LEFT_OUT = {
    "alembic_version": {"version_num"},
    "time_served": {"id"},
    "journal_state": {"id", "works_from"},
    "writers": {"id", "batch"},
    "clients": {"id", "name", "scopes", "secret", "created_at"},
    "signing_keys": {"kid", "algorithm", "created_at", "signs_from", "retired_at", "jwk"},
    "auth_state": {"id", "one", "edition"},
    **{table: set(names) for table, names in DERIVED.items()},
}
"""Columns that hold no fact of a journal: the revision of its schema, keys of tables with one row, values that
follow from the other columns, and credentials, which never leave in a file.
"""


def silent(table: str, count: int) -> None:
    """Reports nothing."""


def content(journal: RestingJournal) -> dict[str, list[Row]]:
    return {table.name: list(journal.rows(table)) for table in TABLES}


def uncovered(columns: dict[str, set[str]]) -> set[str]:
    """Columns that an export would lose, and those that it would look for in vain."""
    declared = {(table.name, name) for table in TABLES for name in table.names}
    there = {(table, name) for table, names in columns.items() for name in names - LEFT_OUT.get(table, set())}
    return {".".join(each) for each in declared ^ there}


def fill(path: Path, database: str) -> dict[str, list[Row]]:
    """Rows in every table. Returns them, as the journal reads them."""
    RESTING[database].create(path)
    with closing(RESTING[database].open(path)) as journal:
        with journal.transaction():
            for table in TABLES:
                rows = [{**row, "closed": None} if "closed" in row else row for row in rows_of(table)]
                journal.load(table, rows)
            journal.set_numbers(dict.fromkeys(journal.numbers(), 1_000))
        return content(journal)


@pytest.mark.parametrize("database", RESTING)
def test_every_table_and_column_of_the_schema_is_moved(database: str, tmp_path: Path) -> None:
    RESTING[database].create(tmp_path / "journal.db")
    assert uncovered(RESTING[database].columns(tmp_path / "journal.db")) == set()


@pytest.mark.parametrize("change", ["CREATE TABLE new (id TEXT)", "ALTER TABLE stages ADD COLUMN id TEXT"])
def test_a_new_table_or_column_that_is_not_moved_is_found(change: str, tmp_path: Path) -> None:
    RESTING["sqlite"].create(tmp_path / "journal.db")
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        connection.execute(change)
    assert uncovered(RESTING["sqlite"].columns(tmp_path / "journal.db")) == {f"{change.split()[2]}.id"}


def test_values_that_follow_from_a_row_are_made_anew() -> None:
    assert derived("triggers", {"name": "STRAẞE"}) == {"name_folded": "strasse"}
    body = b'{"scheduledAt":"2024-05-01T10:00:00Z","amount":1000000000000000000000000000000}'
    assert derived("activities", {"request_body": body}) == {"scheduled_at": "2024-05-01T10:00:00Z"}
    for other in (None, b"", b"{}", b'{"scheduledAt":', b'{"metadata":{"scheduledAt":"x"}}'):
        assert derived("activities", {"request_body": other}) == {"scheduled_at": None}
    assert derived("stages", {}) == {}


@pytest.mark.parametrize("database", RESTING)
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_is_read_as_it_was_loaded(database: str, table: Table, tmp_path: Path) -> None:
    RESTING[database].create(tmp_path / "journal.db")
    rows = rows_of(table)
    with closing(RESTING[database].open(tmp_path / "journal.db")) as journal:
        with journal.transaction():
            journal.load(table, iter(rows))
        assert list(journal.rows(table)) == sorted(rows, key=lambda row: [row[name] for name in table.key])
        assert journal.count(table) == len(rows)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_moved_journal_is_the_same(source: str, target: str, tmp_path: Path) -> None:
    expected = fill(tmp_path / "old/journal.db", source)
    file = tmp_path / "file"
    with closing(RESTING[source].open(tmp_path / "old/journal.db")) as old:
        exported = export_journal(old, file, OPERATOR, SystemClock(), is_copy=False, report=silent)
        assert old.state().closed == "moved"
    assert file.stat().st_mode & 0o777 == 0o600
    RESTING[target].create(tmp_path / "new/journal.db")
    with closing(RESTING[target].open(tmp_path / "new/journal.db")) as new:
        assert import_journal(new, file, OPERATOR, SystemClock(), report=silent) == exported
        found = content(new)
        last = found["audit"].pop()
        assert (last["seq"], last["operation"], last["target"]) == (1_001, "importJournal", "export-1")
        assert found == expected
        assert new.state().closed is None
        assert new.numbers() == {**exported.numbers, "audit": 1_001}
        assert set(exported.numbers.values()) == {1_000}, "no number is given twice, though rows were removed"


@pytest.mark.parametrize("target", RESTING)
async def test_numbers_go_on_after_the_imported_ones(target: str, tmp_path: Path) -> None:
    fill(tmp_path / "old/journal.db", "sqlite")
    with closing(RESTING["sqlite"].open(tmp_path / "old/journal.db")) as old:
        export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
    RESTING[target].create(tmp_path / "new/journal.db")
    with closing(RESTING[target].open(tmp_path / "new/journal.db")) as new:
        import_journal(new, tmp_path / "file", OPERATOR, SystemClock(), report=silent)
    async with adapter(target).open(tmp_path / "new/journal.db") as opened:
        unit = Unit()
        unit.add(WantType(type="E"))
        unit.add(Publish(type="E", happened_at=1, payload="{}", instance_id=None, depth=0))
        (published,) = await opened.commit(unit)
        assert published.seq == 1_001
        assert await opened.outbox_end() == 1_001


@pytest.mark.parametrize("target", RESTING)
def test_a_copy_leaves_the_journal_open_and_skips_numbers(target: str, tmp_path: Path) -> None:
    expected = fill(tmp_path / "old/journal.db", "sqlite")
    with closing(RESTING["sqlite"].open(tmp_path / "old/journal.db")) as old:
        assert expected["journal_state"][0]["outbox_end"] == 0
        with old.transaction():
            old.set_outbox_end(1_000)
            old.load(TABLES[4], [{"source": "to:bus", "position": 1_000, "served_s": 0}])
            old.load(TABLES[4], [{"source": "to:late", "position": 999, "served_s": 0}])
        export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=True, report=silent)
        assert old.state().closed is None
    RESTING[target].create(tmp_path / "new/journal.db")
    with closing(RESTING[target].open(tmp_path / "new/journal.db")) as new:
        import_journal(new, tmp_path / "file", OPERATOR, SystemClock(), report=silent)
        positions = {row["source"]: row["position"] for row in new.rows(TABLES[4])}
        assert (positions["to:bus"], positions["to:late"]) == (SKIP, 999)
        assert new.numbers()["outbox"] == SKIP
        assert new.numbers()["audit"] == SKIP + 1
        assert next(iter(new.rows(TABLES[2])))["outbox_end"] == SKIP


# owners


@pytest.mark.parametrize("database", RESTING)
async def test_a_running_owner_is_refused_and_goes_on(database: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    RESTING[database].create(path)
    async with adapter(database).open(path) as running:
        with pytest.raises(AlreadyOwned):
            RESTING[database].open(path)
        await running.check()


@pytest.mark.parametrize("database", RESTING)
async def test_no_server_starts_on_a_moved_journal_until_that_is_undone(database: str, tmp_path: Path) -> None:
    path = tmp_path / "old/journal.db"
    fill(path, database)
    with closing(RESTING[database].open(path)) as old:
        export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
        with pytest.raises(TransferError, match=r"was exported at .* UTC"):
            export_journal(old, tmp_path / "other", OPERATOR, SystemClock(), is_copy=True, report=silent)
    assert [each.name for each in tmp_path.glob("other*")] == []
    with pytest.raises(Unusable, match=r"was exported at .* UTC, and its instances go on"):
        async with adapter(database).open(path):
            pass
    with closing(RESTING[database].open(path)) as old:
        undo_export(old, OPERATOR, SystemClock())
        with pytest.raises(TransferError, match="nothing to undo"):
            undo_export(old, OPERATOR, SystemClock())
    async with adapter(database).open(path) as opened:
        assert [each.operation for each in await opened.audit(2**62, 2)] == ["undoExportJournal", "exportJournal"]


# all or nothing


@pytest.mark.parametrize("target", RESTING)
def test_a_journal_with_rows_is_refused_and_names_them(target: str, tmp_path: Path) -> None:
    fill(tmp_path / "old/journal.db", "sqlite")
    with closing(RESTING["sqlite"].open(tmp_path / "old/journal.db")) as old:
        export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
    for table in TABLES:
        if table.has_one_row:
            continue
        path = tmp_path / table.name / "journal.db"
        RESTING[target].create(path)
        with closing(RESTING[target].open(path)) as new:
            (row,) = rows_of(table, 1)
            with new.transaction():
                new.load(table, [row])
            before = content(new)
            with pytest.raises(TransferError, match=f"its table {table.name} has rows, such as "):
                import_journal(new, tmp_path / "file", OPERATOR, SystemClock(), report=silent)
            assert content(new) == before


def _signed(lines: list[bytes]) -> bytes:
    """The file of these lines with another last line, whose digest and number of rows are theirs."""
    content = b"".join(lines[:-1])
    end = {"rows": len(lines) - 2, "sha256": hashlib.sha256(content).hexdigest()}
    return content + json.dumps({"end": end}, separators=(",", ":")).encode() + b"\n"


def _wrong_files(lines: list[bytes]) -> dict[str, tuple[bytes, str]]:
    """By name, the content of a file that must be refused, and the message."""

    def changed(number: int, old: bytes, new: bytes) -> bytes:
        assert old in lines[number], lines[number]
        return b"".join([*lines[:number], lines[number].replace(old, new, 1), *lines[number + 1 :]])

    whole = b"".join(lines)
    workflow = next(number for number, line in enumerate(lines) if b'"table":"workflows"' in line)
    activity = next(number for number, line in enumerate(lines) if b'"table":"activities"' in line)
    return {
        "empty": (b"", "is no export of a journal"),
        "something else": (b"{}\n", "is no export of a journal"),
        "not JSON": (b"\x00\xff\n", "is no export of a journal"),
        "the first line alone": (lines[0], "cut off after line 1"),
        "half of a first line": (lines[0][:40], "is no export of a journal"),
        "cut off in a line": (whole[: len(whole) // 2], "cut off after line"),
        "cut off between lines": (b"".join(lines[: len(lines) // 2]), "cut off after line"),
        "without its last line": (b"".join(lines[:-1]), f"cut off after line {len(lines) - 1}"),
        "without its last byte": (whole[:-1], f"cut off after line {len(lines) - 1}"),
        "a line is missing": (b"".join([*lines[:workflow], *lines[workflow + 1 :]]), "instead of|damaged"),
        "a row too few, though the digest is right": (
            _signed([*lines[:workflow], *lines[workflow + 1 :]]),
            "instead of",
        ),
        "no identity, though the digest is right": (
            _signed([lines[0].replace(b'"identity":1', b'"identity":0'), *lines[2:]]),
            "it has no row of identity",
        ),
        "a changed value": (changed(workflow, b'"config":""', b'"config":" "'), "does not match the digest"),
        "a changed description": (changed(0, b'"release":"0.0.0"', b'"release":"0.0.1"'), "does not match the digest"),
        "more behind the end": (whole + b"\n", "goes on after its last line"),
        "a newer schema": (changed(0, b'"revision":"', b'"revision":"9'), "newer release"),
        "a newer format": (changed(0, b'"format":1', b'"format":2'), "newer release"),
        "another kind": (changed(0, b'"kind":"move"', b'"kind":"loan"'), "is no export"),
        "an unknown table": (changed(workflow, b'"workflows"', b'"worms"'), "a row of table 'worms' is not expected"),
        "tables out of order": (
            b"".join([*lines[:2], lines[activity], *lines[2:activity], *lines[activity + 1 :]]),
            "is not expected here",
        ),
        "an unknown column": (changed(workflow, b'"name":', b'"nick":'), "table workflows has no column nick"),
        "a missing column": (changed(workflow, b'"updated_at":', b'"created_at":'), "workflows.updated_at is missing"),
        "null": (changed(workflow, b'"id":"id-000"', b'"id":null'), "workflows.id is not of the kind text"),
        "a number for a text": (changed(workflow, b'"id":"id-000"', b'"id":7'), "workflows.id is not of the kind text"),
        "a fraction": (changed(workflow, b'"created_at":0', b'"created_at":0.5'), "created_at is not of the kind int"),
        "a flag": (changed(workflow, b'"created_at":0', b'"created_at":true'), "created_at is not of the kind integer"),
        "a great number": (changed(workflow, b'"created_at":0', b'"created_at":9223372036854775808'), "kind integer"),
        "bad base64": (
            b"".join(lines[:activity]) + lines[activity].replace(b'"request_body":null', b'"request_body":"%"'),
            "request_body is not of the kind bytes",
        ),
    }


@pytest.mark.parametrize("target", RESTING)
def test_a_file_that_is_not_whole_loads_nothing(target: str, tmp_path: Path) -> None:
    fill(tmp_path / "old/journal.db", "sqlite")
    with closing(RESTING["sqlite"].open(tmp_path / "old/journal.db")) as old:
        export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
    lines = (tmp_path / "file").read_bytes().splitlines(keepends=True)
    RESTING[target].create(tmp_path / "new/journal.db")
    with closing(RESTING[target].open(tmp_path / "new/journal.db")) as new:
        before = content(new)
        for name, (wrong, message) in _wrong_files(lines).items():
            (tmp_path / "wrong").write_bytes(wrong)
            with pytest.raises(TransferError, match=message):
                import_journal(new, tmp_path / "wrong", OPERATOR, SystemClock(), report=silent)
            assert content(new) == before, name
        import_journal(new, tmp_path / "file", OPERATOR, SystemClock(), report=silent)


def test_an_export_that_is_cut_off_leaves_no_file_and_an_open_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "old/journal.db", "sqlite")
    with closing(RESTING["sqlite"].open(tmp_path / "old/journal.db")) as old:
        real = old.rows

        def rows(table: Table) -> Any:
            if table.name == "audit":
                raise OSError(5, "Input/output error")
            return real(table)

        monkeypatch.setattr(old, "rows", rows)
        with pytest.raises(OSError, match="Input/output error"):
            export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
        assert old.state().closed is None
    assert list(tmp_path.glob("file*")) == []


def test_a_file_is_complete_only_once_the_journal_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a file could be imported while a server still runs on the journal it came from."""
    fill(tmp_path / "old/journal.db", "sqlite")
    with closing(RESTING["sqlite"].open(tmp_path / "old/journal.db")) as old:

        def fail(writer: Any) -> None:
            assert old.state().closed == "moved"
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("headrace.journal.archive._Writer.end", fail)
        with pytest.raises(TransferError, match=r"No space left on device.*`headrace export --undo`"):
            export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
        assert old.state().closed == "moved"
        assert list(tmp_path.glob("file*")) == []


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "old/journal.db", "sqlite")
    (tmp_path / "file").write_text("precious")
    with closing(RESTING["sqlite"].open(tmp_path / "old/journal.db")) as old:
        with pytest.raises(TransferError, match="exists already"):
            export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
        assert old.state().closed is None
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_rows_are_held_a_few_at_a_time(source: str, target: str, tmp_path: Path) -> None:
    """However many there are: the file is many times as large as what is held."""
    audit = TABLES[-1]
    assert audit.name == "audit"
    rows = ({**rows_of(audit, 2)[1], "seq": number, "target": "x" * 1_000} for number in range(1, 30_001))
    for name, database in (("old", source), ("new", target)):
        RESTING[database].create(tmp_path / name / "journal.db")
    with closing(RESTING[source].open(tmp_path / "old/journal.db")) as old:
        with old.transaction():
            old.load(audit, rows)
            old.set_numbers({"audit": 30_000})
        tracemalloc.start()
        try:
            export_journal(old, tmp_path / "file", OPERATOR, SystemClock(), is_copy=False, report=silent)
            with closing(RESTING[target].open(tmp_path / "new/journal.db")) as new:
                import_journal(new, tmp_path / "file", OPERATOR, SystemClock(), report=silent)
                assert new.count(audit) == 30_001
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < (tmp_path / "file").stat().st_size / 4, f"{peak:,} bytes"
