"""Time that passed while a server ran, for retention."""

from alembic import op

from headrace.journal.migrations import statements

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for statement in statements(f"{op.get_bind().dialect.name}_0009.sql"):
        op.execute(statement)
