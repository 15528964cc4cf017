"""Ask the services the questions of a plan, or of what is planned like one."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.clock import Clock
from headrace.effects.port import Downstream, NoResponse
from headrace.errors import TooLarge
from headrace.planning.questions import Answer as Answered
from headrace.planning.questions import Asking
from headrace.workflows.activities import Json

MAX_S = 30.0
"""The time that the questions of one plan may take."""
PAUSE_S = 0.2
"""The pause before the second attempt of a question; it doubles."""


async def answered(asking: Asking[Json], services: Downstream, clock: Clock) -> Json:
    """Ask the services the questions of a plan, and return its document.

    Raises Silent where a service does not answer, and TooLarge beyond the limits of a plan.
    """
    answer: Any = None
    try:
        async with asyncio.timeout(MAX_S):
            while True:
                try:
                    question = asking.send(answer)
                except StopIteration as ended:
                    return ended.value
                if question.attempt:
                    await clock.sleep(PAUSE_S * 2 ** (question.attempt - 1))
                try:
                    response = await services.send(question.request)
                except NoResponse:
                    response = None
                answer = Answered(response, clock.now_at())
    except TimeoutError:
        raise TooLarge("plan", f"needs more than {MAX_S:g} s") from None
