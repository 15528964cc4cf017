"""The journal on PostgreSQL begins with the shape that SQLite's has at this revision."""

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0015"
down_revision = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(script("0015.sql"))
