"""Triggers, the inbox of events, occurrences."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for statement in statements("0002.sql"):
        op.execute(statement)
