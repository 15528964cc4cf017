"""The journal's first shape."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    for statement in statements("0001.sql"):
        op.execute(statement)
