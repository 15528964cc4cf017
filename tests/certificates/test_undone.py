"""A case that was undone is certified with its undo: what is reversed, what is kept, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.certificates.case import Case, KeptEffect
from headrace.certificates.envelope import payload_of
from headrace.certificates.statement import statement_sha
from headrace.errors import NotCertifiable
from headrace.usecases.certificates import case_of, make_certificate, read_case
from tests.certificates.cases import certified
from tests.contract.test_engine import CROSS, SEND
from tests.contract.test_resolve import started
from tests.contract.test_sagas import Declining
from tests.contract.test_sagas import started as started_saga
from tests.contract.test_undo_by_plan import WAITING, skip, spend
from tests.contract.test_undo_instance import undo
from tests.support.attention import PAYOUT
from tests.support.in_process import InProcess, running
from tests.support.redrive import EFFECTS, STAGES, Refusing, redrive

Json = dict[str, Any]


async def certificate(alive: InProcess, instance_id: str) -> Json:
    row = (await make_certificate(alive.ports, None, {"instance": instance_id})).value
    assert row is not None
    return msgspec.json.decode(payload_of(row.content))


async def case_in(alive: InProcess, instance_id: str) -> Case:
    return await read_case(alive.journal, await case_of(alive.journal, instance_id))


@pytest.mark.parametrize("place", [*EFFECTS[1:], None])
async def test_an_undone_case_is_certified_whichever_instance_is_named(
    tmp_path: Path, place: tuple[int, int] | None
) -> None:
    services = Refusing(place)
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, *STAGES))
        services.place = None
        ended = await alive.ended((await undo(alive, first.id)).target)
        found = [await certificate(alive, each) for each in (first.id, ended.id)]
    payload = found[0]
    kept = [each["key"] for each in payload["exceptions"] if each["kind"] == "kept"]
    assert payload["case"] == found[1]["case"] == first.id
    assert [each["kind"] for each in payload["instances"]] == ["run", "undo"]
    assert payload["undo"] == {"instance": ended.id, "state": "undone_but" if kept else "undone"}
    reverted = [each["key"] for each in payload["effects"] if each["books"].get("reverted")]
    done = [each["key"] for each in payload["effects"] if each["state"] == "done" and each["instance"] == first.id]
    assert sorted([*kept, *reverted]) == sorted(done), "each effect is reversed or declared"
    await services.close()


async def test_a_continued_case_is_certified_with_the_undo_of_all_of_it(tmp_path: Path) -> None:
    services = Refusing((0, 1))
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, CROSS, SEND))
        services.place = None
        last = await alive.ended((await redrive(alive, first.id)).target)
        ended = await alive.ended((await undo(alive, last.id)).target)
        payload = await certificate(alive, last.id)
    assert [each["id"] for each in payload["instances"]] == [first.id, last.id, ended.id]
    assert [each["kind"] for each in payload["instances"]] == ["run", "continuation", "undo"]
    assert payload["undo"]["state"] == "undone"
    await services.close()


async def test_an_undo_that_a_failing_run_has_begun_is_certified(tmp_path: Path) -> None:
    services = Declining((1, 0))
    async with running(tmp_path / "j.db", services) as alive:
        run = await alive.ended(await started_saga(alive, CROSS, SEND))
        step = await alive.journal.successor(run.id)
        assert step is not None
        await alive.ended(step.successor)
        payload = await certificate(alive, run.id)
    assert [(each["outcome"], each["startedBy"]) for each in payload["instances"]] == [
        ("failed", "jane"),
        ("succeeded", "headrace"),
    ]
    await services.close()


async def test_names_of_persons_are_signed_beside_their_ids_and_are_no_part_of_the_statement(tmp_path: Path) -> None:
    services = Declining()
    async with running(tmp_path / "j.db", services) as alive:
        run = await alive.ended(await started_saga(alive, SEND))
        payloads: list[Json] = []
        for names in ({"jane": "Jane Doe"}, {"jane": "Jane Roe"}, dict[str, str]()):
            made = await make_certificate(
                alive.ports, None, {"instance": run.id}, lambda each, of=names: of.get(each, "")
            )
            assert made.value is not None
            payloads.append(msgspec.json.decode(payload_of(made.value.content)))
    assert [each.get("names") for each in payloads] == [{"jane": "Jane Doe"}, {"jane": "Jane Roe"}, None]
    assert len({statement_sha(each) for each in payloads}) == 1
    await services.close()


async def test_a_payout_that_was_rejected_or_reversed_is_certified(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        waits = await alive.ended(await started(alive, WAITING))
        await alive.ended((await undo(alive, waits.id)).target)
        paid = await alive.ended((await alive.start(await alive.workflow("p", [PAYOUT]), {})).id)
        undoing = await undo(alive, paid.id, "reverse", external="reverse")
        (payout,) = [
            each
            for each in services.call("payments", "GET", "/transfer-initiations")["cursor"]["data"]
            if each["reference"].startswith(f"headrace:{paid.id}:")
        ]
        services.call("payments", "POST", f"/transfer-initiations/{payout['id']}/status", {"status": "REVERSED"})
        await alive.ended(undoing.target)
        found = [await certificate(alive, each.id) for each in (waits, paid)]
    for payload in found:
        sums = payload["assets"]["USD/2"]
        assert payload["undo"]["state"] == "undone" and (sums["out"], sums["takenBack"]) == (0, sums["sent"])
    await services.close()


@pytest.mark.parametrize("is_across", [False, True])
async def test_what_a_person_has_left_out_is_declared(tmp_path: Path, is_across: bool) -> None:
    """Also where the second leg of a movement stays and the first is reverted: the bridge lacks the amount."""
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        case = await alive.ended(await started(alive, CROSS if is_across else SEND))
        if is_across:
            posting = {"source": "bob", "destination": "shop", "amount": 40, "asset": "USD/2"}
            services.call("ledger", "POST", "/v2/other/transactions", {"metadata": {}, "postings": [posting]})
        else:
            spend(services, "bob", 40)
        failed = await alive.ended((await undo(alive, case.id)).target)
        before = await certificate(alive, case.id)
        last = await alive.ended(await skip(alive, failed.id))
        payload = await certificate(alive, case.id)
    assert (before["undo"], before["instances"][-1]["outcome"]) == (
        {"instance": failed.id, "state": "undo_failed"},
        "failed",
    )
    assert payload["undo"] == {"instance": last.id, "state": "undone_but"}
    (kept,) = [each for each in payload["exceptions"] if each["kind"] == "kept"]
    assert kept["key"] == f"headrace:{case.id}:0:{int(is_across)}" and "the shop keeps it" in kept["why"]
    sums = payload["assets"]["USD/2"]
    assert (sums["stranded"], sums["takenBack"]) == (-100 if is_across else 0, 0)
    await services.close()


async def test_a_false_statement_about_an_undo_is_refused(tmp_path: Path) -> None:
    services = Refusing()
    async with running(tmp_path / "j.db", services) as alive:
        first = await alive.ended(await started(alive, SEND, STAGES[2]))
        other = await alive.ended((await alive.start(await alive.workflow("s", [SEND]), {})).id)
        stands = await alive.ended((await alive.start(await alive.workflow("t", [SEND]), {})).id)
        await alive.ended((await undo(alive, first.id)).target)
        await alive.ended((await undo(alive, other.id, "other")).target)
        case, another, standing = [await case_in(alive, each.id) for each in (first, other, stands)]
    assert certified(case, services.sandbox.handle)["undo"]["state"] == "undone_but"
    reverted = KeptEffect(f"headrace:{first.id}:0:0", "it was kept")
    lies = (
        ("differs", replace(case, kept=(*case.kept, reverted))),
        ("differs", replace(case, kept=())),
        ("replay_differs", replace(standing, instances=(*standing.instances, *another.undo))),
        ("reverted_elsewhere", replace(case, instances=case.instances[:1], kept=())),
    )
    for code, lie in lies:
        with pytest.raises(NotCertifiable) as caught:
            certified(lie, services.sandbox.handle)
        assert caught.value.code == code, caught.value
    await services.close()
