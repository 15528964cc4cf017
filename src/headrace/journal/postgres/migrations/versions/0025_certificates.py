"""Certificates of cases: signed files, kept permanently."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0025"
down_revision = "0023"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0025.sql"))
