"""Indexes for pages of what runs, and for what needs attention."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for statement in statements("0005.sql"):
        op.execute(statement)
