"""Results that an earlier release stored under a key can be read: the texts below are never changed, only added to."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import msgspec
import pytest

from headrace.errors import InvalidValue
from headrace.journal.port import Journal, Unit
from headrace.journal.records import Instance, Remembered, Trigger, Workflow
from headrace.journal.writes import RememberKey
from headrace.usecases.events import Acceptance
from headrace.usecases.idempotency import RESULT, Answer, Caller, CallerKey, StoredResponse, record, stored_answer

STORED: list[tuple[type[Any], bytes]] = [
    (
        Workflow,
        b'{"id":"w","name":"n","config":"{\\"stages\\":[]}","created_at":1,"updated_at":1,"deleted_at":null}',
    ),
    (
        Trigger,
        (
            b'{"id":"t","name":"","event":"A","workflow_id":"w","version":null,"filter":"true","vars":"{}","created_at":1,'
            b'"after_seq":0,"deleted_at":null}'
        ),
    ),
    (
        Instance,
        (
            b'{"id":"i","workflow_id":"w","config":"","variables":"","created_at":1,"updated_at":1,"terminated_at":null,'
            b'"error":null,"started_by_trigger":false,"stages":[{"instance_id":"i","number":0,"keyword":"send","input":"",'
            b'"started_at":1,"terminated_at":null,"error":null}]}'
        ),
    ),
    (Acceptance, b'{"accepted":1,"repeated":0,"conflicting":1,"conflicts":[{"entry":1,"key":"k"}]}'),
]
KEY = CallerKey("key", b"fingerprint", "owner")
CALLER = Caller("alice", "createWorkflow", key=KEY)


class Remembering:
    """A journal with one stored key."""

    def __init__(self, status: int, body: bytes, fingerprint: bytes = b"fingerprint") -> None:
        self.stored = Remembered("owner", "key", fingerprint, status, body, "createWorkflow", "target", 1)

    async def remembered(self, owner: str, key: str) -> Remembered | None:
        return self.stored if (owner, key) == ("owner", "key") else None


def journal(status: int, body: bytes, **changes: Any) -> Journal:
    return cast("Journal", Remembering(status, body, **changes))


@pytest.mark.parametrize(("kind", "text"), STORED, ids=[kind.__name__ for kind, _ in STORED])
async def test_a_result_of_an_earlier_release_is_read(kind: type[Any], text: bytes) -> None:
    answer = await stored_answer(journal(RESULT, text), CALLER, kind)
    assert answer is not None and answer.is_repeated and answer.target == "target"
    stored = msgspec.json.decode(text)
    read = {name: msgspec.json.decode(msgspec.json.encode(getattr(answer.value, name))) for name in stored}
    assert _restricted(read, stored) == stored, "a later release has more members, and each with a default"


def _restricted(read: Any, stored: Any) -> Any:
    """What was read, without the members that were not stored."""
    if isinstance(stored, dict):
        return {name: _restricted(read[name], each) for name, each in stored.items() if name in read}
    if isinstance(stored, list) and len(read) == len(stored):
        return [_restricted(one, other) for one, other in zip(read, stored, strict=True)]
    return read


async def test_what_is_recorded_is_what_is_read() -> None:
    value = msgspec.json.decode(STORED[0][1], type=Workflow)
    unit = Unit()
    record(unit, CALLER, 1, Answer("target", value))
    (remember,) = (write for write in unit.writes if isinstance(write, RememberKey))
    answer = await stored_answer(journal(remember.status, remember.body), CALLER, Workflow)
    assert answer == Answer("target", value, is_repeated=True)


async def test_a_verb_without_a_result_has_none() -> None:
    assert await stored_answer(journal(RESULT, b""), CALLER, type(None)) == Answer("target", None, is_repeated=True)


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_a_response_of_release_0_2_is_returned_as_it_is(status: int) -> None:
    answer = await stored_answer(journal(status, b"{ }"), CALLER, Workflow)
    assert answer == Answer("target", is_repeated=True, response=StoredResponse(status, b"{ }"))


async def test_another_request_under_the_key_is_refused() -> None:
    other = hashlib.sha256(b"other").digest()
    with pytest.raises(InvalidValue, match="was used before for another request: createWorkflow, target"):
        await stored_answer(journal(RESULT, b"{}", fingerprint=other), CALLER, Workflow)
    assert await stored_answer(journal(RESULT, b"{}"), Caller("alice", "x"), Workflow) is None
    assert await stored_answer(journal(RESULT, b"{}"), Caller("a", "x", key=CallerKey("new", b"")), Workflow) is None
