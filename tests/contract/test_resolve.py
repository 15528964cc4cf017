"""A person resolves an effect that needs attention: every cause of it, each verdict, races and crashes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.effects.port import Request
from headrace.errors import AlreadyEnded, InvalidValue, NotFound, NotResolvable, Unavailable
from headrace.journal.lists import NEWEST, AttentionList
from headrace.journal.records import AttentionRow, Instance
from headrace.usecases.idempotency import Answer, Caller, CallerKey
from headrace.usecases.resolve import Resolution, parse_decision, resolve_effect
from tests.contract.test_attention import LIMIT_S, needing, statuses, undecided, until
from tests.contract.test_engine import CROSS, SEND, WAIT
from tests.support.attention import WAYS, Trouble
from tests.support.engines import every_engine
from tests.support.in_process import CrashPoint, InProcess, running

__all__ = ["every_engine"]  # a fixture

TEXT = {"text": "the statement of the bank"}


async def resolve(
    alive: InProcess,
    row: AttentionRow,
    outcome: str,
    evidence: dict[str, Any] = TEXT,
    *,
    by: str = "jane",
    key: str | None = None,
) -> Answer[Resolution]:
    caller = Caller(by, "resolveEffect", key=None if key is None else CallerKey(key, b"meaning"))
    body = {"outcome": outcome, "evidence": evidence, "reason": "seen in the books"}
    return await resolve_effect(alive.ports, caller, row.id, row.stage, row.position, body)


async def refused(alive: InProcess, row: AttentionRow, outcome: str, evidence: dict[str, Any] = TEXT) -> str:
    """The reason for which a decision is refused; nothing is stored then."""
    with pytest.raises(NotResolvable) as caught:
        await resolve(alive, row, outcome, evidence)
    assert await alive.journal.resolutions(row.id) == []
    return caught.value.code


async def needed(alive: InProcess, instance_id: str | None = None) -> AttentionRow:
    """The effect that needs attention, once it does, and nothing drives its instance."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            rows = await alive.journal.attention_after(AttentionList(instance_id), NEWEST, 2)
            if rows and not alive.engine.active_instances:
                (row,) = rows
                return row
            await asyncio.sleep(0.002)


async def started(alive: InProcess, *stages: dict[str, Any]) -> str:
    return (await alive.start(await alive.workflow("w", list(stages)), {})).id


