"""The version of an instance: each of its units raises it by one."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    connection = op.get_bind()
    there = {row[1] for row in connection.exec_driver_sql("PRAGMA table_xinfo(instances)")}
    if "version" not in there:
        connection.exec_driver_sql("ALTER TABLE instances ADD COLUMN version INTEGER NOT NULL DEFAULT 0")
