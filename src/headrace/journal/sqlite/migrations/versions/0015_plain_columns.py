"""Columns for what queries computed: the folded name of a trigger, and when a transfer initiation is scheduled."""

from typing import Any

from alembic import op
from sqlalchemy import Column, Text, inspect

from headrace.journal.sqlite.migrations import statements

revision = "0015"
down_revision = "0014"

COLUMNS = (("triggers", "name_folded"), ("activities", "scheduled_at"))


def upgrade() -> None:
    connection = op.get_bind()
    for table, name in COLUMNS:
        if name not in {column["name"] for column in inspect(connection).get_columns(table)}:
            op.add_column(table, Column(name, Text))
    driver: Any = connection.connection.driver_connection
    driver.create_function("casefold", 1, str.casefold, deterministic=True)
    connection.exec_driver_sql("UPDATE triggers SET name_folded = casefold(name) WHERE name_folded IS NULL")
    connection.exec_driver_sql(
        "UPDATE activities SET scheduled_at = json_extract(CAST(request_body AS TEXT), '$.scheduledAt') "
        "WHERE name = 'CreateTransferInitiation' AND scheduled_at IS NULL AND json_valid(CAST(request_body AS TEXT))"
    )
    for statement in statements("0015.sql"):
        op.execute(statement)
