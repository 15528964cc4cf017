"""Nudges, when an attempt was permitted, and which engine drives the instances."""

from alembic import op
from sqlalchemy import Column, Integer, Text, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0014"
down_revision = "0013"

COLUMNS = (
    ("activities", "permitted_at", Integer, None),
    ("journal_state", "engine", Text, ""),
    ("journal_state", "generation", Integer, "0"),
)


def upgrade() -> None:
    """Create the table, add the columns. A journal that holds instances was driven by the embedded engine."""
    connection = op.get_bind()
    for statement in statements("0014.sql"):
        op.execute(statement)
    for table, name, kind, default in COLUMNS:
        if name not in {column["name"] for column in inspect(connection).get_columns(table)}:
            op.add_column(table, Column(name, kind(), nullable=default is None, server_default=default))
    connection.exec_driver_sql(
        "UPDATE journal_state SET engine = 'embedded' WHERE engine = '' AND EXISTS (SELECT 1 FROM instances)"
    )
