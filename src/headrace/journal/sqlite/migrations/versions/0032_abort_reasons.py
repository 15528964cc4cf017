"""Why an instance was aborted, and a way from an instance to the batch that made it."""

from alembic import op
from sqlalchemy import Column, Text, inspect

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    if "abort_reason" not in {column["name"] for column in inspect(op.get_bind()).get_columns("instances")}:
        op.add_column("instances", Column("abort_reason", Text()))
    op.execute("CREATE INDEX IF NOT EXISTS batch_items_made ON batch_items (made_id) WHERE made_id IS NOT NULL")
