"""Stages with a condition, and what was decided of each."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0029.sql"))