async def closed(alive: InProcess, instance_id: str) -> Instance:
    """The instance once nothing of it is open."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            standing = await alive.journal.standing(instance_id)
            assert standing is not None
            if standing.is_over:
                return standing.instance
            await asyncio.sleep(0.002)


# each verdict


async def test_a_booked_effect_is_done_and_the_instance_goes_on(tmp_path: Path) -> None:
    services = Trouble("wallet not_found", is_booked=True)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage, SEND)
        row = await needed(alive)
        attempts = services.attempts
        services.is_shown = True
        answer = await resolve(alive, row, "booked", services.evidence())
        instance = await alive.ended(instance_id)
        (decided,) = await alive.journal.resolutions(instance_id)
        activities = await alive.journal.activities(instance_id, 0)
        (entry,) = await alive.journal.audit(2**62, 9)
    assert instance.error is None and len(services.bookings()) == 1 and services.booked() == 1
    assert services.attempts == attempts, "it was sent again"
    assert (activities[-1].error, activities[-1].needs_attention, needing(alive)) == (None, False, 0)
    assert (decided.verdict, decided.principal, decided.reason) == ("booked", "jane", "seen in the books")
    assert answer.value is not None and not answer.value.is_attested and answer.value.failure is None
    assert (entry.principal, entry.operation, entry.target) == ("jane", "resolveEffect", instance_id)
    await services.close()


async def test_what_was_not_booked_is_never_sent_again_and_ends_the_instance(tmp_path: Path) -> None:
    services = Trouble("wallet not_found")
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage, SEND)
        row = await needed(alive)
        attempts = services.attempts
        answer = await resolve(alive, row, "not_booked")
        instance = await alive.ended(instance_id)
        assert await statuses(alive) == ["failed"]
    async with running(tmp_path / "j.db", services) as again:
        await until(lambda: not again.engine.active_instances)
        assert not again.engine.active_instances and needing(again) == 0
    assert instance.error is not None and instance.error.startswith("CreditWallet: UNBOOKED")
    assert len(instance.stages) == 1 and services.attempts == attempts and not services.bookings()
    assert answer.value is not None and answer.value.failure == "unbooked" and answer.value.is_attested
    await services.close()


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_named_is_compared_first_and_then_the_instance_goes_on(tmp_path: Path, way: str) -> None:
    """By every way to need attention: a booking of a person with equal values is taken, one with others is not."""
    services = Trouble(way, is_booked=False)
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage, WAIT)
        row = await needed(alive)
        attempts = services.attempts
        assert (row.attention, row.id, row.terminated_at) == (services.doubt, instance_id, None)
        services.is_shown = True
        if services.kind == "metadata":
            with pytest.raises(InvalidValue, match="no id shows it"):
                await resolve(alive, row, "booked", {"ledger": "main", "transactionID": 1})
            evidence = TEXT
        else:
            wrong = {"initiationID": "none"} if services.kind == "payments" else {"ledger": "main", "transactionID": 99}
            assert await refused(alive, row, "booked", wrong) == "not_in_books"
            evidence = services.by_hand()
        if services.doubt.startswith("other"):
            assert await refused(alive, row, "not_booked") == "other_content"
        await resolve(alive, row, "booked", evidence)
        await until_waiting(alive)
        await alive.send_event(instance_id, "go")
        instance = await alive.ended(instance_id)
    assert instance.error is None and services.attempts == attempts
    await services.close()


async def until_waiting(alive: InProcess) -> None:
    async with asyncio.timeout(LIMIT_S):
        while await statuses(alive) != ["waiting"]:
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("way", ["wallet not_found", "payments not_listed"])
async def test_the_books_are_read_before_what_they_show_is_called_not_booked(tmp_path: Path, way: str) -> None:
    services = Trouble(way, is_booked=True)
    async with running(tmp_path / "j.db", services) as alive:
        await started(alive, services.stage)
        row = await needed(alive)
        services.is_shown = True
        assert await refused(alive, row, "not_booked") == "booked"
        assert await statuses(alive) == ["attention"]
    await services.close()


async def test_an_initiation_or_transaction_of_other_values_proves_nothing(tmp_path: Path) -> None:
    services = Trouble("payments other_values")
    async with running(tmp_path / "j.db", services) as alive:
        await started(alive, services.stage)
        row = await needed(alive)
        (other,) = services.initiations()
        assert await refused(alive, row, "booked", {"initiationID": other["id"]}) == "differs"
    await services.close()
    services = Trouble("ledger other_bytes")
    async with running(tmp_path / "l.db", services) as alive:
        await started(alive, services.stage)
        row = await needed(alive)
        made = services.by_hand()
        funding = services.transactions("main")[-1]["id"]
        assert await refused(alive, row, "booked", {**made, "transactionID": funding}) == "differs"
        number = made["transactionID"]
        services.call("ledger", "POST", f"/v2/main/transactions/{number}/revert", {})
        assert await refused(alive, row, "booked", made) == "differs", "it was reverted"
        posting = {"source": "alice", "destination": "bob", "amount": 100, "asset": "USD/2"}
        body = {"metadata": {}, "postings": [posting], "reference": "headrace:another:0:0"}
        number = services.call("ledger", "POST", "/v2/main/transactions", body)["data"]["id"]
        assert await refused(alive, row, "booked", {**made, "transactionID": number}) == "differs", "another effect's"
    await services.close()


async def test_a_debit_of_the_same_amount_proves_no_credit(tmp_path: Path) -> None:
    services = Trouble("wallet not_found")
    async with running(tmp_path / "j.db", services) as alive:
        await started(alive, services.stage)
        row = await needed(alive)
        services.is_shown = True
        services.by_hand()
        wallet = services.stage["send"]["destination"]["wallet"]["id"]
        amount = {"amount": {"asset": "USD/2", "amount": 100}, "metadata": {}}
        services.call("wallets", "POST", f"/wallets/{wallet}/debit", amount)
        debit = services.transactions("wallets-002")[0]["id"]
        assert await refused(alive, row, "booked", {"ledger": "wallets-002", "transactionID": debit}) == "differs"
    await services.close()


async def test_a_booking_proves_one_effect_only(tmp_path: Path) -> None:
    first, second = Trouble("ledger other_bytes"), Trouble("ledger other_bytes")
    second.sandbox = first.sandbox
    async with running(tmp_path / "j.db", first) as alive:
        await started(alive, first.stage)
        row = await needed(alive)
        first.attempts = 0
        await started(alive, first.stage)
        async with asyncio.timeout(LIMIT_S):
            while len(rows := await alive.journal.attention_after(AttentionList(), NEWEST, 3)) < 2:
                await asyncio.sleep(0.002)
        other = next(each for each in rows if each.id != row.id)
        made = first.by_hand()
        await resolve(alive, row, "booked", made)
        assert await refused(alive, other, "booked", made) == "used"
    await first.close()


# aborted instances


@pytest.mark.parametrize(("outcome", "error"), [("booked", "canceled; already booked: "), ("not_booked", "canceled")])
async def test_the_effect_of_an_aborted_instance_is_closed(tmp_path: Path, outcome: str, error: str) -> None:
    services = Trouble("wallet not_found", is_booked=outcome == "booked")
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage, SEND)
        await needed(alive)
        await alive.abort(instance_id)
        await until(lambda: undecided(alive) == 1 and not alive.engine.active_instances)
        row = await needed(alive)
        assert row.terminated_at is not None
        services.is_shown = True
        await resolve(alive, row, outcome, services.evidence() if outcome == "booked" else TEXT)
        instance = await closed(alive, instance_id)
        assert await alive.journal.attention_after(AttentionList(), NEWEST, 9) == []
        assert needing(alive) == 0
    assert instance.error == "canceled" and (instance.stages[-1].error or "").startswith(error)
    assert outcome == "booked" or instance.stages[-1].error == "canceled"
    assert len(instance.stages) == 1 and services.booked() == 0
    await services.close()


# races


async def test_of_two_persons_one_decides(tmp_path: Path) -> None:
    for number, verdicts in enumerate((("booked", "not_booked"), ("not_booked", "booked"), ("not_booked",) * 2)):
        services = Trouble("wallet not_found")
        async with running(tmp_path / f"{number}.db", services) as alive:
            instance_id = await started(alive, services.stage, SEND)
            row = await needed(alive)
            results = await asyncio.gather(
                *(resolve(alive, row, verdict, by=verdict + str(place)) for place, verdict in enumerate(verdicts)),
                return_exceptions=True,
            )
            instance = await alive.ended(instance_id)
            (decided,) = await alive.journal.resolutions(instance_id)
            written = [each for each in await alive.journal.audit(2**62, 9) if each.operation == "resolveEffect"]
        (lost,) = [each for each in results if isinstance(each, NotResolvable)]
        assert lost.code == "resolved" and len(written) == 1
        assert (instance.error is None) == (decided.verdict == "booked")
        await services.close()


async def test_an_abort_and_a_decision_end_the_same_way_whichever_is_first(tmp_path: Path) -> None:
    for number in range(6):
        services = Trouble("wallet not_found")
        async with running(tmp_path / f"{number}.db", services) as alive:
            instance_id = await started(alive, services.stage, WAIT)
            row = await needed(alive)
            attempts = services.attempts

            async def late(work: Any, wait: int) -> Any:
                for _ in range(wait):
                    await asyncio.sleep(0)
                return await work

            verdict = ("booked", "not_booked")[number % 2]
            results = await asyncio.gather(
                late(resolve(alive, row, verdict), number % 3),
                late(alive.abort(instance_id), (5 - number) % 3),
                return_exceptions=True,
            )
            if isinstance(results[0], NotResolvable):  # the abort has looked it up again
                await until(lambda: undecided(alive) == 1 and not alive.engine.active_instances)
                await resolve(alive, await needed(alive), verdict)
            instance = await closed(alive, instance_id)
            assert len(await alive.journal.resolutions(instance_id)) == 1
        assert isinstance(results[1], AlreadyEnded | None)
        ended_by = "canceled" if results[1] is None else "CreditWallet: UNBOOKED"
        assert (instance.error or "").startswith(ended_by) and services.attempts == attempts
        await services.close()


async def test_a_repeated_decision_is_made_once(tmp_path: Path) -> None:
    services = Trouble("wallet not_found")
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage, SEND)
        row = await needed(alive)
        answers = await asyncio.gather(*(resolve(alive, row, "not_booked", key="k") for _ in range(3)))
        answers.append(await resolve(alive, row, "not_booked", key="k"))
        assert len({answer.value for answer in answers}) == 1 and [a.is_repeated for a in answers].count(False) == 1
        with pytest.raises(NotResolvable, match="resolved this effect"):
            await resolve(alive, row, "not_booked", key="another")
        assert len(await alive.journal.resolutions(instance_id)) == 1
    await services.close()


async def test_the_event_that_came_meanwhile_is_used_by_the_unit_of_the_decision(tmp_path: Path) -> None:
    services = Trouble("wallet not_found")
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage, WAIT, SEND)
        row = await needed(alive)
        await alive.send_event(instance_id, "go")
        await resolve(alive, row, "booked")
        assert (await alive.ended(instance_id)).error is None
    assert services.booked() == 1
    await services.close()


@pytest.mark.needs("is_one_process")
async def test_a_look_up_that_contradicts_the_decision_is_logged(tmp_path: Path) -> None:
    """The abort looks the effect up again; while it does, a person calls it not booked, and then the books show it."""
    services = Trouble("wallet not_found", is_booked=True)
    held = asyncio.Event()
    plan = services.plan

    def holding(request: Request, count: int) -> Any:
        if services.is_shown and request.path.startswith("/transactions") and not held.is_set():
            held.set()
            return "hold"
        assert plan is not None
        return plan(request, count)

    services.plan = holding
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, services.stage)
        row = await needed(alive)
        services.is_shown = True
        with structlog.testing.capture_logs() as lines:
            await alive.abort(instance_id)
            await held.wait()
            services.is_shown = False  # the person's own look-up sees what was seen before
            await resolve(alive, row, "not_booked")
            services.gate.set()
            await until(lambda: not alive.engine.active_instances)
        instance = await closed(alive, instance_id)
    assert instance.stages[-1].error == "canceled"
    (line,) = [each for each in lines if "contradicts" in each["event"]]
    assert (line["decided"], line["outcome"], line["effect"]) == ("not_booked", "done", row.key)
    await services.close()


# what is refused


async def test_only_an_open_effect_that_needs_attention_is_resolved(tmp_path: Path) -> None:
    services = Trouble("wallet not_found")
    services.number = 1
    async with running(tmp_path / "j.db", services) as alive:
        instance_id = await started(alive, SEND, services.stage)
        row = await needed(alive)
        body = {"outcome": "not_booked", "evidence": TEXT, "reason": "r"}
        for place, kind in {
            ("none", 1, row.position): NotFound,
            (row.id, 7, 0): NotFound,
            (row.id, 1, 9): NotFound,
        }.items():
            with pytest.raises(kind):
                await resolve_effect(alive.ports, None, *place, body)
        with pytest.raises(NotResolvable, match="outcome already") as caught:
            await resolve_effect(alive.ports, None, instance_id, 0, 0, body)
        assert caught.value.code == "not_needed"
    await services.close()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "body"),
        ([], "body"),
        ({"outcome": "maybe", "evidence": TEXT, "reason": "r"}, "outcome"),
        ({"outcome": "booked", "evidence": TEXT}, "reason"),
        ({"outcome": "booked", "evidence": TEXT, "reason": " "}, "reason"),
        ({"outcome": "booked", "evidence": TEXT, "reason": "é" * 513}, "reason"),
        ({"outcome": "booked", "evidence": TEXT, "reason": "r", "force": True}, "force"),
        ({"outcome": "booked", "reason": "r"}, "evidence"),
        ({"outcome": "booked", "evidence": {"text": ""}, "reason": "r"}, "evidence.text"),
        ({"outcome": "booked", "evidence": {"ledger": "main"}, "reason": "r"}, "evidence"),
        ({"outcome": "booked", "evidence": {"initiationID": "1", "text": "x"}, "reason": "r"}, "evidence"),
        ({"outcome": "booked", "evidence": {"ledger": "../x", "transactionID": 1}, "reason": "r"}, "evidence.ledger"),
        (
            {"outcome": "booked", "evidence": {"ledger": "main", "transactionID": True}, "reason": "r"},
            "evidence.transactionID",
        ),
        (
            {"outcome": "booked", "evidence": {"ledger": "main", "transactionID": -1}, "reason": "r"},
            "evidence.transactionID",
        ),
        ({"outcome": "booked", "evidence": {"initiationID": 5}, "reason": "r"}, "evidence.initiationID"),
    ],
)
def test_a_decision_that_is_none_names_its_fault(body: object, field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_decision(body)
    assert caught.value.field == field


async def test_the_reason_may_have_1024_bytes_and_an_id_speaks_for_booked_only(tmp_path: Path) -> None:
    assert len(parse_decision({"outcome": "booked", "evidence": TEXT, "reason": "é" * 512}).reason) == 512
    services = Trouble("wallet not_found")
    async with running(tmp_path / "j.db", services) as alive:
        await started(alive, services.stage)
        row = await needed(alive)
        for outcome, evidence in (
            ("not_booked", {"ledger": "main", "transactionID": 1}),
            ("booked", {"initiationID": "1"}),
        ):
            with pytest.raises(InvalidValue, match=r"^evidence"):
                await resolve(alive, row, outcome, evidence)
    await services.close()


@pytest.mark.parametrize("outcome", ["booked", "not_booked"])
async def test_where_the_service_does_not_answer_nothing_is_stored(tmp_path: Path, outcome: str) -> None:
    services = Trouble("wallet not_found")
    plan = services.plan
    async with running(tmp_path / "j.db", services) as alive:
        await started(alive, services.stage)
        row = await needed(alive)
        services.plan = lambda request, count: "lose" if request.method == "GET" else plan and plan(request, count)
        evidence = {"ledger": "wallets-002", "transactionID": 1} if outcome == "booked" else TEXT
        with pytest.raises(Unavailable, match="read"):
            await resolve(alive, row, outcome, evidence)
        assert await alive.journal.resolutions(row.id) == [] and await statuses(alive) == ["attention"]
    await services.close()


# crashes


@pytest.mark.needs("is_one_process")
@pytest.mark.parametrize("outcome", ["booked", "not_booked"])
async def test_a_kill_at_any_point_leaves_one_decision_and_one_booking(tmp_path: Path, outcome: str) -> None:
    number = 0
    while True:
        for after in (False, True):
            services = Trouble("wallet not_found", is_booked=outcome == "booked")
            file = tmp_path / f"{number}-{after}.db"
            async with running(file, services) as alive:
                instance_id = await started(alive, services.stage, SEND)
                row = await needed(alive)
            attempts, services.is_shown = services.attempts, True
            evidence = services.evidence() if outcome == "booked" else TEXT
            point = CrashPoint(number, after=after)
            async with running(file, services, point) as alive:
                await point.over(_decided(alive, row, outcome, evidence))
            async with running(file, services) as alive:
                await resolve(alive, row, outcome, evidence, key="k")
                instance = await alive.ended(instance_id)
                assert len(await alive.journal.resolutions(instance_id)) == 1
            assert (instance.error is None) == (outcome == "booked"), (number, after)
            assert (len(services.bookings()), services.booked()) == ((1, 1) if outcome == "booked" else (0, 0))
            assert services.attempts == attempts
            await services.close()
        if not point.has_struck.is_set() or point.struck_at is None:
            break
        number += 1
    assert number >= 2, "a look-up and a commit at least"


@pytest.mark.needs("is_one_process")
async def test_the_rest_of_a_stage_goes_on_after_a_kill(tmp_path: Path) -> None:
    for number in range(4):
        services = Trouble("ledger other_bytes")
        file = tmp_path / f"{number}.db"
        async with running(file, services) as alive:
            instance_id = await started(alive, CROSS)
            row = await needed(alive)
        point = CrashPoint(number, after=True)
        async with running(file, services, point) as alive:
            await point.over(_decided(alive, row, "booked", TEXT))
        async with running(file, services) as alive:
            await resolve(alive, row, "booked", TEXT, key="k")
            instance = await alive.ended(instance_id)
        assert instance.error is None and services.booked("other") == 1, number
        assert services.attempts == 1, "the effect was sent again"
        await services.close()


async def _decided(alive: InProcess, row: AttentionRow, outcome: str, evidence: dict[str, Any]) -> None:
    await resolve(alive, row, outcome, evidence, key="k")
    await alive.ended(row.id)
