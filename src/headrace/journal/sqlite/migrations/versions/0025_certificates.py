"""Certificates of cases: signed files, kept permanently."""

from alembic import op

from headrace.journal.sqlite.migrations import statements

revision = "0025"
down_revision = "0023"


def upgrade() -> None:
    for statement in statements("0025.sql"):
        op.execute(statement)
