"""Time that passed while a server ran, for retention."""

from alembic import op
from sqlalchemy import Column, Integer, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0009"
down_revision = "0008"

STAMPED = ("caller_keys", "inbox", "outbox", "set_aside")


def upgrade() -> None:
    connection = op.get_bind()
    for table in STAMPED:  # rows of earlier releases get 0: they are kept for their time from now on
        if "served_s" not in {column["name"] for column in inspect(connection).get_columns(table)}:
            op.add_column(table, Column("served_s", Integer, nullable=False, server_default="0"))
    for statement in statements("0009.sql"):
        op.execute(statement)
