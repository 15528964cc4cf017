"""Tables whose rows may be long get a rowid; texts that other rows refer to are guarded against changes."""

from alembic import op
from sqlalchemy import Connection

from headrace.journal.sqlite.migrations import statements

revision = "0012"
down_revision = "0011"

TABLES = ("stages", "activities", "occurrences", "caller_keys", "set_aside")

GUARDED = {
    "requests_are_not_changed": "UPDATE OF request_body ON activities",
    "definitions_are_not_changed": "UPDATE OF config ON workflows",
    "definitions_are_not_removed": "DELETE ON workflows",
    "instance_texts_are_not_changed": "UPDATE OF workflow_id, config, variables ON instances",
}
"""Packed texts, and instances that refer to a definition, are read with the help of these."""

GUARD = """
CREATE TRIGGER IF NOT EXISTS {name} BEFORE {change}
BEGIN SELECT RAISE(ABORT, 'a text that other rows refer to never changes'); END
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA secure_delete=OFF")  # else each page of a dropped table is written once more
    made = statements("0012.sql")
    for table, create in zip(TABLES, made, strict=False):
        _rebuild(connection, table, create)
    for statement in made[len(TABLES) :]:
        op.execute(statement)
    for name, change in GUARDED.items():
        connection.exec_driver_sql(GUARD.format(name=name, change=change))


def _rebuild(connection: Connection, table: str, create: str) -> None:
    """Copy the rows in the order of their key, so that neighbours stay neighbours."""
    old = connection.exec_driver_sql("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).scalar()
    if old is not None and "WITHOUT ROWID" not in old:
        return  # done before the migration was cut off
    if old is not None:
        connection.exec_driver_sql(create)
        columns = ", ".join(row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({table}_0012)"))
        connection.exec_driver_sql(f"INSERT OR IGNORE INTO {table}_0012 ({columns}) SELECT {columns} FROM {table}")
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql(f"ALTER TABLE {table}_0012 RENAME TO {table}")
