"""The outbox; how many triggers led to an event that came in."""

from alembic import op
from sqlalchemy import Column, Integer, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    connection = op.get_bind()
    for statement in statements("0003.sql"):
        op.execute(statement)
    if "depth" not in {column["name"] for column in inspect(connection).get_columns("inbox")}:
        op.add_column("inbox", Column("depth", Integer, nullable=False, server_default="0"))
