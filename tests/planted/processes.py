"""Bugs of several processes: workers on Temporal, writers and owners of one database."""

from __future__ import annotations

from tests.planted.bugs import DRIVER, Bug, Change

POSTGRES = "src/headrace/journal/postgres"
TEMPORAL = "src/headrace/engine/temporal"
_WORKER = "tests/contract/test_temporal_worker.py"
_SHARED = "tests/contract/test_postgres_shared.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


PROCESSES: tuple[Bug, ...] = (
    _bug(
        "a worker waits for Temporal's client library without a bound",
        f"{TEMPORAL}/worker.py",
        "    await asyncio.wait((run,), timeout=LAST_S)\n",
        "    await asyncio.wait((run,))\n",
        _WORKER,
    ),
    _bug(
        "a step begins in a worker that stops",
        f"{TEMPORAL}/steps.py",
        "        if self._is_stopping:  # a drive",
        "        if False:  # a drive",
        _WORKER,
    ),
    _bug(
        "a worker gives up attempts as soon as it stops",
        f"{TEMPORAL}/worker.py",
        "    await asyncio.wait((run,), timeout=stop_s)\n",
        "",
        _WORKER,
    ),
    _bug(
        "a commit whose answer is lost is taken as committed",
        f"{POSTGRES}/writer.py",
        "            is_committed = await self._is_committed()\n",
        "            is_committed = True\n",
        "tests/contract/test_postgres_lost_commits.py",
    ),
    _bug(
        "a duty is taken without its lock",
        f"{POSTGRES}/leadership.py",
        "pg_try_advisory_lock($1::int4, $2::int4)",
        "$1::int4 IS NOT NULL OR $2::int4 IS NULL",
        "tests/contract/test_leadership.py",
    ),
    _bug(
        "a permit of an attempt never expires",
        DRIVER,
        "                if self._clock.monotonic_s() <= until_s:\n",
        "                if self._clock.monotonic_s() <= until_s + 1e9:\n",
        "tests/contract/test_driver.py",
    ),
    _bug(
        "a long identity of an event is stored whole",
        "src/headrace/journal/event_keys.py",
        "    if len(key) > MAX_KEY_BYTES:\n",
        "    if len(key) > 1 << 40:\n",
        "tests/contract/test_bounded_keys.py",
    ),
    _bug(
        "an owner that was replaced writes on",
        f"{POSTGRES}/owner.py",
        '            self._lose(f"{row[1]} owns the journal now")\n',
        "",
        _SHARED,
    ),
    _bug(
        "an owner does not compare the journal's generation",
        f"{POSTGRES}/owner.py",
        "        if generation != self.generation:\n",
        "        if False:\n",
        _SHARED,
    ),
    _bug(
        "writers take their places in the outbox without a lock",
        f"{POSTGRES}/transaction.py",
        "            if made.is_ordered:\n",
        "            if False:\n",
        _SHARED,
        "tests/crash/test_order.py",
    ),
    _bug(
        "a process does not hear of the commits of others",
        f"{POSTGRES}/listener.py",
        "                if heard.pid != own:\n",
        "                if heard.pid == own:\n",
        _SHARED,
    ),
    _bug(
        "what no notification told is never looked for",
        f"{POSTGRES}/listener.py",
        "            await self._look()\n",
        "",
        _SHARED,
    ),
    _bug(
        "an abort on Temporal does not outlast the permit of an attempt",
        f"{TEMPORAL}/engine.py",
        "            await self._outlast_permit(last, committed_s)\n",
        "            pass\n",
        "tests/contract/test_temporal.py",
        "tests/crash/test_workers.py",
    ),
)
