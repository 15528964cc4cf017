"""The services as an engine asks them: each bounded in what is under way, every answer read for what it proves."""

from __future__ import annotations

import asyncio

from headrace.effects.look_ups import look_up
from headrace.effects.port import Downstream, LookUp, NoReply, Outcome, Request, Unknown
from headrace.effects.replies import outcome


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
        search = look_up(name, request)
        question = next(search)
        while True:
            async with self.slots[request.service]:
                try:
                    reply = await self._downstream.send(question)
                except NoReply as failure:
                    return Unknown(str(failure))
            try:
                question = search.send(reply)
            except StopIteration as ended:
                return ended.value
