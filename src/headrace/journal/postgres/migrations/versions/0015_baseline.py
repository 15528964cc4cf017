"""The journal on PostgreSQL begins with the shape that SQLite's has at this revision."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0015"
down_revision = None


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements, and % as it is
    driver.execute(script("0015.sql"))
