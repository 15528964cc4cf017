"""Questions of a plan to the services, and their answers. A question is a read: no other request can be made of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from headrace.effects import services
from headrace.effects.port import Done, LookUp, Refused, Request, Response, Search, Unknown
from headrace.errors import Silent

ATTEMPTS = 4
"""How often one question is asked while its service does not answer usably."""

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Question:
    """A read. `attempt` counts from 0: before a further one, the caller pauses."""

    request: Request
    attempt: int = 0

    def __post_init__(self) -> None:
        assert self.request.method == "GET", "a plan never sends anything but reads"
        assert self.request.body is None and not self.request.key


@dataclass(frozen=True, slots=True)
class Answer:
    """A service's response, and when it came, in microseconds since the epoch. None: no response came."""

    response: Response | None
    at: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The outcome of a question, and when it was answered."""

    outcome: Done | Refused
    at: int


Asking = Generator[Question, Answer, Found]
"""Yields questions, is sent their answers, and ends with a value. It may raise Silent."""


def ask(name: str, request: Request) -> Generator[Question, Answer, Reading]:
    """Ask until the service answers usably. `name` is that of the activity which reads the response.

    Raises Silent after ATTEMPTS.
    """
    why = ""
    for attempt in range(ATTEMPTS):
        answer = yield Question(request, attempt)
        if answer.response is None:
            why = f"{request.service}: no response"
            continue
        outcome = services.outcome(name, request, answer.response)
        if not isinstance(outcome, Unknown):
            return Reading(outcome, answer.at)
        why = outcome.message
    raise Silent(why)


def search(name: str, request: Request) -> Generator[Question, Answer, LookUp]:
    """Look an effect up in the books, by its request. Raises Silent where the service does not answer usably."""
    why = ""
    for attempt in range(ATTEMPTS):
        found = yield from _searched(services.look_up(name, request), attempt)
        if found is not None and not isinstance(found, Unknown):
            return found
        why = f"{request.service}: no response" if found is None else found.message
    raise Silent(why)


def _searched(looking: Search, attempt: int) -> Generator[Question, Answer, LookUp | None]:
    response: Any = None
    while True:
        try:
            request = looking.send(response)
        except StopIteration as ended:
            return ended.value
        response = (yield Question(request, attempt)).response
        if response is None:
            return None
