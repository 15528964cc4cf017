"""How a stage has ended, where that is neither well nor with an error."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements
    driver.execute(script("0028.sql"))
