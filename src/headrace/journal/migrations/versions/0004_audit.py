"""Who made each write."""

from alembic import op

from headrace.journal.migrations import statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for statement in statements(f"{op.get_bind().dialect.name}_0004.sql"):
        op.execute(statement)
