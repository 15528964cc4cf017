"""Plans: what a run would do, asked of the services as they stand."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.clock import Clock
from headrace.effects.port import Downstream, NoResponse
from headrace.errors import InvalidValue, TooLarge
from headrace.planning.questions import Answer, Asking
from headrace.workflows.activities import Json
from headrace.workflows.config import check_delays, open_delays
from headrace.workflows.variables import MAX_VARIABLES, missing, shown

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
                answer = Answer(response, clock.now_at())
    except TimeoutError:
        raise TooLarge("plan", f"needs more than {MAX_S:g} s") from None


def check_variables_of(stages: list[Json], variables: dict[str, str]) -> None:
    """Check that a run could start with these variables. Raises InvalidValue, which names each one that is missing."""
    lacking = missing(stages, variables)
    if lacking:
        raise InvalidValue("variables", f"no value for {', '.join(shown(name) for name in lacking[:MAX_VARIABLES])}")
    check_delays(stages, open_delays(stages), variables)
