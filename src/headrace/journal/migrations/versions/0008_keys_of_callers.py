"""Callers' keys belong to a caller."""

from alembic import op

from headrace.journal.migrations import statements

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for statement in statements(f"{op.get_bind().dialect.name}_0008.sql"):
        op.execute(statement)
