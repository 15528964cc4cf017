"""Schema migrations: Alembic decides which versions are missing; each is a module, and most run a file of SQL."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from headrace.errors import Unusable

SQL = Path(__file__).parent / "sql"
HEAD = "0033"


def statements(name: str) -> list[str]:
    """The statements of one SQL file, without its comments. A statement ends with a semicolon at the end of a line."""
    lines = (line.split("--")[0].rstrip() for line in (SQL / name).read_text("utf-8").splitlines())
    return [statement for part in re.split(r";$", "\n".join(lines), flags=re.MULTILINE) if (statement := part.strip())]


def migrate_sqlite(path: str) -> None:
    """Bring the database file to HEAD. A database that is there already costs no import of Alembic.

    Raises Unusable for one of a newer release.
    """
    if _is_current(path):
        return
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _is_current(path: str) -> bool:
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # which says that there is no such table
                raise
            return False
    if row is not None and not _is_known(row[0]):
        raise Unusable(
            f"it was written by a newer release of Headrace (schema {row[0]}; this release knows up to {HEAD}). "
            "Run that release."
        )
    return row is not None and row[0] == HEAD


def _is_known(version: str) -> bool:
    return version.isdigit() and int(version) <= int(HEAD)
