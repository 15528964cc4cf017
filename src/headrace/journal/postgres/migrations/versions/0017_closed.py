"""A journal can be closed: it was moved to another database, or it is a backup that was not restored."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # servers of the earlier release may be running
    op.execute("ALTER TABLE journal_state ADD COLUMN closed text, ADD COLUMN closed_at bigint")
