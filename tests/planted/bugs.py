"""The bugs of the specification's list, and some that were found since, each as a change of a few characters.

A change names a short text that stands in its file once. Where the product moves on, the change moves with it:
`tests/tidy/test_planted.py` fails while one does not apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ENGINE = "src/headrace/engine/embedded.py"
DRIVER = "src/headrace/engine/driver.py"
RUNNER = "src/headrace/runner/instance.py"
USE_CASES = "src/headrace/usecases/instances.py"
PROTOCOL = "src/headrace/effects/settlement.py"
ACTIVITY = "src/headrace/workflows/activity.py"
ACTIVITIES = "src/headrace/workflows/activities.py"
SQL = "src/headrace/journal/sqlite/queries.sql"
RETENTION = "src/headrace/journal/retention.py"
JOURNAL = "src/headrace/journal/sqlite/adapter.py"

SEND = "await self._services.send(opened.activity.name, opened.request)"


@dataclass(frozen=True, slots=True)
class Change:
    file: str
    find: str
    put: str

    def problem(self, root: Path) -> str:
        """Why it does not apply; empty where it does."""
        path = root / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text("utf-8").count(self.find)
        return "" if count == 1 else f"{self.file} has {count} times {self.find!r}"

    def apply(self, root: Path) -> None:
        path = root / self.file
        path.write_text(path.read_text("utf-8").replace(self.find, self.put), "utf-8")


@dataclass(frozen=True, slots=True)
class Bug:
    """`suites`: those most likely to catch it, as pytest takes them."""

    name: str
    changes: tuple[Change, ...]
    suites: tuple[str, ...]


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


_CONTRACT = ("tests/contract/test_engine.py", "tests/contract/test_engine_edges.py")
_POINTS = "tests/crash/test_points.py"

BUGS: tuple[Bug, ...] = (
    # the key and the bytes of an effect
    _bug(
        "a random key for each attempt",
        DRIVER,
        SEND,
        "await self._services.send(opened.activity.name, __import__('dataclasses').replace("
        "opened.request, key=opened.request.key and __import__('uuid').uuid4().hex))",
        *_CONTRACT,
    ),
    _bug(
        "a key without the stage",
        RUNNER,
        'f"headrace:{self.root_id}:{stage.number}:{stage.ordinal}"',
        'f"headrace:{self.root_id}:{stage.ordinal}"',
        *_CONTRACT,
        _POINTS,
    ),
    _bug(
        "a key without the ordinal",
        RUNNER,
        'f"headrace:{self.root_id}:{stage.number}:{stage.ordinal}"',
        'f"headrace:{self.root_id}:{stage.number}"',
        *_CONTRACT,
        _POINTS,
    ),
    _bug(
        "the body is rebuilt on a retry",
        DRIVER,
        SEND,
        "await self._services.send(opened.activity.name, __import__('dataclasses').replace("
        "opened.request, body=opened.request.body and opened.request.body + b' ' * opened.attempt))",
        *_CONTRACT,
    ),
    _bug(
        "an effect is sent before its intent is stored",
        RUNNER,
        "            self._store_activity(unit, self.open, attempt=int(sends))\n",
        "            pass\n",
        *_CONTRACT,
        _POINTS,
    ),
    _bug(
        "the stage is recorded before the effect",
        DRIVER,
        "                    await self._attempt(control, opened, protocol)\n",
        "                    await self._close(control, opened, Done({'data': {'id': 1}}))\n"
        "                    await self._services.send(opened.activity.name, opened.request)\n",
        *_CONTRACT,
        _POINTS,
    ),
    # what an answer proves
    _bug(
        "500 is taken as success",
        "src/headrace/effects/services.py",
        "        if not 400 <= response.status < 500 or",
        "        if response.status >= 500:\n"
        "            return __import__('headrace.effects.port', fromlist=['Done']).Done()\n"
        "        if not 400 <= response.status < 500 or",
        "tests/unit/effects/test_responses.py",
    ),
    _bug(
        "an HTTP time-out is taken as a refusal",
        "src/headrace/effects/transport.py",
        '            raise NoResponse(f"{name}: no answer within {self._timeout_s:g} s", kind="time-out") from None\n',
        '            return Response(400, b\'{"errorCode":"VALIDATION","errorMessage":"time-out"}\','
        " {'content-type': 'application/json'})\n",
        "tests/crash/test_timeouts.py",
    ),
    _bug(
        "a missing answer is taken as a refusal",
        "src/headrace/engine/services.py",
        "            return Unknown(str(failure))\n        result = read(",
        "            port = __import__('headrace.effects.port', fromlist=['Refused'])\n"
        "            return port.Refused('TIMEOUT', str(failure))\n        result = read(",
        *_CONTRACT,
        "tests/crash/test_timeouts.py",
    ),
    _bug(
        "a refusal that follows an unknown attempt is taken as final",
        PROTOCOL,
        "        if not self._is_unknown:\n            return True\n",
        "        return True\n",
        *_CONTRACT,
        "tests/unit/effects/test_settlement.py",
    ),
    _bug(
        "a payout is sent again without a look-up",
        PROTOCOL,
        "LOOK_UP if self._family in LOOKED_UP else SEND)",
        "SEND)",
        "tests/unit/effects/test_settlement.py",
        "tests/crash/test_timeouts.py",
    ),
    _bug(
        "a transaction that is reverted already is a failed revert",
        PROTOCOL,
        "LOOK_UP if self._is_unknown or outcome.code in REVERTED else outcome",
        "LOOK_UP if self._is_unknown else outcome",
        "tests/unit/effects/test_settlement.py",
    ),
    _bug(
        "a revert refused after an unknown attempt is taken as final",
        PROTOCOL,
        "LOOK_UP if self._is_unknown or outcome.code in REVERTED else outcome",
        "LOOK_UP if outcome.code in REVERTED else outcome",
        "tests/unit/effects/test_settlement.py",
    ),
    _bug(
        "a reversal is sent again without a look-up",
        PROTOCOL,
        "LOOKED_UP = frozenset({Family.INITIATION, Family.REVERSAL})",
        "LOOKED_UP = frozenset({Family.INITIATION})",
        "tests/unit/effects/test_settlement.py",
    ),
    _bug(
        "a transaction that is not reverted is found as reverted",
        "src/headrace/effects/ledger.py",
        'return Found({"data": transaction}) if transaction["reverted"] else Absent()',
        'return Found({"data": transaction})',
        "tests/unit/effects/test_reversals.py",
    ),
    _bug(
        "a 2xx of another form is taken as done",
        "src/headrace/effects/wire.py",
        "    expect_status(response, 204)\n    return Done()\n",
        "    return Done()\n",
        "tests/unit/effects/test_responses.py",
        *_CONTRACT,
    ),
    Bug(
        "an activity that says no family is a read",
        (
            Change(ACTIVITY, "    family: ClassVar[Family]\n", "    family: ClassVar[Family] = Family.READ\n"),
            Change(ACTIVITY, '"name", "service", "family"', '"name", "service"'),
        ),
        ("tests/unit/workflows/test_activities.py",),
    ),
    _bug(
        "an ingestion is settled as any transaction",
        ACTIVITIES,
        "return self.family if self.payment_id is None else Family.INGESTION",
        "return self.family",
        "tests/unit/workflows/test_activities.py",
    ),
    # what is durable
    _bug(
        "a run is answered before its commit",
        USE_CASES,
        "begin(runner):\n        await ports.journal.commit(unit)\n",
        "begin(runner):\n        asyncio.ensure_future(ports.journal.commit(unit))\n",
        *_CONTRACT,
        _POINTS,
        "tests/api/test_keys.py",
    ),
    _bug(
        "`synchronous` is below FULL",
        JOURNAL,
        "PRAGMA synchronous=FULL",
        "PRAGMA synchronous=NORMAL",
        "tests/contract/test_journal_trouble.py",
    ),
    _bug(
        "readiness writes nothing",
        JOURNAL,
        "        unit.add(Probe())\n",
        "",
        "tests/contract/test_journal_trouble.py",
    ),
    _bug(
        "a removed lock file lets a second owner in",
        "src/headrace/journal/sqlite/lock.py",
        "            self._lock_journal()\n",
        "",
        "tests/contract/test_journal_trouble.py",
    ),
    _bug(
        "commits behind a damaged place of the log are passed over",
        JOURNAL,
        "            require_whole_log(path)\n",
        "",
        "tests/contract/test_journal_trouble.py",
    ),
    Bug(
        "callers' keys are kept by the wall clock",
        (
            Change(
                RETENTION,
                "int(self._clock.monotonic_s() -",
                "int(self._clock.now_at() / 1e6 -",
            ),
            Change(RETENTION, "= clock.monotonic_s()", "= clock.now_at() / 1e6"),
            Change(RETENTION, "MAX_STEP_S = 120", "MAX_STEP_S = 10**9"),
        ),
        ("tests/contract/test_journal_retention.py", "tests/api/test_keys.py"),
    ),
    _bug(
        "callers' keys are shared by all callers",
        "src/headrace/api/idempotency.py",
        "        request.principal.key_owner,\n",
        '        "",\n',
        "tests/api/test_key_owners.py",
    ),
    _bug(
        "a request's result is not stored under its key",
        "src/headrace/usecases/idempotency.py",
        "    if caller.key is not None:\n        unit.add(",
        "    if caller.key is not None and caller.operation != 'createTrigger':\n        unit.add(",
        "tests/api/test_keys.py",
    ),
    _bug(
        "two concurrent requests under one key both run",
        "src/headrace/usecases/idempotency.py",
        "        owner=key.owner,\n        key=key.key,\n",
        "        owner=key.owner,\n        key=key.key + str(at),\n",
        "tests/api/test_keys.py",
    ),
    # events
    _bug(
        "a broker's delivery is acknowledged before it is stored",
        "src/headrace/events/consumer.py",
        "            await self._take(origin, deliveries)\n",
        "            await self._subscriber.acknowledge(deliveries)\n"
        "            await self._take(origin, deliveries)\n",
        "tests/events/test_consumer.py",
        "tests/crash/test_events.py",
    ),
    Bug(
        "repeated events are known in memory only",
        (
            Change(
                "src/headrace/events/inbox.py",
                "        unit = Unit()\n        await self.add(unit, arrivals)\n",
                "        known = self.__dict__.setdefault('known', set())\n"
                "        arrivals = [each for each in arrivals if not (each.key in known or known.add(each.key))]\n"
                "        unit = Unit()\n        await self.add(unit, arrivals)\n",
            ),
            Change(SQL, "WHEN known IS NULL THEN :key\n", "WHEN known IS NULL THEN :key || hex(randomblob(4))\n"),
            Change(SQL, "    SELECT placed, known, (SELECT", "    SELECT NULL AS placed, NULL AS known, (SELECT"),
        ),
        ("tests/contract/test_journal_triggers.py", "tests/crash/test_events.py"),
    ),
    _bug(
        "an early event is dropped",
        SQL,
        "AND (stage IS NULL OR stage = :stage) ORDER BY",
        "AND (stage IS NULL OR stage = :stage)\n"
        "        AND received_at >= (SELECT max(started_at) FROM stages WHERE instance_id = :instance_id) ORDER BY",
        *_CONTRACT,
    ),
    _bug(
        "an event is used twice",
        SQL,
        "(stage IS NULL OR stage = :stage) ORDER BY (stage IS NULL), seq",
        "1 ORDER BY (stage IS NULL), seq",
        *_CONTRACT,
        "tests/contract/test_journal.py",
    ),
    _bug(
        "an event that nothing wants is published",
        SQL,
        "VALUES ((SELECT type FROM wanted WHERE type = :type), :happened_at",
        "VALUES (:type, :happened_at",
        "tests/contract/test_journal.py",
    ),
    _bug(
        "a trigger does not say which event it wants",
        "src/headrace/usecases/triggers.py",
        "    ports.outbox.want(unit, row.event)\n",
        "",
        "tests/api/test_triggers.py",
    ),
    _bug(
        "wanted types are read from the journal once",
        "src/headrace/journal/sqlite/writer.py",
        '        """A transaction begins."""\n        self.wanted = None\n',
        '        """A transaction begins."""\n',
        "tests/events/test_relay.py",
    ),
    _bug(
        "a position is overwritten",
        SQL,
        "served_s = excluded.served_s WHERE position = :expected\n",
        "served_s = excluded.served_s\n",
        "tests/contract/test_journal.py",
    ),
    _bug(
        "a relay that was overtaken goes on",
        "src/headrace/events/relay.py",
        "        unit.add(Required(move, partial(Deposed, self.name)))\n",
        "        unit.add(move)\n",
        "tests/events/test_relay.py",
    ),
    _bug(
        "work goes on after its duty was lost",
        "src/headrace/events/duties.py",
        "asyncio.wait((doing, losing), return_when=asyncio.FIRST_COMPLETED)",
        "asyncio.wait((doing,))",
        "tests/events/test_duties.py",
    ),
    _bug(
        "a server that lost its duties goes on reporting what the journal holds",
        "src/headrace/composition/background.py",
        "            self.telemetry.journal_counts(None)\n",
        "            pass\n",
        "tests/events/test_duties.py",
    ),
    _bug(
        "the later of two servers signs with a key that the tables do not have",
        "src/headrace/auth/shared.py",
        "if changed is not None and await self._tables.replace_keys(self._known, changed):",
        "if changed is not None and (await self._tables.replace_keys(self._known, changed) or True):",
        "tests/auth/test_shared.py",
    ),
    _bug(
        "the outbox is trimmed by the fastest publisher",
        SQL,
        "(SELECT min(position) FROM positions",
        "(SELECT max(position) FROM positions",
        "tests/contract/test_journal.py",
    ),
    # what is stored once
    _bug(
        "an instance always has its workflow's definition",
        SQL,
        "workflow_id AND config = :config), :config), :variables",
        "workflow_id), :config), :variables",
        "tests/contract/test_journal_disk.py",
    ),
    _bug(
        "long rows are in a table without a rowid",
        "src/headrace/journal/sqlite/migrations/sql/0012.sql",
        "    PRIMARY KEY (instance_id, stage, position)\n);",
        "    PRIMARY KEY (instance_id, stage, position)\n) WITHOUT ROWID;",
        "tests/contract/test_journal_disk.py",
    ),
    _bug(
        "a packed text is read without its end",
        "src/headrace/journal/sqlite/packing.py",
        "compressor.compress(encoded) + compressor.flush()",
        "compressor.compress(encoded[:-1]) + compressor.flush()",
        "tests/contract/test_journal_disk.py",
    ),
    _bug(
        "a migration that was cut off copies nothing more",
        "src/headrace/journal/sqlite/migrations/versions/0012_rowids.py",
        "    if old is not None:\n        connection.exec_driver_sql(create)",
        "    if old is not None and not connection.exec_driver_sql(\n"
        "        f\"SELECT 1 FROM sqlite_schema WHERE name = '{table}_0012'\"\n"
        "    ).scalar():\n        connection.exec_driver_sql(create)",
        "tests/contract/test_journal_releases.py",
    ),
    # abort, time, recovery
    _bug(
        "an aborted run goes on",
        RUNNER,
        "        if self.ended_at is None:\n            self._advance(unit, now_at, sends=sends)\n",
        "        if self.ended_at is None or self.stages:\n            self._advance(unit, now_at, sends=sends)\n",
        *_CONTRACT,
    ),
    _bug(
        "an attempt that waited for its turn begins after an abort",
        DRIVER,
        "            if not await self._may_begin(control, opened):\n                return\n            opened.was",
        "            if control.is_stopping:\n                return\n            opened.was",
        "tests/contract/test_abort_before_slot.py",
    ),
    _bug(
        "an attempt begins while an abort commits",
        ENGINE,
        "        if self.aborts:\n            async with self.lock:\n                pass\n"
        "        return True\n\n    async def pause",
        "        return True\n\n    async def pause",
        "tests/contract/test_abort_before_slot.py",
    ),
    _bug(
        "an abort decides by what is driven, before it is committed",
        ENGINE,
        "        try:\n            runner = self._runners.restore(standing)\n",
        "        try:\n            runner = active.runner if active.is_loaded else self._runners.restore(standing)\n",
        "tests/contract/test_abort_before_slot.py",
    ),
    _bug(
        "an abort takes for sent what waits for its turn",
        ENGINE,
        "            runner.keep(known, known.begun)\n",
        "            pass\n",
        "tests/contract/test_abort_before_slot.py",
    ),
    _bug(
        "an instance is not woken by its event",
        USE_CASES,
        "        ports.engine.wake(instance_id)\n",
        "",
        *_CONTRACT,
    ),
    _bug(
        "an answer that meets a Conflict is forgotten",
        DRIVER,
        "                    try:\n                        await self._read_again(control, opened, begun)\n"
        "                    except Conflict:\n                        await self._compare",
        "                    try:\n                        raise\n"
        "                    except Conflict:\n                        await self._compare",
        "tests/contract/test_driver.py",
    ),
    _bug(
        "a commit permits an attempt without a limit of time",
        DRIVER,
        "                if self._clock.monotonic_s() <= until_s:\n",
        "                if True:\n",
        "tests/contract/test_driver.py",
    ),
    _bug(
        "an intent that another process stored is sent without a commit",
        DRIVER,
        "            if opened.activity.is_effect:\n                await self._permit(control, opened)\n",
        "",
        "tests/contract/test_driver.py",
    ),
    _bug(
        "a unit of an instance is no compare-and-set",
        SQL,
        "version = :version + 1 WHERE id = :instance_id AND version = :version\n",
        "version = :version + 1 WHERE id = :instance_id\n",
        "tests/contract/test_journal.py",
    ),
    _bug(
        "the version of an instance is compared after its other writes",
        RUNNER,
        "        unit.insert(0, claim)\n",
        "        unit.append(claim)\n",
        "tests/contract/test_driver.py",
    ),
    _bug(
        "an instance is read before its place is taken",
        ENGINE,
        "                standing = await self._journal.standing(active.id)\n",
        "                self._active.pop(active.id, None)\n"
        "                standing = await self._journal.standing(active.id)\n"
        "                self._active[active.id] = active\n",
        "tests/crash/test_slow_reads.py",
    ),
    _bug(
        "a delay's deadline is computed again after a restart",
        "src/headrace/runner/recovery.py",
        "    runner.run_stage(stage.number, stage.started_at, may",
        "    runner.run_stage(stage.number, context.now(), may",
        *_CONTRACT,
    ),
    _bug(
        "recovery passes over runs that have something to do",
        ENGINE,
        "        self._has_backlog = True  # what",
        "        self._has_backlog = False  # what",
        *_CONTRACT,
        _POINTS,
    ),
    _bug(
        "recovery passes over delays that ended meanwhile",
        ENGINE,
        "        await self._resume_due(0, now_at)\n",
        "        await self._resume_due(now_at - 1_000_000, now_at)\n",
        *_CONTRACT,
        _POINTS,
    ),
    # amounts
    _bug(
        "amounts are floats",
        "src/headrace/money.py",
        "            return int(value)\n",
        "            return int(float(value))\n",
        "tests/unit/workflows",
    ),
    _bug(
        "an amount may be a float",
        "src/headrace/money.py",
        "    if isinstance(value, int) and not isinstance(value, bool):\n",
        "    if isinstance(value, float):\n        value = int(value)\n"
        "    if isinstance(value, int) and not isinstance(value, bool):\n",
        "tests/unit/workflows",
        "tests/api/test_hostile_values.py",
    ),
)
