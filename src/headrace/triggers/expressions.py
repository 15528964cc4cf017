"""Evaluation of a trigger's expressions for one event: compiled once, limited in time, with `link()` data fetched.

Expressions are pure. If one needs a link that is not fetched yet, its run is discarded, the link is fetched without
holding anything, and the expression runs again. A run longer than a few milliseconds moves to a thread, so that the
event loop stays responsive.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from headrace import expr
from headrace.clock import Clock
from headrace.errors import HeadraceError
from headrace.expr.limits import Limits, Meter
from headrace.triggers.language import FUNCTIONS, LIMITS

if TYPE_CHECKING:
    from headrace.expr.explanation import Part

DEADLINE_S = 0.1
ALL_S = 0.5
"""Seconds of work for all expressions of a trigger per event. Counts work only: a paused machine fails no trigger."""
MOMENT_STEPS = 4_000
MOMENT_CHARACTERS = 512
"""Budget of running and compiling on the event loop: a millisecond or two."""
PAUSE_S = 0.005
MAX_LINKS = 10
"""Maximum links per match."""
MAX_CACHED_CHARACTERS = 4 << 20
WORKERS = 2

_MOMENT = Limits(source_bytes=8 * 1024, steps=MOMENT_STEPS)
_NAMES: Mapping[str, object] = {"event": {}}

Json = dict[str, Any]


class InvalidSource(HeadraceError):
    """The text is not a valid expression, or can be valid for no event. The message has the position."""


class EvaluationFailed(HeadraceError):
    """The expression has no value for this event. `is_over_budget` means that it exceeded a limit.

    `hints` are part of the message; they quote the expression and nothing of the event.
    """

    def __init__(self, message: str, *, is_over_budget: bool = False, hints: Sequence[str] = ()) -> None:
        super().__init__("; ".join([message, *hints]))
        self.is_over_budget = is_over_budget
        self.hints = hints


class LinkRefused(HeadraceError):
    """The address of a link may not be read, or its response is not usable."""


class Fetch(Protocol):
    """Fetches the data of a link. Raises LinkRefused."""

    async def __call__(self, uri: str, /) -> Any: ...


class _LinkNeeded(Exception):
    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri


def check_source(source: str) -> expr.Program:
    """Compile an expression.

    Raises InvalidSource. Knows only `event` and `link`; integers have 64 bits (decision X2).
    """
    return _compile(source)


def explained(source: str, payload: Json, clock: Clock) -> Part:
    """Explain each condition of a filter for a payload. Raises InvalidSource. Follows no link."""
    from headrace.expr.explanation import NotHere, explain

    def link(*_: Any) -> NoReturn:
        raise NotHere

    now_ns = clock.now_at() * 1_000
    return explain(_compile(source), {"event": payload}, functions={"link": link}, now_ns=lambda: now_ns, wraps=False)


def _compile(source: str) -> expr.Program:
    try:
        return expr.compile(source, env=_NAMES, functions=FUNCTIONS, limits=LIMITS, wraps=False)
    except expr.InvalidExpression as error:
        raise InvalidSource(error.summary) from None


class Programs:
    """Cache of compiled expressions: the most recently used, limited by the length of their sources."""

    def __init__(self, max_characters: int = MAX_CACHED_CHARACTERS) -> None:
        self._programs: OrderedDict[str, expr.Program] = OrderedDict()
        self._left = max_characters
        self.long: set[str] = set()
        """Sources that exceeded the budget of the event loop before."""

    def of(self, source: str) -> expr.Program | None:
        """Return the compiled expression, or None if it is not in the cache."""
        program = self._programs.get(source)
        if program is not None:
            self._programs.move_to_end(source)
        return program

    def keep(self, program: expr.Program) -> None:
        if program.source in self._programs:
            return
        self._programs[program.source] = program
        self._left -= len(program.source)
        while self._left < 0 and len(self._programs) > 1:
            forgotten, _ = self._programs.popitem(last=False)
            self._left += len(forgotten)
            self.long.discard(forgotten)


class Evaluator:
    """Creates evaluations. It has threads: `close` it."""

    def __init__(self, clock: Clock, fetch: Fetch) -> None:
        self._clock = clock
        self._fetch = fetch
        self._programs = Programs()
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="headrace-expr")

    def over(self, payload: Json) -> Evaluation:
        return Evaluation(self._clock, self._fetch, self._programs, self._threads, payload)

    def may_take_long(self, source: str) -> bool:
        """True if it follows links, or exceeded the budget of the event loop before."""
        return "link" in source or source in self._programs.long

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class _Answer:
    """Response of a link: its data, or the reason why there is none."""

    data: Any = None
    refusal: str | None = None


class Evaluation:
    """The expressions of one trigger for one event. `now()` and each link keep their value throughout."""

    def __init__(
        self, clock: Clock, fetch: Fetch, programs: Programs, threads: ThreadPoolExecutor, payload: Json
    ) -> None:
        self._clock = clock
        self._fetch = fetch
        self._programs = programs
        self._threads = threads
        self._env: Json = {"event": payload}
        self._now_ns = clock.now_at() * 1_000
        self._links: dict[str, _Answer] = {}
        self._spent_s = 0.0
        self._paused_s = 0.0

    async def value(self, source: str) -> Any:
        """Evaluate one expression. Raises EvaluationFailed."""
        program = self._programs.of(source)
        if program is None:
            # Compiled once for many events: no part of the time that one of them may take.
            try:
                if len(source) <= MOMENT_CHARACTERS:
                    program = _compile(source)
                    await asyncio.sleep(0)
                else:
                    loop = asyncio.get_running_loop()
                    program = await loop.run_in_executor(self._threads, _compile, source)
            except InvalidSource as error:
                raise EvaluationFailed(str(error)) from None
            self._programs.keep(program)

        while True:
            # A thousand variables of a moment each: others get their turn in between.
            if self._spent_s > ALL_S:
                raise EvaluationFailed(
                    f"the expressions of the trigger take more than {ALL_S * 1_000:g} ms together", is_over_budget=True
                )
            if self._spent_s - self._paused_s > PAUSE_S:
                self._paused_s = self._spent_s
                await asyncio.sleep(0)
            try:
                return await self._run(program)
            except _LinkNeeded as needed:
                try:
                    self._links[needed.uri] = _Answer(data=await self._fetch(needed.uri))
                except LinkRefused as refusal:
                    self._links[needed.uri] = _Answer(refusal=str(refusal))
            except expr.ExpressionError as error:
                is_over_budget = isinstance(error, expr.BudgetExceeded)
                # Hints on an operation on text cost another parse, so a long expression gets none.
                hints: list[str] = []
                if "string" in error.message and len(program.source) <= MOMENT_CHARACTERS:
                    from headrace.triggers.hints import text_hints

                    hints = text_hints(program.source, self._env["event"])
                raise EvaluationFailed(error.summary, is_over_budget=is_over_budget, hints=hints) from None

    async def _run(self, program: expr.Program) -> Any:
        meter = self._meter(_MOMENT, None)
        try:
            with self._timed():
                return program.measured(self._env, meter)
        except expr.BudgetExceeded:
            if meter.steps_left >= 0:
                raise
        self._programs.long.add(program.source)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run_long, program)

    def _run_long(self, program: expr.Program) -> Any:
        """Run on a thread."""
        ends_s = self._clock.monotonic_s() + DEADLINE_S
        with self._timed():
            return program.measured(self._env, self._meter(LIMITS, lambda: self._clock.monotonic_s() > ends_s))

    @contextlib.contextmanager
    def _timed(self) -> Generator[None]:
        begun_s = time.thread_time()
        try:
            yield
        finally:
            self._spent_s += time.thread_time() - begun_s

    def _meter(self, limits: Limits, is_expired: Callable[[], bool] | None) -> Meter:
        return Meter(limits, lambda: self._now_ns, {"link": self._link}, is_expired)

    def _link(self, *arguments: Any) -> Any:
        """`link(event, "name")`: the data behind the link of that name."""
        uri = _uri_of(arguments)
        answer = self._links.get(uri)
        if answer is None:
            if len(self._links) >= MAX_LINKS:
                raise expr.Failure(f"link: more than {MAX_LINKS} links were requested")
            raise _LinkNeeded(uri)
        if answer.refusal is not None:
            raise expr.Failure(f"link: {answer.refusal}")
        return answer.data


def _uri_of(arguments: tuple[Any, ...]) -> str:
    if len(arguments) != 2 or not isinstance(arguments[1], str):
        raise expr.Failure('link: requires an event and the name of a link, such as link(event, "source_account")')
    event, name = cast("tuple[Any, str]", arguments)
    links = cast("Json", event).get("links") if isinstance(event, dict) else None
    for entry in cast("list[Any]", links) if isinstance(links, list) else []:
        if isinstance(entry, dict) and cast("Json", entry).get("name") == name:
            uri = cast("Json", entry).get("uri")
            if isinstance(uri, str):
                return uri
    raise expr.Failure(f"link: the event has no link {name[:100]!r}")


async def no_links(uri: str, /) -> Any:
    """Implements `Fetch` without any allowed origin."""
    raise LinkRefused("no origin is on the list (HEADRACE_LINK_ORIGINS)")
