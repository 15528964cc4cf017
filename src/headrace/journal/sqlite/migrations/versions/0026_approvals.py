"""Persons decide about plans, and stages wait for them."""

from alembic import op
from sqlalchemy import Column, Integer, Text, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0026"
down_revision = "0025"

COLUMNS = {
    "stages": (Column("gate", Text()), Column("deadline_at", Integer()), Column("gate_passed_at", Integer())),
    "plans": (Column("rest_of", Text()),),
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        there = {column["name"] for column in inspect(op.get_bind()).get_columns(table)}
        for column in columns:
            if column.name not in there:
                op.add_column(table, column)
    for statement in statements("0026.sql"):
        op.execute(statement)
