"""A journal can be closed: it was moved to another database, or it is a backup that was not restored."""

from alembic import op
from sqlalchemy import Column, Integer, Text, inspect

revision = "0017"
down_revision = "0016"

COLUMNS = {"closed": Text(), "closed_at": Integer()}
"""`closed` is "moved" or "backup", and NULL while a server may run on the journal."""


def upgrade() -> None:
    there = {column["name"] for column in inspect(op.get_bind()).get_columns("journal_state")}
    for name, kind in COLUMNS.items():
        if name not in there:
            op.add_column("journal_state", Column(name, kind))
