"""How a stage has ended, where that is neither well nor with an error."""

from alembic import op
from sqlalchemy import Column, Text, inspect

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    if "outcome" not in {column["name"] for column in inspect(op.get_bind()).get_columns("stages")}:
        op.add_column("stages", Column("outcome", Text()))
