"""Lists of instances by status, by error code and by variable."""

import json
from typing import Any

from alembic import op

from headrace.journal.sqlite.migrations import statements
from headrace.workflows.search_terms import fingerprints

revision = "0010"
down_revision = "0009"

STATUS = """
CASE WHEN terminated_at IS NULL THEN coalesce(trouble, CASE next_at WHEN 0 THEN 0 ELSE 1 END)
WHEN error IS NULL THEN 4 WHEN error = 'canceled' THEN 6 ELSE 5 END
"""
"""The position of the status in `headrace.journal.lists.STATUSES`."""

WORD = "substr(error, instr(error, ': ') + 2, instr(substr(error, instr(error, ': ') + 2), ': ') - 1)"
"""An error is `ACTIVITY: CODE: text`: what stands between the first two colons."""

COLUMNS = {
    "trouble": "INTEGER",
    "status": f"INTEGER GENERATED ALWAYS AS ({STATUS}) VIRTUAL",
    "error_code": (
        "TEXT GENERATED ALWAYS AS (CASE WHEN instr(error, ': ') AND "
        f"{WORD} GLOB '[A-Z]*' AND {WORD} NOT GLOB '*[^A-Z0-9_]*' THEN {WORD} END) VIRTUAL"
    ),
}
"""`trouble` is 2 while an activity is tried again, 3 while it needs attention, else NULL."""

TROUBLE = """
UPDATE instances SET trouble = (
    SELECT CASE WHEN max(needs_attention) THEN 3 ELSE 2 END FROM activities
    WHERE instance_id = instances.id AND terminated_at IS NULL AND last_failure IS NOT NULL HAVING count(*) > 0)
WHERE terminated_at IS NULL
"""


def upgrade() -> None:
    """Add the columns that are missing, fill them, and fingerprint the variables of all instances."""
    connection = op.get_bind()
    there = {row[1] for row in connection.exec_driver_sql("PRAGMA table_xinfo(instances)")}
    for name, kind in COLUMNS.items():
        if name not in there:
            connection.exec_driver_sql(f"ALTER TABLE instances ADD COLUMN {name} {kind}")
    connection.exec_driver_sql(TROUBLE)
    for statement in statements("0010.sql"):
        op.execute(statement)
    driver: Any = connection.connection.driver_connection
    driver.create_function("fingerprints", 1, _fingerprints)
    connection.exec_driver_sql(
        "INSERT OR IGNORE INTO instance_variables (fingerprint, created_at, instance_id) "
        "SELECT each.value, created_at, instances.id FROM instances, json_each(fingerprints(variables)) AS each"
    )


def _fingerprints(variables: str) -> str:
    return json.dumps(fingerprints(json.loads(variables)))
