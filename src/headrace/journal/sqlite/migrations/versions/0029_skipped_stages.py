"""Stages with a condition, and what was decided of each."""

from alembic import op
from sqlalchemy import Column, Integer, inspect

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    if "skipped" not in {column["name"] for column in inspect(op.get_bind()).get_columns("stages")}:
        op.add_column("stages", Column("skipped", Integer()))
