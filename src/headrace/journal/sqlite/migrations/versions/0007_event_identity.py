"""An event's own identity beside the broker's; a fingerprint of its payload; which event it is in conflict with."""

from alembic import op
from sqlalchemy import Column, Integer, LargeBinary, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    connection = op.get_bind()
    there = {column["name"] for column in inspect(connection).get_columns("inbox")}
    for column in (Column("fingerprint", LargeBinary), Column("conflicts_with", Integer)):
        if column.name not in there:
            op.add_column("inbox", column)
    for statement in statements("0007.sql"):
        op.execute(statement)
