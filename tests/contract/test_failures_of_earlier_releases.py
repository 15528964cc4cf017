"""Instances that an earlier release ended: their kinds of failure are derived once, as far as the rows show them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from headrace.clock import SystemClock
from headrace.journal.archive import export_journal, import_journal
from headrace.journal.port import Unit
from headrace.journal.postgres.migrations import migrate
from headrace.journal.sqlite.migrations import HEAD, migrate_sqlite
from headrace.journal.transfer import Operator
from headrace.journal.writes import (
    AddInstance,
    AddResolution,
    AddWorkflow,
    CloseActivity,
    CloseStage,
    EndInstance,
    FailAttempt,
    OpenActivity,
    OpenStage,
    Write,
)
from tests.support.journals import adapter
from tests.support.resting import RESTING

ENDS: dict[str, tuple[str | None, str | None, tuple[str | None, str | None]]] = {
    "succeeded": (None, None, (None, None)),
    "aborted": ("canceled", "canceled", ("canceled", None)),
    "refused": ("Do: INSUFFICIENT_FUND: no", "INSUFFICIENT_FUND: no", ("refused", "INSUFFICIENT_FUND")),
    "conflict or refused": ("Do: CONFLICT: other", "CONFLICT: other", ("unclassified", None)),
    "without a code": ("Do: what", "what", ("unclassified", None)),
    "invalid": ("amount: must not be negative", None, ("invalid", None)),
    "unbooked": ("Do: UNBOOKED: a person decided", "UNBOOKED: a person decided", ("unbooked", None)),
    "no stage says why": ("whatever", None, ("unclassified", None)),
}
"""By id: the instance's error, its activity's, and the kind and code that are derived."""


def rows_of(instance_id: str) -> list[Write]:
    error, declined, _ = ENDS[instance_id]
    place: dict[str, Any] = {"instance_id": instance_id, "stage": 0, "position": 0}
    found: list[Write] = [
        AddInstance(
            instance_id=instance_id, workflow_id="w", config="{}", variables="{}", created_at=1, by_trigger=False
        ),
        OpenStage(instance_id=instance_id, number=0, keyword="send", input="{}", started_at=1),
    ]
    if instance_id not in ("invalid", "no stage says why"):
        found += [
            OpenActivity(
                **place,
                name="Do",
                input="{}",
                started_at=1,
                attempt=1,
                key="k",
                request_method="POST",
                request_path="/",
                request_body=b"{}",
            ),
            FailAttempt(
                **place,
                attempt=1,
                failure="x",
                next_execution_at=None,
                needs_attention=instance_id == "unbooked",
                attention=None,
                attention_at=None,
            ),
        ]
    if instance_id == "unbooked":
        words: dict[str, Any] = {"evidence": "{}", "reason": "r", "principal": "p"}
        found.append(AddResolution(**place, verdict="not_booked", proof=None, at=2, **words))
    output = "{}" if declined is None else None
    found.append(CloseActivity(**place, attempt=1, output=output, error=declined, terminated_at=2))
    stage_error = None if instance_id == "no stage says why" else error
    found.append(CloseStage(terminated_at=2, error=stage_error, instance_id=instance_id, number=0))
    found.append(EndInstance(at=2, error=error, instance_id=instance_id, version=0))
    return found


async def make(path: Path, database: str) -> None:
    """Rows as a server of an earlier release leaves them: it writes no kind."""
    async with adapter(database).open(path) as journal:
        unit = Unit()
        unit.add(AddWorkflow(workflow_id="w", name="w", config="{}", created_at=1, updated_at=1))
        await journal.commit(unit)
        for instance_id in ENDS:
            unit = Unit()
            for write in rows_of(instance_id):
                unit.add(write)
            await journal.commit(unit)


async def kinds(path: Path, database: str) -> dict[str, tuple[str | None, str | None]]:
    async with adapter(database).open(path) as journal:
        found = [instance async for page in journal.instances() for instance in page]
        return {instance.id: (instance.failure, instance.failure_code) for instance in found}


@pytest.mark.parametrize("database", RESTING)
async def test_the_migration_derives_what_the_rows_show(tmp_path: Path, database: str) -> None:
    path = tmp_path / "journal.db"
    RESTING[database].create(path)
    await make(path, database)
    found = await kinds(path, database)
    assert {kind for kind, _ in found.values()} == {None, "unclassified"}, "nothing is known without a person or a row"
    for _ in range(2):  # it may run again, and changes nothing then
        url = "" if database == "sqlite" else path.with_name(path.name + ".postgres").read_text()
        connection: Any = sqlite3.connect(path) if database == "sqlite" else psycopg.connect(url)
        with closing(connection), connection:
            connection.execute("UPDATE alembic_version SET version_num = '0020'")
        if database == "sqlite":
            migrate_sqlite(str(path))
        else:
            migrate(url)
        assert await kinds(path, database) == {name: derived for name, (_, _, derived) in ENDS.items()}


@pytest.mark.parametrize("database", RESTING)
async def test_an_export_keeps_kinds_and_one_of_an_earlier_release_has_none(tmp_path: Path, database: str) -> None:
    path, file = tmp_path / "journal.db", tmp_path / "export"
    RESTING["sqlite"].create(path)
    await make(path, "sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE instances SET failure = 'refused', failure_code = 'NO', plan_id = 'p' WHERE id = 'refused'"
        )
    operator, clock = Operator("operator:test", "0.3.0", "export-1"), SystemClock()
    with closing(RESTING["sqlite"].open(path)) as journal:
        export_journal(journal, file, operator, clock, is_copy=True, report=lambda table, count: None)
    assert (await imported(tmp_path / "same", file, database))["refused"] == ("refused", "NO")

    *lines, last = file.read_bytes().splitlines(keepends=True)
    lines[0] = lines[0].replace(f'"{HEAD}"'.encode(), b'"0020"')
    for number, line in enumerate(lines):
        row = msgspec.json.decode(line)
        if row.get("table") == "instances":
            for column in ("kind", "root_id", "from_stage", "plan_id", "failure", "failure_code"):
                del row["row"][column]
            lines[number] = msgspec.json.encode(row) + b"\n"
    end = msgspec.json.decode(last)
    end["end"]["sha256"] = sha256(b"".join(lines)).hexdigest()
    file.write_bytes(b"".join([*lines, msgspec.json.encode(end), b"\n"]))
    found = await imported(tmp_path / "earlier", file, database)
    assert found["refused"] == ("unclassified", None) and found["succeeded"] == (None, None)


async def imported(folder: Path, file: Path, database: str) -> dict[str, tuple[str | None, str | None]]:
    target = folder / "journal.db"
    folder.mkdir()
    RESTING[database].create(target)
    with closing(RESTING[database].open(target)) as journal:
        import_journal(
            journal, file, Operator("operator:test", "0.3.0", "i"), SystemClock(), report=lambda table, count: None
        )
    return await kinds(target, database)
