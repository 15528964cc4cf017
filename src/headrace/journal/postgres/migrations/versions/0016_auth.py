"""Local clients and signing keys, for servers that share the database."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0016.sql"))
