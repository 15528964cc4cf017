"""A ledger with a connection pool, and callers that respect an adaptive limit, in virtual time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.engine.concurrency import AdaptiveLimit, Mark, Signal


@dataclass(eq=False)
class Write:
    """One attempt: it takes a connection, works, and needs a second connection to finish."""

    mark: Mark
    held: int = 0
    is_open: bool = True


@dataclass
class Simulation:
    """`pool`: connections; a write whose caller gives up frees its own. `is_down(now_s)`: nothing is answered."""

    limit: AdaptiveLimit
    pool: int = 20
    work_s: float = 0.01
    timeout_s: float = 30.0
    retry_s: float = 1.0
    is_down: Callable[[float], bool] = lambda _: False

    now_s: float = 0.0
    timeouts: int = 0
    values: list[int] = field(default_factory=list[int])
    most_in_flight: int = 0
    _events: list[tuple[float, int, Callable[[], None]]] = field(
        default_factory=list[tuple[float, int, Callable[[], None]]]
    )
    _number: int = 0
    _in_flight: int = 0
    _waiting: deque[Write] = field(default_factory=deque[Write])
    _left: int = 0
    _ready: int = 0

    def run(self, jobs: int, until_s: float = 1e9) -> float:
        """Carry out that many writes. Returns how long it took; what is still open at `until_s` stays open."""
        began_s, self._left, self._ready = self.now_s, jobs, jobs
        self._admit()
        while self._left and self._events and self._events[0][0] <= until_s:
            self.now_s, _, event = heapq.heappop(self._events)
            event()
            self._admit()
            self.values.append(self.limit.value)
        return self.now_s - began_s

    @property
    def left(self) -> int:
        return self._left

    def _at(self, delay_s: float, event: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now_s + delay_s, self._number, event))

    def _admit(self) -> None:
        while self._ready and self._in_flight < self.limit.value:
            self._ready -= 1
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            write = Write(self.limit.begin())
            self._at(self.timeout_s, lambda write=write: self._give_up(write))
            self._connect(write)

    def _connect(self, write: Write) -> None:
        self._waiting.append(write)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self.pool:
            write = self._waiting.popleft()
            if not write.is_open:
                continue
            self.pool -= 1
            write.held += 1
            if write.held == 1:
                self._at(self.work_s, lambda write=write: self._connect(write) if write.is_open else None)
            elif self.is_down(self.now_s):
                continue
            else:
                self._end(write, Signal.ANSWERED)

    def _give_up(self, write: Write) -> None:
        if write.is_open:
            self.timeouts += 1
            self._end(write, Signal.TIMED_OUT)

    def _end(self, write: Write, signal: Signal) -> None:
        write.is_open = False
        self.pool += write.held
        self.limit.end(write.mark, signal, self._in_flight, self.now_s)
        self._in_flight -= 1
        if signal is Signal.ANSWERED:
            self._left -= 1
        else:
            self._at(self.retry_s, self._retry)
        self._serve()

    def _retry(self) -> None:
        self._ready += 1
