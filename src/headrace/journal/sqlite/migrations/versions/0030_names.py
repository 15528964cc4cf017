"""Names with versions, and triggers that are kept under a name."""

from alembic import op
from sqlalchemy import Column, Integer, Text, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0030"
down_revision = "0029"

_COLUMNS = ("workflow_name", "handle", "set_name")


def upgrade() -> None:
    there = {column["name"] for column in inspect(op.get_bind()).get_columns("triggers")}
    for name in _COLUMNS:
        if name not in there:
            op.add_column("triggers", Column(name, Text()))
    if "revision" not in there:
        op.add_column("triggers", Column("revision", Integer(), nullable=False, server_default="1"))
    for statement in statements("0030.sql"):
        op.execute(statement)
