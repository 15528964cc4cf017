"""What came after an ended instance."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0023"
down_revision = "0021"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection
    driver.execute(script("0023.sql"))
