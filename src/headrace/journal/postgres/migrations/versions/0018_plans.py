"""Plans of runs: what would happen, for a person to sign."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0018.sql"))
