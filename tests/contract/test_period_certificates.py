"""Certificates of periods: each case counts once, in the period of its last end, on every database."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.auth.certificate_keys import CertificateKeys
from headrace.certificates.envelope import payload_of, require_line, require_previous, verify
from headrace.certificates.period import sums_of
from headrace.certificates.statement import checked_text
from headrace.clock import Clock
from headrace.effects.port import Request, Response
from headrace.errors import InvalidValue, NotCertifiable, Silent, TooLarge, Unavailable
from headrace.journal.lists import Place
from headrace.journal.port import Journal, WhichTimes
from headrace.journal.records import Certificate, Instance, InstanceTimes
from headrace.usecases import period_cases
from headrace.usecases import period_certificates as use_case
from headrace.usecases.certificates import make_certificate, read_certificate
from headrace.usecases.instances import abort_instance, send_event
from headrace.usecases.period_certificates import make_period_certificate
from headrace.usecases.ports import Ports
from tests.contract.test_engine import CROSS, SEND, WAIT
from tests.contract.test_resolve import closed
from tests.contract.test_undo_instance import undo
from tests.support.engines import every_engine
from tests.support.in_process import InProcess, running
from tests.support.redrive import Refusing, redrive

__all__ = ["every_engine"]  # a fixture

Json = dict[str, Any]
SECOND_LEG = (0, 1)
A_DAY = 86_400_000_000


async def certificate(alive: InProcess | Ports, from_at: int, to_at: int, **members: Any) -> Certificate:
    wanted = {"from": checked_text(from_at), "to": checked_text(to_at), **members}
    ports = alive if isinstance(alive, Ports) else alive.ports
    row = (await make_period_certificate(ports, None, wanted)).value
    assert row is not None
    return row


def payload(row: Certificate) -> Json:
    return msgspec.json.decode(payload_of(row.content))


async def period(alive: InProcess | Ports, from_at: int, to_at: int, **members: Any) -> Json:
    return payload(await certificate(alive, from_at, to_at, **members))


async def started(alive: InProcess, *stages: Json) -> str:
    name = "w" + "".join(next(iter(stage)) + str(len(str(stage))) for stage in stages)
    return (await alive.start(await alive.workflow(name, list(stages)), {})).id


async def ran(alive: InProcess, *stages: Json) -> Instance:
    return await alive.ended(await started(alive, *stages))


def end_of(instance: Instance) -> int:
    assert instance.terminated_at is not None
    return instance.terminated_at


def now(alive: InProcess) -> int:
    return alive.ports.clock.now_at()


def cases(found: Json) -> list[str]:
    return [line["case"] for line in found["lines"]]


async def test_a_case_counts_from_the_first_moment_and_not_at_the_last(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        ran_ = [await ran(alive, SEND) for _ in range(3)]
        ends = [end_of(each) for each in ran_]
        first = await certificate(alive, ends[0], ends[2])
        second = await certificate(alive, ends[2], now(alive))
        before = await period(alive, begun_at, ends[0])
        keys = {"keys": alive.ports.certificate_keys.published()}
    assert cases(payload(first)) == [each.id for each in ran_[:2]]
    assert cases(payload(second)) == [ran_[2].id] and cases(before) == []
    assert payload(first)["assets"]["USD/2"]["sent"] == 200
    previous = payload(second)["previous"]
    assert previous == {
        "id": first.id,
        "sha": first.sha,
        "from": checked_text(ends[0]),
        "to": checked_text(ends[2]),
    }
    assert payload(first)["previous"] is None is before["previous"]
    for row in (first, second):
        assert verify(row.content.encode(), keys) == payload(row)
    require_previous(payload(second), first.content.encode(), payload(first))
    await services.close()


async def test_a_line_is_of_what_the_certificate_of_its_case_states(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        case, other = [await ran(alive, CROSS) for _ in range(2)]
        found = await period(alive, begun_at, end_of(other))
        made = {
            each.id: (await make_certificate(alive.ports, None, {"instance": each.id})).value for each in (case, other)
        }
        own, of_other = [payload(row) for row in made.values() if row is not None]
    (line,) = found["lines"]
    assert line["totals"] == own["assets"] and line["endedAt"] == checked_text(end_of(case))
    require_line(found, own)
    with pytest.raises(InvalidValue, match="not among its lines"):
        require_line(found, of_other)
    with pytest.raises(InvalidValue, match="another sha"):
        require_line(found, {**own, "effects": []})
    await services.close()


async def test_what_had_not_ended_is_declared_with_the_money_on_its_way(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        waiting = await started(alive, WAIT, SEND)
        case = await ran(alive, CROSS)
        rows = await alive.journal.activities(case.id, 0)
        legs = [row.terminated_at for row in rows if row.key]
        at = legs[1] or 0
        found = await period(alive, begun_at, at)
        after = await period(alive, begun_at, end_of(case) + 1)
        await send_event(alive.ports, None, waiting, {"name": "go"})
        ended = await alive.ended(waiting)
        last = await period(alive, end_of(case) + 1, end_of(ended) + 1)
    assert cases(found) == [] and found["assets"] == {}
    assert found["open"]["count"] == 2 and found["open"]["oldest"]["case"] == waiting
    assert found["open"]["atRest"] == {"USD/2": 100}, "the second leg was booked at the end of the period, not before"
    assert after["open"]["count"] == 1 and after["open"]["atRest"] == {} and cases(after) == [case.id]
    assert last["open"] == {"count": 0, "oldest": None, "atRest": {}} and cases(last) == [waiting]
    await services.close()


async def test_a_continuation_and_an_undo_count_in_the_period_in_which_they_end(tmp_path: Path) -> None:
    """Each period takes off what the one before has counted, so their sums are those of the case as it stands."""
    services = Refusing(SECOND_LEG)
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        first = await ran(alive, CROSS, SEND)
        other = await ran(alive, SEND)
        ends = [begun_at, end_of(other) + 1]
        rows = [await certificate(alive, *ends)]
        services.place = None
        last = await alive.ended((await redrive(alive, first.id)).target)
        ends.append(end_of(last) + 1)
        rows.append(await certificate(alive, *ends[1:]))
        undone = await alive.ended((await undo(alive, last.id)).target)
        ends.append(end_of(undone) + 1)
        rows.append(await certificate(alive, *ends[2:]))
        whole = await period(alive, begun_at, ends[3])
        late = await period(alive, begun_at, ends[1])
    found = [payload(row) for row in rows]
    assert [cases(each) for each in found] == [[first.id, other.id], [first.id], [first.id]]
    assert "counted" not in found[0]["lines"][0]
    for number in (1, 2):
        (line,) = found[number]["lines"]
        counted = {"certificate": rows[number - 1].id, "totals": found[number - 1]["lines"][0]["totals"]}
        assert line["counted"] == counted
    assert found[0]["assets"]["USD/2"]["stranded"] == 100 and found[1]["assets"]["USD/2"]["stranded"] == -100
    assert found[2]["assets"]["USD/2"]["bridge"] == {"in": -100, "out": -100}, "the undo took both legs back"
    total = sums_of([{"totals": each["assets"]} for each in found])
    assert total == whole["assets"], "a chain adds up to one period over all of it"
    assert cases(whole) == [other.id, first.id] and all("counted" not in line for line in whole["lines"])
    assert cases(late) == [other.id]
    assert late["exceptions"] == [{"kind": "went_on", "case": first.id, "endedAt": checked_text(end_of(first))}]
    await services.close()


class Ahead:
    """The clock of another server, which is two days ahead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    def now_at(self) -> int:
        return self._clock.now_at() + 2 * A_DAY


