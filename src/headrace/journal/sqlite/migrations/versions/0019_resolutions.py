"""Why an effect needs attention and since when, and what persons decided about it."""

from alembic import op
from sqlalchemy import Column, Integer, Text, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0019"
down_revision = "0018"

COLUMNS = {"attention": Text(), "attention_at": Integer()}


def upgrade() -> None:
    there = {column["name"] for column in inspect(op.get_bind()).get_columns("activities")}
    for name, kind in COLUMNS.items():
        if name not in there:
            op.add_column("activities", Column(name, kind))
    for statement in statements("0019.sql"):
        op.execute(statement)
