"""Local clients and signing keys, which servers that share a database have in tables."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    for statement in statements("0016.sql"):
        op.execute(statement)
