"""The journal's first shape."""

from alembic import op

from headrace.journal.migrations import statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    for statement in statements(f"{op.get_bind().dialect.name}_0001.sql"):
        op.execute(statement)
