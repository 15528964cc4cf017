"""The services as an engine asks them: each bounded in what is under way, every answer read for what it proves."""

from __future__ import annotations

import asyncio

from headrace.effects.port import Downstream, LookUp, NoReply, Outcome, Request, Unknown
from headrace.effects.replies import look_up_outcome, outcome
from headrace.effects.requests import look_up, next_look_up

MAX_LOOK_UP_PAGES = 100


class Services:
    """`slots`: one per attempt under way, for each service."""

    def __init__(self, downstream: Downstream, concurrency: int) -> None:
        self._downstream = downstream
        self.slots = {name: asyncio.Semaphore(concurrency) for name in ("ledger", "wallets", "payments")}

    async def send(self, name: str, request: Request) -> Outcome:
        """One attempt. The caller holds a slot."""
        try:
            reply = await self._downstream.send(request)
        except NoReply as failure:
            return Unknown(str(failure))
        return outcome(name, request, reply)

    async def look_up(self, name: str, request: Request) -> LookUp:
        """Whether the effect with this stored request stands in the books."""
        question: Request | None = look_up(name, request)
        found: LookUp = Unknown("no look-up exists for this effect")
        for _ in range(MAX_LOOK_UP_PAGES):
            if question is None:
                break
            async with self.slots[request.service]:
                try:
                    reply = await self._downstream.send(question)
                except NoReply as failure:
                    return Unknown(str(failure))
            found = look_up_outcome(name, request, reply)
            question = next_look_up(name, request, reply, question)
        return found