def ahead(alive: InProcess) -> Ports:
    return dataclasses.replace(alive.ports, clock=Ahead(alive.ports.clock))


async def test_an_end_that_is_stored_after_its_period_was_certified_counts_in_the_next(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        ends = [now(alive)]
        late = await started(alive, WAIT, SEND)
        other = await ran(alive, SEND)
        ends.append(now(alive) + A_DAY)
        rows = [await certificate(ahead(alive), *ends)]
        await send_event(alive.ports, None, late, {"name": "go"})
        late_end = end_of(await alive.ended(late))
        for _ in range(3):
            ends.append(ends[-1] + 1)
            rows.append(await certificate(ahead(alive), *ends[-2:]))
        whole = await period(ahead(alive), ends[0], ends[-1])
        keys = {"keys": alive.ports.certificate_keys.published()}
    assert ends[0] < late_end < ends[1]
    found = [verify(row.content.encode(), keys) for row in rows]
    assert [cases(each) for each in found] == [[other.id], [late], [], []], "it counts once"
    (line,) = found[1]["lines"]
    assert line["endedAt"] == checked_text(late_end) < found[1]["from"]
    assert line["exceptions"] == [{"kind": "late"}] and "counted" not in line
    assert sums_of([{"totals": each["assets"]} for each in found]) == whole["assets"]
    assert "late" not in str(whole["lines"])
    await services.close()


async def test_a_late_end_of_a_case_that_had_been_counted_takes_that_off(tmp_path: Path) -> None:
    services = Refusing(SECOND_LEG)
    async with running(tmp_path / "j.db", services) as alive:
        ends = [now(alive)]
        first = await ran(alive, CROSS)
        ends.append(now(alive) + A_DAY)
        rows = [await certificate(ahead(alive), *ends)]
        services.place = None
        last = await alive.ended((await redrive(alive, first.id)).target)
        for _ in range(2):
            ends.append(ends[-1] + 1)
            rows.append(await certificate(ahead(alive), *ends[-2:]))
        whole = await period(ahead(alive), ends[0], ends[-1])
    found = [payload(row) for row in rows]
    assert [cases(each) for each in found] == [[first.id], [first.id], []]
    (line,) = found[1]["lines"]
    assert line["endedAt"] == checked_text(end_of(last))
    assert line["counted"] == {"certificate": rows[0].id, "totals": found[0]["lines"][0]["totals"]}
    assert sums_of([{"totals": each["assets"]} for each in found]) == whole["assets"]
    await services.close()


async def test_neither_a_gap_nor_earlier_cases_that_went_on_count_as_instances_of_a_period(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a period after a gap of months, or after many redrives, could never be certified, however short it is."""
    services = Refusing(SECOND_LEG)
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        failed = [await ran(alive, CROSS) for _ in range(3)]
        services.place = None
        ends = [end_of(await alive.ended((await redrive(alive, each.id)).target)) for each in failed]
        first = await certificate(alive, begun_at, ends[-1] + 1)
        for _ in range(3):
            await ran(alive, SEND)
        last = await ran(alive, SEND)
        monkeypatch.setattr(period_cases, "MAX_FOUND", 1)
        second = await period(alive, end_of(last), end_of(last) + 1)
    assert len(cases(payload(first))) == 3 and cases(second) == [last.id]
    assert second["previous"]["id"] == first.id
    await services.close()


class Seen:
    """A journal of which something happens after the first list of instances was read."""

    def __init__(self, journal: Journal, meanwhile: Callable[[], Awaitable[object]] | None) -> None:
        self._journal, self._meanwhile = journal, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def instance_times(self, which: WhichTimes, after: Place, limit: int) -> list[InstanceTimes]:
        rows = await self._journal.instance_times(which, after, limit)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return rows


def seen(alive: InProcess, meanwhile: Callable[[], Awaitable[object]]) -> Ports:
    return dataclasses.replace(alive.ports, journal=Seen(alive.journal, meanwhile))  # pyright: ignore[reportArgumentType]


async def test_a_case_that_ends_while_the_lists_are_read_is_in_one_of_them(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        waiting = await started(alive, WAIT, SEND)

        async def end() -> None:
            await send_event(alive.ports, None, waiting, {"name": "go"})
            await alive.ended(waiting)

        found = await period(seen(alive, end), begun_at, now(alive))
    assert (found["open"]["count"], cases(found)) == (1, []), "at the end of the period it had not ended"
    await services.close()


class EarlyWaker:
    """A clock whose first sleeps end too early, as where it was set back meanwhile."""

    def __init__(self, clock: Clock, times: int) -> None:
        self._clock, self.left = clock, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    async def sleep(self, seconds: float) -> None:
        self.left -= 1
        if self.left < 0:
            await self._clock.sleep(seconds)


async def test_what_is_dated_before_the_end_has_time_to_be_stored(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at, read_at = now(alive), list[int]()
        to_at = now(alive)

        async def read() -> None:
            read_at.append(now(alive))

        clock = EarlyWaker(alive.ports.clock, 3)
        await period(dataclasses.replace(seen(alive, read), clock=clock), begun_at, to_at + 1)  # pyright: ignore[reportArgumentType]
    assert read_at[0] >= to_at + use_case.SETTLE_US and clock.left < 0
    await services.close()


async def test_one_period_is_certified_at_a_time(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        case = await ran(alive, SEND)

        async def another() -> None:
            with pytest.raises(Unavailable, match="another period"):
                await certificate(alive, begun_at, end_of(case) + 1)

        assert cases(await period(seen(alive, another), begun_at, end_of(case) + 1)) == [case.id]
        assert cases(await period(alive, begun_at, end_of(case) + 1)) == [case.id]
    await services.close()


async def test_an_undo_that_is_under_way_makes_its_case_open(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        case = await ran(alive, CROSS)
        undone = await alive.ended((await undo(alive, case.id)).target)
        (first, second) = [stage.terminated_at or 0 for stage in undone.stages]
        found = await period(alive, end_of(case), first + 1)
        before = await period(alive, end_of(case), undone.created_at)
    assert first < second
    assert found["open"]["count"] == 1 and found["open"]["atRest"] == {"USD/2": 100}, "one leg is reverted"
    assert before["open"]["count"] == 0 and [each["kind"] for each in before["exceptions"]] == ["went_on"]
    await services.close()


async def test_an_aborted_case_ends_when_its_last_effect_is_settled(tmp_path: Path) -> None:
    services = Refusing()
    services.plan = lambda request, _: (
        "hold" if request.method == "POST" and b"headrace:" in (request.body or b"") else None
    )
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        instance_id = await started(alive, SEND)
        await services.under_way.wait()
        await abort_instance(alive.ports, None, instance_id)
        aborted = await alive.journal.instance(instance_id)
        assert aborted is not None
        aborted_at = end_of(aborted)
        while now(alive) <= aborted_at:
            await asyncio.sleep(0.001)
        open_now = await period(alive, begun_at, aborted_at + 1)
        services.gate.set()
        settled = await closed(alive, instance_id)
        settled_at = max(stage.terminated_at or 0 for stage in settled.stages)
        found = [await period(alive, *ends) for ends in ((begun_at, aborted_at + 1), (aborted_at + 1, settled_at + 1))]
    assert cases(open_now) == [] and open_now["open"]["count"] == 1
    assert [(cases(each), each["open"]["count"]) for each in found] == [([], 1), ([instance_id], 0)]
    await services.close()


async def test_one_case_that_cannot_be_certified_refuses_the_period_and_is_named(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        good, bad = [await ran(alive, SEND) for _ in range(2)]
        (row,) = await alive.journal.activities(bad.id, 0)
        number = json.loads(row.output or "")["data"]["id"]
        services.call("ledger", "POST", f"/v2/main/transactions/{number}/revert?force=true")
        with pytest.raises(NotCertifiable) as caught:
            await certificate(alive, begun_at, end_of(bad) + 1)
        found = await period(alive, begun_at, end_of(bad))
        assert await alive.journal.certificate_before(end_of(bad) + 1) is not None
    assert (caught.value.code, caught.value.case) == ("reverted_elsewhere", bad.id)
    assert str(caught.value).startswith(f"case {bad.id}: ")
    assert cases(found) == [good.id]
    await services.close()


async def test_too_many_cases_and_too_long_a_check_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        last = [await ran(alive, SEND) for _ in range(3)][-1]
        await started(alive, WAIT)
        to_at = now(alive)
        monkeypatch.setattr(period_cases, "MAX_CASES", 3)
        with pytest.raises(TooLarge, match="more than 3 cases"):
            await certificate(alive, begun_at, to_at)
        assert cases(await period(alive, begun_at, end_of(last)))
        monkeypatch.setattr(period_cases, "MAX_CASES", 4)

        async def slow(_request: Request) -> Response:
            await asyncio.sleep(60)
            raise AssertionError("the certificate was not given up")

        monkeypatch.setattr(services, "send", slow)
        monkeypatch.setattr(use_case, "MAX_S", 0.5)
        with pytest.raises(TooLarge, match="to check; take a shorter one"):
            await certificate(alive, begun_at, to_at)
        assert await read_certificate_before(alive, to_at) is not None
    await services.close()


async def read_certificate_before(alive: InProcess, at: int) -> Certificate | None:
    """The one certificate that was stored: of the shorter period."""
    row = await alive.journal.certificate_before(at)
    return None if row is None else await read_certificate(alive.ports, row.id)


async def test_a_service_that_does_not_answer_gives_no_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        begun_at = now(alive)
        case = await ran(alive, SEND)
        monkeypatch.setattr(services, "plan", lambda *_: "lose")
        with pytest.raises(Silent):
            await certificate(alive, begun_at, end_of(case) + 1)
        assert await alive.journal.certificate_before(now(alive)) is None
    await services.close()


async def test_of_a_chain_of_three_one_that_is_missing_shows(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        ends = [now(alive)]
        for _ in range(3):
            ends.append(end_of(await ran(alive, SEND)) + 1)
        rows = [await certificate(alive, *pair) for pair in pairwise(ends)]
        again = await certificate(alive, ends[0], ends[1])
        assert isinstance(alive.ports.certificate_keys, CertificateKeys)
    found = [payload(row) for row in rows]
    for newer, older in ((2, 1), (1, 0)):
        require_previous(found[newer], rows[older].content.encode() + b"\n", found[older])
    for wrong in (rows[0], again):
        with pytest.raises(InvalidValue, match="previous"):
            require_previous(found[2], wrong.content.encode(), payload(wrong))
    with pytest.raises(InvalidValue, match="previous"):
        require_previous(found[0], rows[1].content.encode(), found[1])
    await services.close()
