"""Real time-outs, from the socket to the books: a service that commits and then says nothing, or says nothing at all.

The engine, its journal and its HTTP client are real; so is the server that does not answer. A time-out taken as a
refusal ends a run whose money has moved; taken as a success, one whose money has not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from headrace.clock import SystemClock
from headrace.demo.examples import Example
from headrace.effects.port import Request, Response
from headrace.effects.transport import HttpDownstream, ServiceAddresses
from headrace.sandbox import Sandbox
from headrace.workflows.activities import Service
from tests.crash.points import EXAMPLES, carry_through, check
from tests.effects.stub import Answer, Seen, Stub
from tests.support.in_process import SandboxStack, new_sandbox, running

TIMEOUT_S = 0.3
KINDS = ("commits and says nothing", "says nothing", "commits and breaks off in the middle")


class Silent:
    """The sandbox behind a socket. The first attempt of each write is never answered in whole."""

    def __init__(self, sandbox: Sandbox, kind: str) -> None:
        self._sandbox = sandbox
        self._kind = kind
        self.is_over = asyncio.Event()
        self.attempts: Counter[tuple[str, bytes]] = Counter()

    async def __call__(self, seen: Seen) -> Answer:
        _, _, service, path = seen.target.split("/", 3)
        request = Request(
            cast(Service, service), seen.method, f"/{path}", seen.body or None, seen.headers.get("idempotency-key", "")
        )
        if seen.method == "GET":
            return _answer(self._sandbox.handle(request))
        self.attempts[seen.target, seen.body] += 1
        if self.attempts[seen.target, seen.body] > 1:
            return _answer(self._sandbox.handle(request))
        if self._kind != "says nothing":
            self._sandbox.handle(request)
        if "breaks off" in self._kind:
            return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
        await self.is_over.wait()
        return None


def _answer(response: Response) -> bytes:
    headers = {**response.headers, "content-length": str(len(response.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {response.status} Any\r\n{lines}\r\n".encode() + response.body


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
async def test_no_answer_in_time_is_neither_a_refusal_nor_a_success(
    example: Example, kind: str, tmp_path: Path
) -> None:
    sandbox = new_sandbox()
    stack = SandboxStack(sandbox)
    names = stack.seed(example, "r1")
    silent = Silent(sandbox, kind)
    async with Stub(silent) as stub:
        services = HttpDownstream(
            ServiceAddresses.of(stack_url=stub.url), credentials=None, timeout_s=TIMEOUT_S, clock=SystemClock()
        )
        try:
            async with running(tmp_path / "j.db", services) as alive:
                instance_id = await carry_through(alive, example, names)
                await check(alive, example, names, instance_id, stack)
                failures = await _failures(alive, instance_id)
        finally:
            silent.is_over.set()
            await services.close()
            stack.close()
            await sandbox.close()
    writes = list(silent.attempts.values())
    assert writes and all("no answer" in failure for failure in failures), failures
    if kind == "says nothing":
        assert min(writes) >= 2, "what was not booked has been sent again"


async def _failures(alive: Any, instance_id: str) -> list[str]:
    """Of the effects, as history shows them."""
    instance = await alive.journal.instance(instance_id)
    rows = [row for stage in instance.stages for row in await alive.journal.activities(instance_id, stage.number)]
    return [row.last_failure or "none" for row in rows if row.key]
