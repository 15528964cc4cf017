"""The schema on PostgreSQL: Alembic decides which versions are missing; all that are made are one transaction.

Revisions have the numbers of SQLite's; the first one makes the whole shape that SQLite has at that number.
"""

from __future__ import annotations

from pathlib import Path

from headrace.errors import Unavailable, Unusable

SQL = Path(__file__).parent / "sql"
HEAD = "0033"
LOCK = 0x6872_6D69_6772
"""Held while a schema is made: of several processes one makes it, and the others wait."""
LOCK_S = 5
"""How long a change of a table waits for its turn; writes that come later wait behind it."""


def script(name: str) -> str:
    """The statements of one SQL file."""
    return (SQL / name).read_text("utf-8")


def migrate(url: str) -> None:
    """Bring the schema of a database to HEAD, or leave it as it is, where servers may be at work.

    A schema of a newer release on which this one can work is left alone. Raises Unusable for any other newer one and
    where the user may not, and Unavailable where the database cannot be reached or a server holds a table for too long.
    """
    import psycopg
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
            there = connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar()
            if there is not None:
                row = connection.exec_driver_sql(
                    "SELECT version_num, works_from FROM alembic_version, journal_state"
                ).one()
                require_known(row[0], row[1])
                if row[0] == HEAD or _is_later(row[0]):
                    return
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (psycopg.Error, DBAPIError) as error:
        origin = error.orig if isinstance(error, DBAPIError) else error  # as SQLAlchemy wraps it
        reason = str(origin).strip()
        if isinstance(origin, psycopg.OperationalError):
            raise Unavailable(f"the database cannot be reached: {reason}") from error
        raise Unusable(f"the schema cannot be made: {reason}") from error
    finally:
        engine.dispose()


def require_known(revision: str | None, works_from: str = "") -> None:
    """Require a revision of this release, or a later one on which it can work. Raises Unusable."""
    if revision is None or not _is_later(revision):
        return
    if _is_later(works_from or revision):
        raise Unusable(
            f"it was written by a newer release of Headrace (schema {revision}; this release knows up to {HEAD}). "
            "Run that release."
        )


def _is_later(revision: str) -> bool:
    return not (revision.isdigit() and int(revision) <= int(HEAD))


def require_current(revision: str | None, works_from: str = "") -> None:
    """Require that the schema is the one of this release, or a later one that it can work on. Raises Unusable."""
    require_known(revision, works_from)
    if revision is None:
        raise Unusable("it has no journal of Headrace yet. Run `headrace migrate`.")
    if not _is_later(revision) and revision != HEAD:
        raise Unusable(f"its schema is {revision}, and this release needs {HEAD}. Run `headrace migrate`.")
