"""Certificates of periods: `from_at` and `to_at` are those of the period, None for a case."""

from alembic import op
from sqlalchemy import Column, Integer, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    known = {column["name"] for column in inspect(op.get_bind()).get_columns("certificates")}
    for name in ("from_at", "to_at"):
        if name not in known:
            op.add_column("certificates", Column(name, Integer()))
    for statement in statements("0031.sql"):
        op.execute(statement)
