"""A case is undone by an ordinary instance: what it reverts, what it keeps, races and kills (MS-6, MS-7)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from headrace.effects.port import Request
from headrace.errors import InvalidValue, NotFound, NotInThisState
from headrace.journal.port import Results, Unit
from headrace.journal.records import Instance
from headrace.journal.writes import EndInstance
from headrace.usecases.descriptions import described
from headrace.usecases.idempotency import Answer, Caller, CallerKey
from headrace.usecases.undo import Undoing, preview_undo, undo_instance
from tests.contract.test_engine import CROSS, SEND, WAIT
from tests.contract.test_resolve import started
from tests.support.attention import PAYOUT
from tests.support.engines import every_engine
from tests.support.in_process import CrashingJournal, CrashPoint, InProcess, running
from tests.support.redrive import EFFECTS, STAGES, Refusing, key_of, redrive

__all__ = ["every_engine"]  # a fixture

ACCOUNTS = (("main", "alice"), ("main", "bob"), ("main", "world"), ("other", "bob"), ("other", "world"))


async def undo(alive: InProcess, instance_id: str, key: str | None = "undo", **members: Any) -> Answer[Undoing]:
    caller = Caller("jane", "undoInstance", key=None if key is None else CallerKey(key, b"meaning"))
    return await undo_instance(alive.ports, caller, instance_id, {"reason": "the wrong merchant", **members})


async def refused(alive: InProcess, instance_id: str) -> str:
    """The code with which an undo is refused; no successor is stored then."""
    with pytest.raises(NotInThisState) as caught:
        await undo(alive, instance_id, key=None)
    return caught.value.code


def balances(services: Refusing) -> list[int]:
    return [services.balance(account, ledger) for ledger, account in ACCOUNTS]


async def state_of(alive: InProcess, instance: Instance) -> tuple[str, list[str]]:
    """The state of an undo, and the keys of what it keeps; the same for both of its instances."""
    found = (await described(alive.ports, instance.id)).undo
    assert found is not None
    return found.state, [each.key.partition(":")[2].partition(":")[2] for each in found.kept]


@pytest.mark.parametrize("place", [*EFFECTS[1:], None])
async def test_a_case_that_was_cut_at_any_effect_is_undone(tmp_path: Path, place: tuple[int, int] | None) -> None:
    """The payout is paid in the sandbox, so it and what funded it are kept; metadata too; all else is as before."""
    services = Refusing(place)
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, *STAGES))
        services.place = None
        paid = place is None or place > (1, 1)
        previewed = await preview_undo(alive.ports, case.id, "keep")
        answer = await undo(alive, case.id)
        ended = await alive.ended(answer.target)
        assert answer.value is not None and answer.value.reverts == len(ended.stages) == len(previewed.stages)
        expected = [*initial]
        kept: list[str] = []
        if paid:
            expected[0], expected[2] = expected[0] - 100, expected[2] + 100
            kept = ["1:1", "1:0"]
        if place is None or place > (2, 0):
            kept = ["2:0", *kept]
        assert (ended.error, balances(services)) == (None, expected)
        assert await state_of(alive, case) == await state_of(alive, ended) == ("undone_but" if kept else "undone", kept)
        workflow = await alive.journal.workflow(ended.workflow_id)
        assert workflow is not None and workflow.deleted_at is not None
        listed = [each.id async for page in alive.journal.workflows() for each in page]
        assert ended.workflow_id not in listed
        assert (ended.kind, ended.root_id) == ("undo", None)
        assert await refused(alive, case.id) == "has_successor" and await refused(alive, ended.id) == "is_undo"
    assert sum(is_revert(request) for request in services.writes) == len(ended.stages)
    await services.close()


async def test_the_undo_of_a_continuation_reverts_the_whole_case(tmp_path: Path) -> None:
    services = Refusing((0, 1))
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, CROSS, SEND))
        services.place = None
        last = await alive.ended((await redrive(alive, first.id)).target)
        assert last.error is None and balances(services) != initial
        assert await refused(alive, first.id) == "has_successor"
        ended = await alive.ended((await undo(alive, last.id)).target)
    assert (ended.error, len(ended.stages), balances(services)) == (None, 3, initial)
    await services.close()


async def test_a_payout_that_waits_is_rejected_and_what_funded_it_comes_back(tmp_path: Path) -> None:
    services = Refusing()
    initial = balances(services)
    waiting = {"send": {**PAYOUT["send"], "destination": {"payment": {"psp": "dummy-pay", "waitingValidation": True}}}}
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, waiting))
        assert case.error is None
        ended = await alive.ended((await undo(alive, case.id)).target)
        assert await state_of(alive, case) == ("undone", [])
    (payout,) = services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
    assert (ended.error, payout["status"], balances(services)) == (None, "REJECTED", initial)
    await services.close()


async def test_a_payout_that_is_paid_after_the_undo_began_keeps_its_funding(tmp_path: Path) -> None:
    services = Refusing()
    waiting = {"send": {**PAYOUT["send"], "destination": {"payment": {"psp": "dummy-pay", "waitingValidation": True}}}}
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, waiting))
        before = balances(services)
        plan, asked = services.plan, 0

        def paying(request: Request, count: int) -> Any:
            nonlocal asked
            if request.method == "GET" and request.path.startswith("/transfer-initiations?"):
                asked += 1
                if asked == 2:
                    (found,) = services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
                    services.call(
                        "payments", "POST", f"/transfer-initiations/{found['id']}/status", {"status": "VALIDATED"}
                    )
                    services.call(
                        "payments", "POST", f"/transfer-initiations/{found['id']}/status", {"status": "PROCESSED"}
                    )
            assert plan is not None
            return plan(request, count)

        services.plan = paying
        ended = await alive.ended((await undo(alive, case.id)).target)
        assert (ended.error, balances(services)) == (None, before)
        assert await state_of(alive, case) == ("undone_but", ["0:0", "0:1"])
    await services.close()


async def test_money_that_was_spent_stops_an_undo_which_is_then_redriven(tmp_path: Path) -> None:
    services = Refusing()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND, SEND))
        _book(services, "bob", "spent", 150)
        failed = await alive.ended((await undo(alive, case.id)).target)
        assert (failed.failure, failed.failure_code) == ("refused", "INSUFFICIENT_FUND")
        assert (await state_of(alive, case))[0] == "undo_failed"
        _book(services, "spent", "bob", 150)
        last = await alive.ended((await redrive(alive, failed.id)).target)
        assert last.error is None and await state_of(alive, case) == ("undone", [])
        assert await state_of(alive, last) == ("undone", [])
        assert await refused(alive, last.id) == "is_undo"
    assert balances(services) == initial
    await services.close()


def _book(services: Refusing, source: str, destination: str, amount: int) -> None:
    posting = {"source": source, "destination": destination, "amount": amount, "asset": "USD/2"}
    services.call("ledger", "POST", "/v2/main/transactions", {"metadata": {}, "postings": [posting]})


async def test_what_was_reverted_by_hand_is_not_reverted_again(tmp_path: Path) -> None:
    services = Refusing()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND))
        (ours,) = [row for row in transactions(services) if row.get("reference")]
        services.call("ledger", "POST", f"/v2/main/transactions/{ours['id']}/revert", {})
        ended = await alive.ended((await undo(alive, case.id)).target)
    assert (ended.error, balances(services)) == (None, initial)
    await services.close()


def transactions(services: Refusing, ledger: str = "main") -> list[dict[str, Any]]:
    return services.call("ledger", "GET", f"/v2/{ledger}/transactions?pageSize=100")["cursor"]["data"]


def is_revert(request: Request) -> bool:
    return request.method == "POST" and request.path.partition("?")[0].endswith("/revert")


@pytest.mark.parametrize("answer", ["comes", "is lost"])
async def test_what_is_reverted_by_hand_after_the_undo_has_read_it_is_reverted_once(
    tmp_path: Path, answer: str
) -> None:
    """Between the undo's read and its own revert; whether the answer to that comes or not."""
    services = Refusing()
    initial = balances(services)
    by_hand: list[str] = []
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, CROSS))
        before = [len(transactions(services, ledger)) for ledger in ("main", "other")]
        plan = services.plan

        def reverting(request: Request, count: int) -> Any:
            if is_revert(request) and request.path not in by_hand:
                by_hand.append(request.path)
                services.call("ledger", "POST", request.path, {})
                return "lose" if answer == "is lost" else None
            assert plan is not None
            return plan(request, count)

        services.plan = reverting
        ended = await alive.ended((await undo(alive, case.id)).target)
        assert await state_of(alive, case) == ("undone", [])
    assert (ended.error, balances(services)) == (None, initial)
    assert len(by_hand) == len(ended.stages) == 2
    after = [len(transactions(services, ledger)) for ledger in ("main", "other")]
    assert sum(after) - sum(before) == len(by_hand), "the reverts by hand, and no other"
    await services.close()


