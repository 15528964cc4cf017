"""Why an effect needs attention and since when, and what persons decided about it."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements, and % as it is
    driver.execute(script("0019.sql"))
