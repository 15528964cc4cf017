"""What came after an ended instance."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0023"
down_revision = "0021"


def upgrade() -> None:
    for statement in statements("0023.sql"):
        op.execute(statement)
