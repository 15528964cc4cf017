"""A kill while a person resolves an effect, by every way to need attention and with each verdict.

With one engine and a journal in a file, which is copied for each kill; `test_resolve.py` has the others.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import NotResolvable
from headrace.journal.records import AttentionRow
from tests.contract.test_attention import needing, undecided, until
from tests.contract.test_resolve import TEXT, closed, needed, refused, resolve, started
from tests.support.attention import WAYS, Trouble
from tests.support.in_process import CrashPoint, InProcess, running


@dataclass(frozen=True)
class Said:
    """A verdict with its evidence, and the refusal that it must meet; empty: it is taken."""

    verdict: str
    is_booked: bool = False
    """Whether the first attempt was booked, and only its answer was lost."""
    evidence: str = "text"
    refusal: str = ""


def sayings(way: str, *, is_aborted: bool) -> list[Said]:
    """Both verdicts about a way to need attention, true and contradicted by the books."""
    kind, doubt = way.split()
    if doubt in ("not_found", "not_listed"):
        said = [Said("booked", True, "own"), Said("not_booked"), Said("not_booked", True, refusal="booked")]
    elif doubt == "other_bytes" and is_aborted:  # the look-up of the abort has shown that nothing is under the key
        said = [Said("booked", evidence="by hand"), Said("not_booked")]
    else:
        evidence = "text" if kind == "metadata" else "by hand"
        said = [Said("booked", evidence=evidence), Said("not_booked", refusal="other_content")]
    return said if kind == "metadata" else [*said, Said("booked", evidence="none", refusal="not_in_books")]


def evidence_of(services: Trouble, said: Said) -> dict[str, Any]:
    match said.evidence:
        case "own":
            return services.evidence()
        case "by hand":
            return services.by_hand()
        case "none":
            if services.kind == "payments":
                return {"initiationID": "none"}
            return {"ledger": "wallets-002" if services.kind in ("wallet", "debit") else "main", "transactionID": 99}
        case _:
            return TEXT


async def aborted(alive: InProcess, services: Trouble, row: AttentionRow) -> AttentionRow | None:
    """The effect of an instance that is aborted; None: the look-up that follows an abort has closed it."""
    service = {"wallet": "wallets", "debit": "wallets"}.get(services.kind, services.kind)
    await alive.abort(row.id)
    if services.kind in ("ledger", "metadata"):
        await closed(alive, row.id)
        return None
    await until(lambda: undecided(alive, service) == 1 and not alive.engine.active_instances)
    row = await needed(alive)
    assert row.terminated_at is not None
    return row


def copied(file: Path, name: str) -> Path:
    """A copy of a journal that nothing uses."""
    copy = file.with_name(f"{file.stem}-{name}.db")
    for suffix in ("", "-wal"):
        if (each := file.with_name(file.name + suffix)).exists():
            shutil.copy(each, copy.with_name(copy.name + suffix))
    return copy


@pytest.mark.parametrize("is_aborted", [False, True], ids=["running", "aborted"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_kill_at_any_point_changes_no_verdict(tmp_path: Path, way: str, is_aborted: bool) -> None:
    """Each verdict about each way to need attention is decided once, or refused again after the restart.

    A kill before a look-up or a commit leaves what one after the look-up before it does.
    """
    for number, said in enumerate(sayings(way, is_aborted=is_aborted)):
        services = Trouble(way, is_booked=said.is_booked)
        file = tmp_path / f"{number}.db"
        async with running(file, services) as alive:
            await started(alive, services.stage)
            row = await needed(alive)
            found = await aborted(alive, services, row) if is_aborted else row
            if found is None:
                assert (await closed(alive, row.id)).error == "canceled" and needing(alive) == 0
                with pytest.raises(NotResolvable) as caught:
                    await resolve(alive, row, said.verdict)
                assert caught.value.code == "not_needed"
                await services.close()
                return
        services.is_shown = True
        evidence = evidence_of(services, said)
        books, attempts = services.in_books(), services.attempts
        plain = CrashPoint()
        async with running(copied(file, "plain"), services, plain) as alive:
            await _settled(alive, found, said, evidence)
            await _check(alive, found, said, is_aborted=is_aborted)
        is_local = said.refusal == "other_content" and services.doubt == "other_bytes"
        least = 0 if is_local else 1 if said.refusal else 2
        assert len(plain.seen) >= least, "a look-up, and a commit of what is taken"
        for at in range(len(plain.seen)):
            copy, point = copied(file, str(at)), CrashPoint(at, after=True)
            async with running(copy, services, point) as alive:
                await point.over(_settled(alive, found, said, evidence))
            assert point.struck_at == at
            async with running(copy, services) as alive:
                await _settled(alive, found, said, evidence)
                await _check(alive, found, said, is_aborted=is_aborted)
        assert (services.in_books(), services.attempts) == (books, attempts), "something was sent"
        await services.close()


async def _settled(alive: InProcess, row: AttentionRow, said: Said, evidence: dict[str, Any]) -> None:
    if said.refusal:
        assert await refused(alive, row, said.verdict, evidence) == said.refusal
    else:
        await resolve(alive, row, said.verdict, evidence, key="k")
        await closed(alive, row.id)


async def _check(alive: InProcess, row: AttentionRow, said: Said, *, is_aborted: bool) -> None:
    """What is stored: one decision and its end; of a refused one nothing, and the effect still needs attention."""
    decided = await alive.journal.resolutions(row.id)
    assert len(decided) == (0 if said.refusal else 1)
    (stored,) = [each for each in await alive.journal.activities(row.id, row.stage) if each.position == row.position]
    instance = await alive.journal.instance(row.id)
    assert instance is not None
    if said.refusal:
        assert stored.needs_attention and stored.terminated_at is None
        assert (instance.terminated_at is not None) == is_aborted
    elif is_aborted:
        assert (instance.error, stored.error) == ("canceled", None if said.verdict == "booked" else "canceled")
        assert (instance.stages[-1].error or "").startswith("canceled")
    elif said.verdict == "booked":
        assert (instance.error, stored.error) == (None, None)
    else:
        assert instance.failure == "unbooked" and (instance.error or "").startswith(f"{row.name}: UNBOOKED")
