"""Certificates of periods."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0031.sql"))
