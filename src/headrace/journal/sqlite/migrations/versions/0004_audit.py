"""The audit trail: the principal of each write."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for statement in statements("0004.sql"):
        op.execute(statement)