async def test_only_what_is_proven_is_reverted_where_our_reference_is_taken(tmp_path: Path) -> None:
    services = Refusing()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        case_id = await started(alive, SEND, WAIT, SEND)
        foreign = services.take(f"headrace:{case_id}:2:0")
        await alive.send_event(case_id, "go")
        case = await alive.ended(case_id)
        assert case.failure == "conflict"
        ended = await alive.ended((await undo(alive, case_id)).target)
        assert await state_of(alive, case) == ("undone", [])
    assert (ended.error, len(ended.stages)) == (None, 1)
    rows = {row["id"]: row for row in transactions(services)}
    reverted = [row["reference"] for row in rows.values() if row["reverted"]]
    assert reverted == [f"headrace:{case_id}:0:0"] and not rows[foreign]["reverted"]
    assert services.balance("shop") == 7
    initial[2] -= 7
    assert balances(services) == initial
    await services.close()


async def test_of_a_failure_that_no_row_explains_what_is_proven_is_reverted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of an earlier release has ended the case: it stored no kind of failure."""
    commit = CrashingJournal.commit

    async def as_earlier(journal: CrashingJournal, unit: Unit) -> Results:
        for end in (each for each in unit.writes if isinstance(each, EndInstance)):
            structs.force_setattr(end, "failure", None)
            structs.force_setattr(end, "failure_code", None)
        return await commit(journal, unit)

    services = Refusing((1, 1))
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        with monkeypatch.context() as earlier:
            earlier.setattr(CrashingJournal, "commit", as_earlier)
            case = await alive.ended(await started(alive, SEND, CROSS))
        assert case.failure == "unclassified" and balances(services) != initial
        ended = await alive.ended((await undo(alive, case.id)).target)
        assert await state_of(alive, case) == ("undone", [])
    assert (ended.error, len(ended.stages), balances(services)) == (None, 2, initial)
    await services.close()


# aborts


async def settled(alive: InProcess, instance_id: str) -> Instance:
    """An instance that was aborted, once the outcomes of all its effects are known."""
    async with asyncio.timeout(20):
        while not ((found := await alive.journal.standing(instance_id)) and found.is_over):
            await asyncio.sleep(0.002)
    return found.instance


async def test_an_abort_that_is_not_settled_is_not_undone(tmp_path: Path) -> None:
    """The second effect is under way: whether it will be booked is not known, and the first one is not undone alone."""
    services = Refusing()
    initial = balances(services)
    services.plan = lambda request, _: "hold" if (key_of(request) or ())[1:] == ("0", "1") else None
    async with running(tmp_path / "j.db", services) as alive:
        case_id = await started(alive, CROSS)
        async with asyncio.timeout(20):
            while services.booked("main") < 1 or len(services.writes) < 2:
                await asyncio.sleep(0.002)
        await alive.abort(case_id)
        assert await refused(alive, case_id) == "open"
        assert await alive.journal.successor(case_id) is None
        services.gate.set()
        case = await settled(alive, case_id)
        assert case.failure == "canceled" and balances(services) != initial
        ended = await alive.ended((await undo(alive, case_id)).target)
        assert await state_of(alive, case) == ("undone", [])
    assert (ended.error, len(ended.stages), balances(services)) == (None, 2, initial)
    await services.close()


async def test_an_undo_that_was_aborted_is_redriven_and_restores_the_case(tmp_path: Path) -> None:
    """Its first revert is under way as it is aborted. What it has reverted is not reverted again."""
    services = Refusing()
    initial = balances(services)
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, CROSS, SEND))
        services.plan = lambda request, _: "hold" if is_revert(request) else None
        begun = (await undo(alive, case.id)).target
        async with asyncio.timeout(20):
            while not is_revert(services.sent[-1]):
                await asyncio.sleep(0.002)
        await alive.abort(begun)
        with pytest.raises(NotInThisState) as caught:
            await redrive(alive, begun, None)
        assert caught.value.code == "open"
        services.gate.set()
        aborted = await settled(alive, begun)
        assert aborted.failure == "canceled" and (await state_of(alive, case))[0] == "undo_failed"
        last = await alive.ended((await redrive(alive, begun)).target)
        assert (last.error, last.root_id, len(last.stages)) == (None, begun, 3)
        assert await state_of(alive, case) == await state_of(alive, last) == ("undone", [])
    assert balances(services) == initial
    reverts = [request.path for request in services.writes if is_revert(request)]
    assert len(reverts) == len(set(reverts)) == 3
    await services.close()


async def test_of_an_undo_and_a_redrive_one_is_made(tmp_path: Path) -> None:
    services = Refusing((0, 1))
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, CROSS))
        services.place = None
        results: list[Any] = await asyncio.gather(
            *(each(alive, case.id, key=None) for _ in range(2) for each in (undo, redrive)), return_exceptions=True
        )
        made = [each for each in results if not isinstance(each, BaseException)]
        assert len(made) == 1 and {each.code for each in results if isinstance(each, NotInThisState)} == {
            "has_successor"
        }
        ended = await alive.ended(made[0].target)
        found = await alive.journal.successor(case.id)
    assert ended.error is None and found is not None and found.successor == ended.id
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_a_kill_at_any_point_leaves_one_undo_and_each_revert_once(tmp_path: Path) -> None:
    number = 0
    while True:
        for after in (False, True):
            services = Refusing((1, 0))
            initial = balances(services)
            file = tmp_path / f"{number}-{after}.db"
            async with running(file, services) as alive:
                case = await alive.ended(await started(alive, CROSS, SEND))
            services.place = None
            point = CrashPoint(number, after=after)
            async with running(file, services, point) as alive:
                await point.over(_undone(alive, case.id))
            async with running(file, services) as alive:
                ended = await alive.ended((await undo(alive, case.id)).target)
                count = len([each async for page in alive.journal.instances() for each in page])
            assert (ended.error, count, balances(services)) == (None, 2, initial), (number, after, point.seen)
            rows = transactions(services)
            assert sum(row["reverted"] for row in rows) == 1, (number, after)
            assert len(rows) == 3, "the funding, the leg on this ledger, and its revert"
            await services.close()
        if point.struck_at is None:
            break
        number += 1
    assert number >= 5, "commits, reads and sends"


async def _undone(alive: InProcess, instance_id: str) -> None:
    await alive.ended((await undo(alive, instance_id)).target)


async def test_the_state_says_what_may_be_undone(tmp_path: Path) -> None:
    services = Refusing((0, 0))
    async with running(tmp_path / "j.db", services) as alive:
        waiting = await started(alive, WAIT)
        assert await refused(alive, waiting) == "running"
        await alive.abort(waiting)
        assert await refused(alive, waiting) == "nothing_to_undo"
        failed = await alive.ended((await alive.start(await alive.workflow("s", [SEND]), {})).id)
        assert failed.failure == "refused" and await refused(alive, failed.id) == "nothing_to_undo"
        assert (await described(alive.ports, failed.id)).undo is None
        with pytest.raises(NotFound):
            await undo(alive, "none", key=None)
        for members in ({"external": "force"}, {"external": 7}, {"reason": ""}, {"force": True}):
            with pytest.raises(InvalidValue):
                await undo(alive, failed.id, key=None, **members)
    await services.close()


async def test_a_repeated_request_under_one_key_is_answered_the_same(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, SEND))
        answers = await asyncio.gather(*(undo(alive, case.id) for _ in range(3)))
        answers.append(await undo(alive, case.id))
        (entry,) = [each for each in await alive.journal.audit(2**62, 20) if each.operation == "undoInstance"]
        await alive.ended(answers[0].target)
    assert len({answer.target for answer in answers}) == 1 and [a.is_repeated for a in answers].count(False) == 1
    assert (entry.principal, entry.target) == ("jane", answers[0].target)
    await services.close()
