"""What a publisher did not take, and whose effect an event tells of."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for statement in statements("0006.sql"):
        op.execute(statement)
