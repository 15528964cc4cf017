"""Plans of runs: what would happen, for a person to sign."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    for statement in statements("0018.sql"):
        op.execute(statement)
