"""The services as an engine asks them: each bounded in what is under way, every answer read for what it proves."""

from __future__ import annotations

from typing import get_args

from headrace.clock import Clock
from headrace.effects.look_ups import look_up
from headrace.effects.port import Downstream, LookUp, NoReply, Outcome, Request, Unknown
from headrace.effects.replies import outcome
from headrace.engine.concurrency import AdaptiveLimit
from headrace.engine.gate import Gate
from headrace.engine.meter import Meter
from headrace.workflows.activities import Service

SERVICES: tuple[Service, ...] = get_args(Service)


class Services:
    """`gates`: one for each service. Reads, look-ups and effects share its limit."""

    def __init__(self, downstream: Downstream, clock: Clock, meter: Meter, *, ceiling: int, start: int) -> None:
        self.gates = {
            name: Gate(name, AdaptiveLimit(ceiling, start=start), downstream, clock, meter) for name in SERVICES
        }

    async def send(self, name: str, request: Request) -> Outcome:
        """One attempt. The caller holds a slot."""
        try:
            reply = await self.gates[request.service].send(request)
        except NoReply as failure:
            return Unknown(str(failure))
        return outcome(name, request, reply)

    async def look_up(self, name: str, request: Request) -> LookUp:
        """Whether the effect with this stored request stands in the books."""
        gate = self.gates[request.service]
        search = look_up(name, request)
        question = next(search)
        while True:
            async with gate:
                if gate.is_closed:
                    return Unknown("the server is stopping")
                try:
                    reply = await gate.send(question)
                except NoReply as failure:
                    return Unknown(str(failure))
            try:
                question = search.send(reply)
            except StopIteration as ended:
                return ended.value

    @property
    def held_back(self) -> int:
        """Tasks that wait for a slot because a service is failing."""
        return sum(gate.held_back for gate in self.gates.values())

    def close(self) -> None:
        """Release all tasks that wait for a slot. They must begin nothing."""
        for gate in self.gates.values():
            gate.close()
