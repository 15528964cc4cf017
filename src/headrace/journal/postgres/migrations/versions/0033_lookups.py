"""Search: what an instance moves, and the terms that find it."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0033.sql"))
