"""Search: what an instance moves, and the terms that find it; `headrace reindex` fills them for older instances."""

from alembic import op
from sqlalchemy import Column, Text, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    if "amount" not in {column["name"] for column in inspect(op.get_bind()).get_columns("instances")}:
        op.add_column("instances", Column("amount", Text()))
    for statement in statements("0033.sql"):
        op.execute(statement)
