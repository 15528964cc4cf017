"""Checks of `headrace.journal.testing`: effects that need attention, and what persons decided about them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from headrace.errors import Conflict
from headrace.journal.lists import NEWEST, AttentionList, Place
from headrace.journal.port import Journal, Required
from headrace.journal.testing_units import unit_of
from headrace.journal.writes import (
    AddInstance,
    AddResolution,
    AddWorkflow,
    CloseActivity,
    EndInstance,
    FailAttempt,
    OpenActivity,
    OpenStage,
    Write,
)

_BODY = b'{"amount":1}'


async def effects_that_need_attention_are_listed_and_resolved_once(
    make_journal: Callable[[], AbstractAsyncContextManager[Journal]],
) -> None:
    """Open effects are listed by their instances, also aborted ones; one decision is stored, and a proof shows one."""
    async with make_journal() as journal:
        await journal.commit(unit_of(AddWorkflow(workflow_id="w1", name="n", config="{}", created_at=1, updated_at=1)))
        for number, instance_id in enumerate(("i1", "i2", "i3", "i4")):
            await journal.commit(unit_of(*_opened(instance_id, 20 + number)))
        await journal.commit(
            unit_of(_failed("i1", "not_found", 50), _failed("i2", "other_values", 51), _failed("i4", None))
        )
        await journal.commit(unit_of(_failed("i1", "not_found", 90)))
        await journal.commit(unit_of(EndInstance(at=60, error="canceled", instance_id="i2", version=0)))

        rows = await journal.attention_after(AttentionList(), NEWEST, 9)
        assert [(row.id, row.attention, row.since_at) for row in rows] == [
            ("i2", "other_values", 51),
            ("i1", "not_found", 50),
        ]
        found = rows[1]
        assert (found.workflow_name, found.stage, found.position, found.key) == ("n", 0, 0, "key of i1")
        assert (found.request_body, found.attempt, found.last_failure) == (_BODY, 1, "needs attention: x")
        assert (rows[0].terminated_at, found.terminated_at) == (60, None)
        assert await journal.attention_after(AttentionList(), Place(rows[0].created_at, "i2"), 9) == [found]
        assert await journal.places_before(AttentionList(), Place(20, "i1"), 9) == [Place(21, "i2")]
        assert await journal.attention_after(AttentionList("i1"), NEWEST, 9) == [found]
        assert await journal.attention_after(AttentionList("i3"), NEWEST, 9) == []

        assert await _is_refused(journal, _decided("i3", "other")), "it needs no attention"
        assert await _is_refused(journal, _decided("i9", "other")), "there is no such effect"
        assert not await _is_refused(journal, _decided("i1", "main/1"), _closed("i1"))
        assert await _is_refused(journal, _decided("i1", "main/2")), "it is resolved"
        assert await _is_refused(journal, _decided("i2", "main/1")), "that proof shows another effect"
        assert [row.id for row in await journal.attention_after(AttentionList(), NEWEST, 9)] == ["i2"]
        assert not await _is_refused(journal, _decided("i2", None), _closed("i2"))
        assert await journal.attention_after(AttentionList(), NEWEST, 9) == []
        (decided,) = await journal.resolutions("i1")
        assert (decided.verdict, decided.evidence, decided.reason) == ("booked", "{}", "why")
        assert (decided.principal, decided.at, decided.stage, decided.position) == ("jane", 70, 0, 0)
        assert len(await journal.resolutions("i2")) == 1 and await journal.resolutions("i3") == []


def _opened(instance_id: str, at: int) -> tuple[Write, ...]:
    return (
        AddInstance(
            instance_id=instance_id, workflow_id="w1", config="{}", variables="{}", created_at=at, by_trigger=False
        ),
        OpenStage(instance_id=instance_id, number=0, keyword="send", input="{}", started_at=at),
        OpenActivity(
            instance_id=instance_id,
            stage=0,
            position=0,
            name="AnEffect",
            input="{}",
            started_at=at,
            attempt=1,
            key=f"key of {instance_id}",
            request_method="POST",
            request_path="/wallets/w/credit",
            request_body=_BODY,
        ),
    )


def _failed(instance_id: str, attention: str | None, at: int | None = None) -> Write:
    return FailAttempt(
        attempt=1,
        failure="needs attention: x",
        next_execution_at=None,
        needs_attention=attention is not None,
        attention=attention,
        attention_at=at,
        instance_id=instance_id,
        stage=0,
        position=0,
    )


def _decided(instance_id: str, proof: str | None) -> Write:
    return AddResolution(
        instance_id=instance_id,
        stage=0,
        position=0,
        verdict="booked",
        evidence="{}",
        proof=proof,
        reason="why",
        principal="jane",
        at=70,
    )


def _closed(instance_id: str) -> Write:
    return CloseActivity(
        attempt=1, output=None, error=None, terminated_at=71, instance_id=instance_id, stage=0, position=0
    )


async def _is_refused(journal: Journal, decided: Write, *others: Write) -> bool:
    unit = unit_of(*others)
    unit.insert(0, Required(decided, partial(Conflict, "refused")))
    try:
        await journal.commit(unit)
    except Conflict:
        return True
    return False


CHECKS = (effects_that_need_attention_are_listed_and_resolved_once,)
