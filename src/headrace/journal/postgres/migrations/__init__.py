"""The schema on PostgreSQL: Alembic decides which versions are missing; all that are made are one transaction.

Revisions have the numbers of SQLite's; the first one makes the whole shape that SQLite has at that number.
"""

from __future__ import annotations

from pathlib import Path

from headrace.errors import Unavailable, Unusable

SQL = Path(__file__).parent / "sql"
HEAD = "0017"
LOCK = 0x6872_6D69_6772
"""Held while a schema is made: of several processes one makes it, and the others wait."""


def script(name: str) -> str:
    """The statements of one SQL file."""
    return (SQL / name).read_text("utf-8")


def migrate(url: str) -> None:
    """Bring the schema of a database to HEAD, or leave it as it is.

    Raises Unusable for one of a newer release and where the user may not, and Unavailable where the database cannot be
    reached.
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
            there = connection.exec_driver_sql("SELECT to_regclass('alembic_version')").scalar()
            if there is not None:
                require_known(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (psycopg.OperationalError, DBAPIError) as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        if isinstance(getattr(error, "orig", error), psycopg.OperationalError):
            raise Unavailable(f"the database cannot be reached: {reason}") from error
        raise Unusable(f"the schema cannot be made: {reason}") from error
    finally:
        engine.dispose()


def require_known(revision: str | None) -> None:
    """Require that this release knows the revision. Raises Unusable."""
    if revision is not None and not (revision.isdigit() and int(revision) <= int(HEAD)):
        raise Unusable(
            f"it was written by a newer release of Headrace (schema {revision}; this release knows up to {HEAD}). "
            "Run that release."
        )


def require_current(revision: str | None) -> None:
    """Require that the schema is the one of this release. Raises Unusable."""
    require_known(revision)
    if revision is None:
        raise Unusable("it has no journal of Headrace yet. Run `headrace migrate`.")
    if revision != HEAD:
        raise Unusable(f"its schema is {revision}, and this release needs {HEAD}. Run `headrace migrate`.")
