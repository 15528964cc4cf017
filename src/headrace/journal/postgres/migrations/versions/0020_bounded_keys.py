"""Texts of any length fit their index: a digest stands for a long identity, and triggers are found by a hash."""

from alembic import op
from sqlalchemy import text

from headrace.journal.event_keys import COLUMNS, MAX_KEY_BYTES, rebounded

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    connection = op.get_bind()
    op.execute("SET LOCAL lock_timeout = '5s'")  # servers of the earlier release may be running
    for table, column in sorted(COLUMNS - {("audit", "target")}):  # the audit trail never changes
        long = text(f"SELECT DISTINCT {column} FROM {table} WHERE octet_length({column}) > :most")
        change = text(f"UPDATE {table} SET {column} = :new WHERE {column} = :old")
        for (key,) in connection.execute(long, {"most": MAX_KEY_BYTES}).fetchall():
            connection.execute(change, {"new": rebounded(key), "old": key})
    op.execute("DROP INDEX triggers_on_event")
    op.execute("CREATE INDEX triggers_on_event ON triggers USING hash (event_name) WHERE deleted_at IS NULL")
