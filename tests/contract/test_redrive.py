"""A failed instance is continued: each effect is booked once, under the keys of the first instance of its case."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from headrace.effects.earlier import EarlierEffect
from headrace.effects.port import Request, Response
from headrace.errors import InvalidValue, NotFound, NotInThisState
from headrace.journal.port import Unit
from headrace.journal.records import ActivityRow, Instance
from headrace.runner.instance import InstanceRunner
from headrace.usecases.redrive import redrive_instance
from tests.contract.test_engine import CROSS, SEND, WAIT
from tests.contract.test_failures_of_earlier_releases import rows_of
from tests.contract.test_resolve import needed, resolve, started
from tests.support.attention import ENDINGS, PAYOUT, Trouble
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running
from tests.support.redrive import EFFECTS, STAGES, Refusing, key_of, redrive

__all__ = ["every_engine"]  # a fixture

NAMES = [
    ["CreateTransaction", "CreateTransaction"],
    ["GetAccount", "CreateTransaction", "CreateTransferInitiation"],
    ["AddAccountMetadata"],
    ["CreateTransaction"],
]
"""The activities of `STAGES`, as V1 shows them."""


async def failed(alive: InProcess, *stages: dict[str, Any]) -> Instance:
    instance = await alive.ended(await started(alive, *stages))
    assert instance.error is not None
    return instance


async def refused(alive: InProcess, instance_id: str) -> str:
    """The code with which a redrive is refused; no successor is stored then."""
    with pytest.raises(NotInThisState) as caught:
        await redrive(alive, instance_id, key=None)
    return caught.value.code


async def history(alive: InProcess, instance: Instance) -> list[list[ActivityRow]]:
    return [await alive.journal.activities(instance.id, stage.number) for stage in instance.stages]


def expected_keys(root_id: str) -> list[str]:
    """The keys that the books show; metadata has none."""
    return sorted(f"headrace:{root_id}:{stage}:{ordinal}" for stage, ordinal in EFFECTS if stage != 2)


# each effect once


@pytest.mark.parametrize("place", EFFECTS)
async def test_a_case_that_is_refused_at_any_effect_goes_on_there(tmp_path: Path, place: tuple[int, int]) -> None:
    services = Refusing(place)
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, *STAGES)
        shown = await history(alive, first)
        services.refuses = False
        answer = await redrive(alive, first.id)
        last = await alive.ended(answer.target)
        rows = await history(alive, last)
        assert await alive.journal.instance(first.id) == first, "what has ended stays as it was"
        assert await history(alive, first) == shown
        successor = await alive.journal.successor(first.id)
        standing = await alive.journal.standing(last.id)
    assert last.error is None and services.keys_in_books() == expected_keys(first.id)
    sent = [key for key in services.sent_keys if key != f"{first.id}:{place[0]}:{place[1]}"]
    assert len(sent) == len(set(sent)) == len(EFFECTS) - 1, "what is done is never sent again"
    # V1 shows the whole case: what was done before, where it was done, with its times
    assert [[row.name for row in stage] for stage in rows] == NAMES
    assert [[row.position for row in stage] for stage in rows] == [list(range(len(stage))) for stage in rows]
    assert all(row.error is None and row.terminated_at is not None for stage in rows for row in stage)
    assert [stage.number for stage in last.stages] == [0, 1, 2, 3] and {s.instance_id for s in last.stages} == {last.id}
    before = [each.started_at for each in first.stages][: place[0]]
    assert [stage.started_at for stage in last.stages][: place[0]] == before
    done = [row for stage in shown for row in stage if row.error is None and row.key]
    assert [row.terminated_at for stage in rows for row in stage if row.key][: len(done)] == [
        row.terminated_at for row in done
    ]
    assert successor is not None and successor.principal == "jane"
    assert (successor.kind, successor.successor) == ("redrive", last.id)
    assert (last.kind, last.root_id, last.from_stage) == ("continuation", first.id, place[0])
    assert standing is not None and standing.instance == last
    await services.close()


async def test_a_continuation_that_fails_is_continued_from_where_it_failed(tmp_path: Path) -> None:
    """Three times in one stage and once in the next: the last one holds the history of them all."""
    services = Refusing((1, 0))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, *STAGES)
        second = await alive.ended((await redrive(alive, first.id, "1")).target)
        services.place = (1, 1)
        third = await alive.ended((await redrive(alive, second.id, "2")).target)
        services.place = (3, 0)
        fourth = await alive.ended((await redrive(alive, third.id, "3")).target)
        services.place = None
        last = await alive.ended((await redrive(alive, fourth.id, "4")).target)
        rows = await history(alive, last)
        listed = [each async for page in alive.journal.instances() for each in page]
        middle = await history(alive, fourth)
    assert [each.failure for each in (first, second, third, fourth, last)] == ["refused"] * 4 + [None]
    assert [each.from_stage for each in (second, third, fourth, last)] == [1, 1, 1, 3]
    assert {each.root_id for each in (second, third, fourth, last)} == {first.id}
    assert [[row.name for row in stage] for stage in rows] == NAMES
    assert [[row.name for row in stage] for stage in middle] == NAMES, "the last one's effects are not the fourth's"
    assert middle[3][0].error is not None and rows[3][0].error is None
    assert services.keys_in_books() == expected_keys(first.id)
    assert [len(each.stages) for each in sorted(listed, key=lambda each: each.created_at)] == [2, 2, 2, 4, 4]
    assert next(each for each in listed if each.id == last.id) == last
    await services.close()


async def test_unused_events_are_carried_over(tmp_path: Path) -> None:
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, {"wait_event": {"event": "begin"}}, SEND, WAIT)
        services.place = (1, 0)
        for name in ("go", "begin"):  # it may end before a third one could be sent
            await alive.send_event(instance_id, name)
        first = await alive.ended(instance_id)
        services.place = None
        last = await alive.ended((await redrive(alive, first.id)).target)
    assert first.failure == "refused" and last.error is None and len(last.stages) == 3
    await services.close()


async def test_reads_are_fresh(tmp_path: Path) -> None:
    """The payee was wrong, and nothing was booked for it: the corrected one is paid."""
    services = Refusing((0, 1))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, PAYOUT)
        services.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-8"})
        services.refuses = False
        last = await alive.ended((await redrive(alive, first.id)).target)
    assert last.error is None
    (paid,) = services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
    assert (paid["destinationAccountID"], paid["reference"]) == ("bank-8", f"headrace:{first.id}:0:1")
    assert services.balance("alice") == 900
    await services.close()


async def test_a_value_that_could_not_be_used_is_corrected_and_what_was_done_stays(tmp_path: Path) -> None:
    """The payee is not known where the payout begins: nothing of that stage is sent before it is."""
    payout = {"send": {**PAYOUT["send"], "source": {"account": {"id": "bob", "ledger": "main"}}}}
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, SEND, payout)
        assert (first.failure, services.sent_keys) == ("invalid", [f"{first.id}:0:0"]), first.error
        again = await alive.ended((await redrive(alive, first.id, "too early")).target)
        assert (again.failure, again.error, len(services.sent_keys)) == ("invalid", first.error, 1)
        services.call("ledger", "POST", "/v2/main/accounts/bob/metadata", {"formanceAccountID": "bank-8"})
        last = await alive.ended((await redrive(alive, again.id)).target)
    assert (last.error, last.root_id, last.from_stage) == (None, first.id, 1)
    assert services.keys_in_books() == [f"headrace:{first.id}:{place}" for place in ("0:0", "1:0", "1:1")]
    (paid,) = services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
    assert (paid["destinationAccountID"], services.balance("alice"), services.balance("bob")) == ("bank-8", 900, 0)
    await services.close()


NAMED: dict[str, Any] = {
    "send": {
        "source": {"account": {"id": "world", "ledger": "main"}},
        "destination": {"wallet": {"name": "jane"}},
        "amount": {"asset": "USD/2", "amount": 100},
    }
}


async def test_what_was_booked_must_still_fit(tmp_path: Path) -> None:
    """A name leads to another wallet now: nothing more is sent, and the failure is of the kind `plan`."""
    services = Refusing((0, 1))
    one = services.call("wallets", "POST", "/wallets", {"name": "jane", "metadata": {}})["data"]["id"]
    bridged = {"send": {**NAMED["send"], "source": {"wallet": {"name": "jane"}}, "destination": PAYEE}}
    services.call("wallets", "POST", f"/wallets/{one}/credit", {"amount": {"asset": "USD/2", "amount": 100}})
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, bridged)
        assert next(row.name for row in await alive.journal.activities(first.id, 0) if row.key) == "DebitWallet"
        other = services.call("wallets", "POST", "/wallets", {"name": "jane 2", "metadata": {}})["data"]["id"]
        renames = {"jane": other}
        services.plan, plan = _renamed(services, renames), services.plan
        services.refuses, sent = False, list(services.sent_keys)
        last = await alive.ended((await redrive(alive, first.id)).target)
        assert await refused(alive, last.id) == "needs_plan"
        services.plan = plan
    assert (last.failure, services.sent_keys) == ("plan", sent), last.error
    assert "what was booked no longer fits" in (last.error or "")
    await services.close()


PAYEE = {"account": {"id": "bob", "ledger": "main"}}


def _renamed(services: Refusing, renames: dict[str, str]) -> Any:
    """Lists of wallets by name show another wallet."""
    plan = services.plan
    assert plan is not None

    def answer(request: Request, count: int) -> Any:
        if request.method == "GET" and request.path.startswith("/wallets?"):
            found = services.sandbox.handle(Request("wallets", "GET", "/wallets?pageSize=100"))
            listed = json.loads(found.body)
            listed["cursor"]["data"] = [
                {**each, "name": "jane"} for each in listed["cursor"]["data"] if each["id"] in renames.values()
            ]
            return Response(200, json.dumps(listed).encode(), found.headers)
        return plan(request, count)

    return answer


# races and kills


async def test_of_many_redrives_one_is_made(tmp_path: Path) -> None:
    services = Refusing((0, 1))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, *STAGES)
        services.refuses = False
        results = await asyncio.gather(*(redrive(alive, first.id, key=None) for _ in range(5)), return_exceptions=True)
        made = [each for each in results if not isinstance(each, BaseException)]
        codes = {each.code for each in results if isinstance(each, NotInThisState)}
        assert len(made) == 1 and codes == {"has_successor"}
        await alive.ended(made[0].target)
        assert await refused(alive, first.id) == "has_successor"
        (entry,) = [each for each in await alive.journal.audit(2**62, 20) if each.operation == "redriveInstance"]
        assert (entry.principal, entry.target) == ("jane", made[0].target)
    assert services.keys_in_books() == expected_keys(first.id)
    await services.close()


async def test_a_repeated_request_under_one_key_is_answered_the_same(tmp_path: Path) -> None:
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, SEND)
        services.refuses = False
        answers = await asyncio.gather(*(redrive(alive, first.id) for _ in range(3)))
        answers.append(await redrive(alive, first.id))
    assert len({answer.value for answer in answers}) == 1 and [a.is_repeated for a in answers].count(False) == 1
    await services.close()


@pytest.mark.needs("is_one_process")
@pytest.mark.parametrize("place", [(0, 1), (1, 1)])
async def test_a_kill_at_any_point_leaves_one_continuation_and_each_effect_once(
    tmp_path: Path, place: tuple[int, int]
) -> None:
    """`test_redrive_kills.py` does so at every other place, in virtual time."""
    number = 0
    while True:
        for after in (False, True):
            services = Refusing(place)
            file = tmp_path / f"{number}-{after}.db"
            async with running(file, services) as alive:
                first = await failed(alive, *STAGES)
            done = set(services.sent_keys) - {f"{first.id}:{place[0]}:{place[1]}"}
            services.refuses, services.sent_keys = False, []
            point = CrashPoint(number, after=after)
            async with running(file, services, point) as alive:
                await point.over(_continued(alive, first.id))
            async with running(file, services) as alive:
                last = await alive.ended((await redrive(alive, first.id)).target)
                rows = await history(alive, last)
                count = len([each async for page in alive.journal.instances() for each in page])
            assert last.error is None and count == 2, (number, after, point.seen)
            assert services.keys_in_books() == expected_keys(first.id), (number, after)
            assert not done & set(services.sent_keys), "what is done is never sent again"
            assert [[row.name for row in stage] for stage in rows] == NAMES
            await services.close()
        if point.struck_at is None:
            break
        number += 1
    assert number >= 5, "commits and sends"


async def _continued(alive: InProcess, instance_id: str) -> None:
    await alive.ended((await redrive(alive, instance_id)).target)


# the late attempt


class Late(Refusing):
    """The first attempt of an effect is delayed on its way; its resends are refused, until `refuses` is unset."""

    def __init__(self, place: tuple[int, int]) -> None:
        super().__init__(place)
        self.late: Request | None = None

    def answer(self, request: Request) -> Any:
        if self.late is None:
            self.late = request
            return "lose"
        return super().answer(request)

    def arrive(self) -> None:
        assert self.late is not None
        self.sandbox.handle(self.late)


WAYS = {"ledger": (SEND, (0, 0)), "payments": (PAYOUT, (0, 1)), "metadata": (STAGES[2], (0, 0))}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("way", WAYS)
async def test_an_attempt_that_arrives_late_books_nothing_twice(tmp_path: Path, way: str, moment: str) -> None:
    stage, place = WAYS[way]
    services = Late(place)
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, stage)
        services.refuses = False
        if moment == "before":
            services.arrive()
        last = await alive.ended((await redrive(alive, first.id)).target)
        services.arrive()
    assert last.error is None
    keys = services.keys_in_books()
    assert len(keys) == len(set(keys)) == {"ledger": 1, "payments": 2, "metadata": 0}[way]
    assert services.balance("alice") == (1_000 if way == "metadata" else 900)
    assert services.balance("bob") == (100 if way == "ledger" else 0)
    await services.close()


@pytest.mark.parametrize("way", ["wallet", "debit"])
async def test_an_attempt_on_a_wallet_that_arrives_late_books_nothing_twice(tmp_path: Path, way: str) -> None:
    """The books cannot show a wallet's write as absent: a person calls it not booked, and then it arrives."""
    services = Trouble(f"{way} not_found")
    late: list[Request] = []
    plan = services.plan

    def delaying(request: Request, count: int) -> Any:
        if not late and request.path.endswith(ENDINGS[way]):
            late.append(request)
        assert plan is not None
        return plan(request, count)

    services.plan = delaying
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage)
        await resolve(alive, await needed(alive), "not_booked")
        first = await alive.ended(instance_id)
        assert first.failure == "unbooked"
        services.plan, services.is_shown = None, True
        last = await alive.ended((await redrive(alive, first.id)).target)
        services.sandbox.handle(late[0])
    assert last.error is None and len(services.bookings()) == 1
    await services.close()


