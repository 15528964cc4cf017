"""Why an instance was aborted, and a way from an instance to the batch that made it."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0032.sql"))
