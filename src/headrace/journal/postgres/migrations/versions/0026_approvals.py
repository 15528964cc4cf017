"""Persons decide about plans, and stages wait for them."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0026.sql"))