async def test_with_a_new_key_the_late_attempt_pays_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trap, shown: with keys of its own, and bytes that nobody compares, the payee of a continuation has 200."""
    init = InstanceRunner.__init__

    def with_new_keys(self: InstanceRunner, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **{**kwargs, "root_id": None})

    monkeypatch.setattr(InstanceRunner, "__init__", with_new_keys)
    monkeypatch.setattr(EarlierEffect, "objection", lambda *_: "")
    monkeypatch.setattr(EarlierEffect, "to_send", lambda _, request: request)
    services = Late((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, SEND)
        services.refuses = False
        last = await alive.ended((await redrive(alive, first.id)).target)
        assert last.error is None
        services.arrive()
    assert services.balance("bob") == 200
    await services.close()


async def test_what_may_still_arrive_is_sent_with_the_same_content_only(tmp_path: Path) -> None:
    services = Late((0, 1))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, PAYOUT)
        services.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-8"})
        services.refuses = False
        assert await refused(alive, first.id) == "needs_same_bytes"
        assert await alive.journal.successor(first.id) is None
        services.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-7"})
        last = await alive.ended((await redrive(alive, first.id)).target)
    assert last.error is None and services.late is not None
    bodies = {request.body for request in services.writes if key_of(request) == key_of(services.late)}
    assert bodies == {services.late.body}
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_what_changes_between_the_request_and_the_run_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    services = Late((0, 1))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, PAYOUT)
        services.refuses, sent = False, len(services.writes)
        plan, reads = services.plan, 0

        def correcting(request: Request, count: int) -> Any:
            nonlocal reads
            reads += request.method == "GET" and "/accounts/alice" in request.path
            if reads == 2:
                services.call("ledger", "POST", "/v2/main/accounts/alice/metadata", {"formanceAccountID": "bank-8"})
                reads += 1
            assert plan is not None
            return plan(request, count)

        services.plan = correcting
        last = await alive.ended((await redrive(alive, first.id)).target)
    assert (last.failure, len(services.writes)) == ("plan", sent), last.error
    assert "may still arrive" in (last.error or "")
    await services.close()


async def test_an_abort_settles_what_an_earlier_instance_may_have_sent(tmp_path: Path) -> None:
    """The continuation is aborted before it has sent anything; the attempt of the first one arrives meanwhile."""
    services = Late((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        first = await failed(alive, SEND)
        services.place = None
        services.plan = lambda request, _: "hold" if request.method == "POST" else None
        answer = await redrive(alive, first.id)
        async with asyncio.timeout(20):
            while services.sent[-1].method != "POST":
                await asyncio.sleep(0.002)
        await alive.abort(answer.target)
        services.gate.set()
        async with asyncio.timeout(20):
            while not ((found := await alive.journal.standing(answer.target)) and found.is_over):
                await asyncio.sleep(0.002)
        assert await refused(alive, answer.target) == "aborted"
    assert found.activities[0].error is None and services.booked() == 1
    await services.close()


# what is refused


@pytest.mark.parametrize("body", [None, [], {}, {"reason": " "}, {"reason": 5}, {"reason": "r", "force": True}])
async def test_a_request_names_its_fault(tmp_path: Path, body: object) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        with pytest.raises(InvalidValue):
            await redrive_instance(alive.ports, None, "none", body)
        with pytest.raises(NotFound):
            await redrive(alive, "none", key=None)
    await services.close()


async def test_the_state_says_what_may_be_redriven(tmp_path: Path) -> None:
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        waiting = await started(alive, WAIT)
        assert await refused(alive, waiting) == "running"
        await alive.abort(waiting)
        assert await refused(alive, waiting) == "aborted"
        services.place = None
        done = await alive.ended((await alive.start(await alive.workflow("s", [SEND]), {})).id)
        assert await refused(alive, done.id) == "not_failed"
        services.plan = lambda request, _: "hold" if request.method == "POST" else None
        opened = (await alive.start(await alive.workflow("c", [CROSS]), {})).id
        async with asyncio.timeout(20):
            while f"{opened}:0:0".encode() not in (services.sent[-1].body or b""):
                await asyncio.sleep(0.002)
        await alive.abort(opened)
        assert await refused(alive, opened) == "open"
        services.gate.set()
    await services.close()


async def test_what_did_not_end_cleanly_may_not_be_redriven(tmp_path: Path) -> None:
    """Something else stands under our reference; or an earlier release ended it, and its rows do not say why."""
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        taken = await started(alive, WAIT, SEND)
        services.take(f"headrace:{taken}:1:0")
        await alive.send_event(taken, "go")
        assert (await alive.ended(taken)).failure == "conflict"
        unit = Unit()
        for write in rows_of("conflict or refused"):
            unit.add(write)
        await alive.journal.commit(unit)
        unknown = await alive.journal.instance("conflict or refused")
        assert unknown is not None and unknown.failure == "unclassified"
        sent = len(services.writes)
        for instance_id in (taken, unknown.id):
            assert await refused(alive, instance_id) == "not_clean"
            assert await alive.journal.successor(instance_id) is None
        assert len(services.writes) == sent
    await services.close()
