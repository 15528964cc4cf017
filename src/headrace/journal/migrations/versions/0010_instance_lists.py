"""Indexes for lists of instances by status, stage and error."""

from alembic import op

from headrace.journal.migrations import statements

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for statement in statements(f"{op.get_bind().dialect.name}_0010.sql"):
        op.execute(statement)
