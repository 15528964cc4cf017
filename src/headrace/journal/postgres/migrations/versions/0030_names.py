"""Names with versions, and triggers that are kept under a name."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0030.sql"))
