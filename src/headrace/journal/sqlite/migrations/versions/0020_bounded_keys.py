"""A digest stands for the identity of an event that is too long for an index of PostgreSQL."""

from alembic import op
from sqlalchemy import text

from headrace.journal.event_keys import COLUMNS, MAX_KEY_BYTES, rebounded

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    connection = op.get_bind()
    for table, column in sorted(COLUMNS - {("audit", "target")}):  # the audit trail never changes
        long = text(f"SELECT DISTINCT {column} FROM {table} WHERE length(CAST({column} AS BLOB)) > :most")
        change = text(f"UPDATE {table} SET {column} = :new WHERE {column} = :old")
        for (key,) in connection.execute(long, {"most": MAX_KEY_BYTES}).fetchall():
            connection.execute(change, {"new": rebounded(key), "old": key})
