"""Connections to the database: how they are opened, and what an error on one means."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Any, LiteralString, cast

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.numeric import Int8Dumper

from headrace.errors import Unavailable, Unusable

CONNECT_S = 10
KEEP_ALIVE = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "connect_timeout": CONNECT_S,
}
"""A host that is gone is noticed within some 11 s."""
SESSION = """
SET client_encoding = 'UTF8'; SET statement_timeout = 0; SET jit = off; SET bytea_output = 'hex';
SET default_transaction_isolation = 'read committed'; SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
"""
"""Every row is found by a key, and every list along an index, whatever the statistics of a young table say."""
READER_SESSION = """
SET enable_bitmapscan = off; SET enable_sort = off; SET enable_incremental_sort = off;
"""
WRITER_SESSION = """
SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '20s';
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 10000;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
SELECT set_config('deadlock_timeout', '100ms', false) WHERE current_setting('is_superuser') = 'on';
"""
"""`synchronous_commit`: what is answered is on the disk. A stronger setting of the database stays as it is."""

Connection = AsyncConnection[tuple[Any, ...]]


async def connect(url: str, role: str, session: str = "") -> Connection:
    """`role` tells a connection apart in `pg_stat_activity`; `session`: its settings. Raises psycopg.Error."""
    opening = asyncio.ensure_future(
        AsyncConnection.connect(
            settings_of(url, role), autocommit=True, prepare_threshold=0, cursor_factory=AsyncRawCursor
        )
    )
    try:
        connection = await asyncio.shield(opening)
    except asyncio.CancelledError:  # a connection that is half open has to be closed as well
        with contextlib.suppress(psycopg.Error):
            await (await opening).close()
        raise
    try:
        connection.prepared_max = None
        connection.adapters.register_dumper(int, Int8Dumper)
        await connection.execute(as_query(SESSION + session), prepare=False)
    except BaseException:
        await connection.close()
        raise
    return connection


async def connect_writer(url: str) -> Connection:
    """Open the connection of the writer. Raises psycopg.Error."""
    return await connect(url, "writer", WRITER_SESSION)


def settings_of(url: str, role: str) -> str:
    """The connection string of one connection."""
    given = conninfo_to_dict(url)
    process = f"{socket.gethostname()}:{os.getpid()}"[:40]
    return make_conninfo("", **{**KEEP_ALIVE, **given, "application_name": f"headrace {role} {process}"})


def as_query(text: str) -> LiteralString:
    """Mark a text of this package as a query: psycopg takes literals only, so that no input gets into one."""
    return cast("LiteralString", text)


def unavailable(error: Exception) -> Unavailable:
    """As the journal's port has it, with the reason."""
    reason = str(error).strip().splitlines()
    return Unavailable(f"the database does not answer: {reason[0] if reason else type(error).__name__}")


def fault_of(error: psycopg.Error) -> Unavailable | Unusable:
    """Classify a failed attempt to open the journal: `Unusable` where another attempt would fail as well."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return Unusable(lines[0]) if _is_refusal(lines) else unavailable(error)
    return unavailable(error) if isinstance(error, psycopg.OperationalError) else Unusable(lines[0])


def _is_refusal(lines: list[str]) -> bool:
    """Find a refusal by the server: libpq gives it as text only."""
    wanted = ("password authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied")
    return any(word in line for line in lines for word in wanted)


def has_failed(connection: psycopg.AsyncConnection[Any]) -> bool:
    return connection.closed or connection.broken
