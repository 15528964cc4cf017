"""An event's own identity beside the broker's."""

from alembic import op

from headrace.journal.migrations import statements

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for statement in statements(f"{op.get_bind().dialect.name}_0007.sql"):
        op.execute(statement)
