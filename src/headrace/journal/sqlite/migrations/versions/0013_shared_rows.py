"""Wanted types, the end of the outbox, and when a position was last in use."""

from alembic import op
from sqlalchemy import Column, Integer, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0013"
down_revision = "0012"

TYPES = (
    "STARTED_WORKFLOW",
    "SUCCEEDED_WORKFLOW",
    "FAILED_WORKFLOW",
    "STARTED_WORKFLOW_STAGE",
    "SUCCEEDED_WORKFLOW_STAGE",
    "FAILED_WORKFLOW_STAGE",
    "SUCCEEDED_TRIGGER",
    "FAILED_TRIGGER",
)
"""The types at this revision: a later release that publishes others adds them in a revision of its own."""


def upgrade() -> None:
    """Create the tables; want what live triggers wait for; let positions count from now on."""
    connection = op.get_bind()
    for statement in statements("0013.sql"):
        op.execute(statement)
    for kind in TYPES:
        connection.exec_driver_sql(
            "INSERT OR IGNORE INTO wanted (type) SELECT ? FROM triggers "
            "WHERE deleted_at IS NULL AND event_name IN (?, ?) LIMIT 1",
            (kind, kind.lower(), f"orchestration.{kind.lower()}"),
        )
    if "served_s" not in {column["name"] for column in inspect(connection).get_columns("positions")}:
        op.add_column("positions", Column("served_s", Integer, nullable=False, server_default="0"))
    connection.exec_driver_sql("UPDATE positions SET served_s = (SELECT served_s FROM time_served) WHERE served_s = 0")
