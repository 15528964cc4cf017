"""Checks of the PostgreSQL database of the journal: reach, schema, proxies, durability and clock."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.clock import Clock
from headrace.composition.findings import Finding
from headrace.errors import HeadraceError

TIMEOUT_S = 10.0
SKEW_S = 2.0

FACTS = """
SELECT pg_backend_pid(), current_setting('server_version'), current_setting('fsync'), pg_is_in_recovery(),
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, to_regclass('alembic_version') IS NOT NULL
"""


async def check_database(url: str, clock: Clock) -> list[Finding]:
    """Connect with these settings and compare what the database says of itself. Nothing is changed."""
    import psycopg

    from headrace.journal.postgres.connections import connect
    from headrace.journal.postgres.migrations import require_current

    try:
        async with asyncio.timeout(TIMEOUT_S):
            connection = await connect(url, "doctor")
            async with connection:
                before_at = clock.now_at()
                facts: Any = await (await connection.execute(FACTS)).fetchone()
                after_at = clock.now_at()
                revision: str | None = None
                if facts[5]:
                    stored = await connection.execute("SELECT version_num FROM alembic_version")
                    revision = (await stored.fetchall())[0][0]
                own_pid = connection.info.backend_pid
    except TimeoutError:
        return [Finding("database", "failed", "it does not answer", "Is HEADRACE_DATABASE_URL right?")]
    except psycopg.Error as error:
        text = str(error).strip().replace("\n", " ")
        return [Finding("database", "failed", text, "Runs wait until the database can be reached.")]

    pid, version, fsync, is_replica, there_at, _ = facts
    findings = [Finding("database", "ok", f"PostgreSQL {version} answers")]
    if is_replica:
        text, hint = "it is a replica, which accepts no writes", "Name the primary in HEADRACE_DATABASE_URL."
        findings.append(Finding("database", "failed", text, hint))
    if pid != own_pid:
        text = "a pooling proxy is between this machine and PostgreSQL"
        hint = "HEADRACE_DATABASE_URL must reach PostgreSQL directly or through session pooling."
        findings.append(Finding("database", "warning", text, hint))
    if fsync != "on":
        text = "its fsync is off: after a crash of its machine, payments may be unknown to the journal"
        findings.append(Finding("database", "failed", text, "Set fsync = on."))
    try:
        require_current(revision)
    except HeadraceError as error:
        findings.append(Finding("journal", "failed", str(error)))
    else:
        findings.append(Finding("journal", "ok", f"schema {revision}"))
    skew_s = max(before_at - there_at, there_at - after_at, 0) / 1e6
    if skew_s > SKEW_S:
        direction = "ahead of" if before_at > there_at else "behind"
        text = f"this machine's clock is {skew_s:.0f} s {direction} the database's"
        findings.append(Finding("clock", "failed", text, "Synchronize both (NTP)."))
    else:
        findings.append(Finding("clock", "ok", f"within {SKEW_S:g} s of the database's clock"))
    return findings
