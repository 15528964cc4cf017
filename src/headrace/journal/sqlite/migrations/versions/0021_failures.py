"""Why an instance failed, as a kind; of which case it is a part; and the plan that it may not leave."""

from alembic import op
from sqlalchemy import Column, Integer, Text, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0021"
down_revision = "0020"

COLUMNS = (
    Column("kind", Text(), nullable=False, server_default="run"),
    Column("root_id", Text()),
    Column("from_stage", Integer()),
    Column("plan_id", Text()),
    Column("failure", Text()),
    Column("failure_code", Text()),
)


def upgrade() -> None:
    there = {column["name"] for column in inspect(op.get_bind()).get_columns("instances")}
    for column in COLUMNS:
        if column.name not in there:
            op.add_column("instances", column)
    for statement in statements("0021.sql"):
        op.execute(statement)
