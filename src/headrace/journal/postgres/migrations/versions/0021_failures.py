"""Why an instance failed, as a kind; of which case it is a part; and the plan that it may not leave."""

from typing import Any

from alembic import op

from headrace.journal.postgres.migrations import script

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    driver: Any = op.get_bind().connection.driver_connection  # which takes many statements, and % as it is
    driver.execute(script("0021.sql"))
