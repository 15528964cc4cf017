"""Batches and their items."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    for statement in statements("0027.sql"):
        op.execute(statement)
