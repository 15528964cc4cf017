"""A journal of each earlier release is migrated: it reads the same, and sends the same, byte for byte."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from tests.support.released import PREFIX, Stack, fetch, restore, serving

ROOT = Path(__file__).parents[2]
VERSIONS = ["0.1.0", "0.2.0"]
RESENT_S = 30.0

OPEN = "SELECT request_path, request_body, key FROM activities WHERE terminated_at IS NULL ORDER BY key"


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_response_is_the_same_and_what_is_open_is_sent_with_the_same_bytes(
    version: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data/journal.db"
    responses = restore(version, path)
    with closing(sqlite3.connect(path)) as connection:
        stored = [(f"/api/ledger{row[0]}", *row[1:]) for row in connection.execute(OPEN)]
    assert len(stored) == 3
    stack = Stack(hangs=True)
    async with stack.served() as stack_url:

        def read() -> dict[str, str]:
            with serving(ROOT, tmp_path / "data", stack_url) as url:
                return {each: fetch(url + each) for each in responses}

        found = await asyncio.to_thread(read)
        async with asyncio.timeout(RESENT_S):
            while len(stack.posts) < len(stored):
                await asyncio.sleep(0.05)
    assert sorted(stack.posts, key=lambda post: post[2]) == stored
    for each, response in responses.items():
        assert found[each] == response, each
    histories = [response for each, response in responses.items() if each.endswith("/history") and "Zürich" in response]
    assert len(histories) > 20 and all(each.startswith(PREFIX) for each in responses)


class CutOff(Exception):
    pass


def _content(path: Path) -> dict[str, Any]:
    """The schema and all rows."""
    with closing(sqlite3.connect(path)) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
        tables = [name for kind, name, _ in schema if kind == "table"]
        rows = {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in tables}
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return {"schema": schema, **rows}


def _migrate_until(path: Path, count: int | None) -> int:
    """Migrate, and end after so many statements, each of them durable. Returns how many there were."""
    done = 0

    def after(connection: Any, *_: Any) -> None:
        nonlocal done
        done += 1
        connection.connection.driver_connection.commit()
        if done == count:
            raise CutOff

    event.listen(Engine, "after_cursor_execute", after)
    try:
        migrate_sqlite(str(path))
    except CutOff:
        pass
    finally:
        event.remove(Engine, "after_cursor_execute", after)
    return done


@pytest.mark.timeout(900)  # hundreds of migrations
@pytest.mark.parametrize(("version", "every"), [("0.1.0", 4), ("0.2.0", 1)])
def test_a_migration_may_be_cut_off_after_any_statement(version: str, every: int, tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    restore(version, whole)
    count = _migrate_until(whole, None)
    wanted = _content(whole)
    assert wanted["alembic_version"] == [repr((HEAD,))] and count > 20
    for number in range(1, count, every):
        path = tmp_path / f"{number}.db"
        restore(version, path)
        assert _migrate_until(path, number) == number
        migrate_sqlite(str(path))
        assert _content(path) == wanted, f"after statement {number} of {count}"
        path.unlink()


@pytest.mark.parametrize("version", VERSIONS)
def test_no_row_is_lost_or_changed(version: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    restore(version, path)
    before = _content(path)
    migrate_sqlite(str(path))
    after = _content(path)
    for table in ("workflows", "occurrences", "audit"):
        assert before[table] == after[table] and before[table], table
    assert [f"{row[:-1]}{', None' * 5})" for row in before["stages"]] == after["stages"] != []
    named = [f"{row[:-1]}, {row.split(', ')[1].lower()}, None, None, None, 1)" for row in before["triggers"]]
    assert named == after["triggers"] != []
    kept, scheduled, doubts, since = zip(*(row.rsplit(", ", 3) for row in after["activities"]), strict=True)
    assert tuple(f"{row[:-1]}, None" for row in before["activities"]) == kept != ()
    initiations = ["CreateTransferInitiation" in row for row in kept]
    assert [moment != "None" for moment in scheduled] == initiations and any(initiations)
    assert set(doubts) <= {"None", "'other_bytes'", "'other_values'", "'not_found'", "'not_listed'"}
    assert set(since) == {"None)"}
    assert [row.split(", ", 2)[2] for row in after["journal_state"]] == ["'embedded', 0, None, None)"]
    assert len(before["caller_keys"]) == len(after["caller_keys"]) > 5
