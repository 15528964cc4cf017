"""Dead letters of publishers, and the instance whose effect an event reports."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for statement in statements("0006.sql"):
        op.execute(statement)
