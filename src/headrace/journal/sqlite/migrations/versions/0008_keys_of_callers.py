"""Callers' keys belong to a caller."""

from alembic import op
from sqlalchemy import inspect

from headrace.journal.sqlite.migrations import statements

revision = "0008"
down_revision = "0007"

COPIED, RENAMED = 3, 4
"""Statements after which the old table is gone, and after which the new one has its name."""


def upgrade() -> None:
    for statement in statements("0008.sql")[_done() :]:
        op.execute(statement)


def _done() -> int:
    """Statements that must not be repeated, because a migration was cut off after them."""
    inspector = inspect(op.get_bind())
    if "caller_keys" not in inspector.get_table_names():
        return COPIED
    columns = {column["name"] for column in inspector.get_columns("caller_keys")}
    return RENAMED if "owner" in columns else 0
