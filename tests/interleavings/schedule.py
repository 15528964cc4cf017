"""What is done in one life, drawn from a seed: a definition, rules, servers, faults, and steps of persons at moments.

A step names what it is about by a number, of the things there are when it is taken: so a schedule stays a schedule when
steps are left out, which is how a failing one is made shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

Json = dict[str, Any]

ASSET = "USD/2"
REQUESTERS = ("ann", "ben")
APPROVERS = ("ann", "ben", "cat", "cat", "dan", "dan", "eve", "eve")
LIMIT = 150
"""A rule asks for two approvals above it."""


@dataclass(frozen=True, slots=True)
class Step:
    """`at_ms`: after the start. `of`: the number of the instance, plan or batch, counted from the newest."""

    at_ms: int
    verb: str
    by: str = "ann"
    server: int = 0
    of: int = 0
    choice: int = 0

    def __str__(self) -> str:
        return f"{self.at_ms / 1000:8.3f} s  {self.verb} (by {self.by}, server {self.server}, {self.of}, {self.choice})"


@dataclass(frozen=True, slots=True)
class Schedule:
    """`books`: which of the filled books. `has_rule`: whether a rule asks for approvals."""

    seed: int
    is_shared: bool
    stages: tuple[Json, ...]
    on_failure: str | None
    has_rule: bool
    books: int
    fault_rate: float
    is_very_late: bool
    steps: tuple[Step, ...]

    @property
    def definition(self) -> Json:
        saga: Json = {} if self.on_failure is None else {"on_failure": self.on_failure}
        return {"name": "payout", "stages": list(self.stages), **saga}

    def without(self, first: int, count: int) -> Schedule:
        return replace(self, steps=self.steps[:first] + self.steps[first + count :])

    def lines(self) -> list[str]:
        """The schedule in words."""
        servers = "two servers" if self.is_shared else "one server"
        faults = f"a fault at {self.fault_rate:.0%} of requests" + (", some very late" if self.is_very_late else "")
        return [
            f"seed {self.seed}: {servers}, {faults}, books {self.books}, {'a' if self.has_rule else 'no'} rule",
            *(f"stage {number}: {stage}" for number, stage in enumerate(self.stages)),
            *([] if self.on_failure is None else [f"on_failure: {self.on_failure}"]),
            *map(str, self.steps),
        ]


def schedule_of(seed: int) -> Schedule:
    """The life of this number."""
    draw = Random(f"interleavings:{seed}")
    focus = draw.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))[0]
    has_rule = draw.random() < (0.5 if focus in ("approve", "plan") else 0.1)
    faults = {"resolve": (0.0, 0.1, 0.9), "any": (0.0, 0.15, 0.5)}.get(focus, (0.5, 0.3, 0.2))
    return Schedule(
        seed=seed,
        is_shared=draw.random() < 0.5,
        stages=tuple(_stages(draw, focus)),
        on_failure="undo" if draw.random() < (0.3 if focus == "undo" else 0.1) else None,
        has_rule=has_rule,
        books=draw.choices((0, 1), {"redrive": (1, 4), "resolve": (1, 4), "batch": (5, 1)}.get(focus, (4, 1)))[0],
        fault_rate=draw.choices((0.0, 0.15, 0.5), faults)[0],
        is_very_late=draw.random() < 0.15,
        steps=tuple(_steps(draw, focus)),
    )


_WEIGHTS = {"any": 2, "approve": 4, "plan": 2, "redrive": 3, "undo": 3, "resolve": 3, "batch": 2, "wait": 1,
            "four eyes": 2}  # fmt: skip


def _stages(draw: Random, focus: str) -> list[Json]:
    stages = [_stage(draw) for _ in range(draw.randint(1, 3))]
    first = 0 if draw.random() < 0.8 else len(stages)
    if (
        focus in ("redrive", "batch") and draw.random() < 0.5
    ):  # its second effect is refused until its account is funded
        account: Json = {"id": "a", "ledger": "main"}
        through: Json = {"id": "o", "ledger": "other", "throughAccount": "t"}
        stages.insert(first, _send({"account": account}, {"account": through}, 40))
    if focus == "plan" and draw.random() < 0.5:  # the payee may be another one by the time of the run
        stages.append(_send({"account": {"id": "a", "ledger": "main"}}, _PAYOUT, 40))
    if focus == "resolve" and draw.random() < 0.9:  # refused after an attempt without an answer: a person decides
        stages.insert(first, _send(_WALLET, {"account": {"id": "c", "ledger": "main"}}, 160))
    if focus == "approve" or (focus == "plan" and draw.random() < 0.2):
        approve: Json = {"approvals": draw.choices((1, 2, 3), (3, 4, 1))[0]}
        if draw.random() < 0.6:
            approve["timeout"] = "60s"
        stages.insert(first, {"approve": approve})
    if focus == "wait":
        wait: Json = {"event": "go"}
        if draw.random() < 0.7:
            wait |= {"timeout": "60s", "on_timeout": draw.choice(("fail", "continue"))}
        stages.insert(first, {"wait_event": wait})
    if focus == "four eyes":  # one approval is enough, and a send follows it
        account = {"account": {"id": "a", "ledger": "main"}}
        send = _send(account, {"account": {"id": "b", "ledger": "main"}}, 40)
        stages = [{"approve": {"approvals": 1, "timeout": "2s"}}, send, *stages[1:]]
    for number in range(1, len(stages)):
        if draw.random() < 0.12:
            outcome = draw.choice(("done", "done", "skipped", "timeout"))
            said = f'stages[{draw.randrange(number)}].outcome {draw.choice(("==", "!="))} "{outcome}"'
            stages[number]["when"] = said
    return stages


_PAYOUT: Json = {"payment": {"psp": "dummy-pay", "type": "PAYOUT"}}
_WALLET: Json = {"wallet": {"id": "w1"}}


def _send(source: Json, destination: Json, amount: int) -> Json:
    return {"send": {"source": source, "destination": destination, "amount": {"asset": ASSET, "amount": amount}}}


def _stage(draw: Random) -> Json:
    def account(name: str, ledger: str = "main") -> Json:
        return {"account": {"id": name, "ledger": ledger}}

    amount = draw.choice((40, 100, 160))
    match draw.randrange(11):
        case 0 | 1:
            return _send(account("a"), account("b"), amount)
        case 2:
            return _send(account("b"), account("c"), amount)
        case 3:
            return _send(account("a"), account("o", "other"), amount)
        case 4:
            return _send(account("a"), _WALLET, amount)
        case 5:
            return _send(_WALLET, account("c"), amount)
        case 6:
            return _send(account("a"), _PAYOUT, amount)
        case 7 | 8:
            return _send(_payment(draw), draw.choice((account("b"), account("o", "other"), _WALLET)), amount)
        case 9:
            return {"update": {"account": {"id": "a", "ledger": "main", "metadata": {"state": "paid"}}}}
        case _:
            return {"delay": {"duration": "5s"}}


def _payment(draw: Random) -> Json:
    """One of two payments that came in, on one of two ledgers: most sends share what is booked of them."""
    on: Json = {"ledger": "main"} if draw.random() < 0.7 else {}
    return {"payment": {"id": draw.choice(("p1", "p1", "p2")), **on}}


_VERBS: dict[str, tuple[str, ...]] = {
    "any": ("start", "plan", "run", "approve", "reject", "abort", "redrive", "undo", "event", "kill", "fund",
            "resolve"),
    "approve": ("approve", "approve", "approve", "approve", "approve", "approve", "reject", "abort", "event", "kill",
                "clock", "plan rest", "redrive", "payee", "approve stale"),
    "plan": ("run", "run", "run", "run", "approve", "approve", "approve", "reject", "kill", "plan rest", "plan redrive",
             "redrive planned", "clock", "payee"),
    "redrive": ("redrive", "redrive", "redrive", "undo", "plan redrive", "redrive planned", "redrive planned", "fund",
                "fund", "kill", "abort", "payee"),
    "undo": ("undo", "undo", "undo", "redrive", "plan undo", "undo planned", "undo planned", "spend", "kill", "abort",
             "skip", "hand"),
    "resolve": ("resolve", "resolve", "resolve", "abort", "kill", "redrive", "undo", "fund"),
    "batch": ("batch start", "batch start", "batch pause", "batch pause", "batch resume", "batch cancel", "kill",
              "redrive", "undo", "abort", "fund"),
    "wait": ("event", "event", "event", "abort", "kill", "redrive", "undo", "clock"),
    "four eyes": ("approve", "approve", "approve stale", "plan rest", "redrive", "undo", "abort", "kill", "clock"),
}  # fmt: skip
_SECONDS: dict[str, tuple[float, ...]] = {
    "approve": (0.15, 0.15, 1.0, 30.0, 60.0, 60.02, 62.0),
    "plan": (0.15, 1.0, 60.02, 60.04, 62.0),
    "wait": (0.05, 5.0, 60.0, 60.02, 61.0),
    "resolve": (36.0, 50.0, 70.0, 100.0),
    "batch": (4.1, 6.35, 6.4, 6.85, 9.0),
    "four eyes": (0.3, 2.0, 2.02, 2.9, 5.0),
}
_MEANWHILE = (0.03, 0.05, 0.5, 2.0, 10.0, 40.0)
_BATCHES = ("batch run", "batch run", "batch redrive", "batch undo", "batch undo", "batch abort")


def _steps(draw: Random, focus: str) -> list[Step]:
    """A start, what the life is about, and groups of steps at about the same moments, which therefore race."""

    def step(at_ms: int, verb: str, people: tuple[str, ...] = REQUESTERS) -> None:
        of = draw.choices((0, 1, 2), (6, 2, 1))[0]
        steps.append(Step(at_ms, verb, draw.choice(people), draw.randrange(2), of, draw.randrange(1_000)))

    steps: list[Step] = []
    _begin(draw, focus, step)
    moments = sorted(draw.choice(_SECONDS.get(focus, _MEANWHILE)) for _ in range(draw.randint(1, 4)))
    for number, moment in enumerate(moments):
        for _ in range(draw.randint(1, 4)):
            verb = draw.choice(_VERBS[focus] if draw.random() < 0.9 else _VERBS["any"])
            step(_ms(draw, moment + number * 0.1), verb, REQUESTERS if verb in ("start", "run") else APPROVERS)
    return sorted(steps, key=lambda each: each.at_ms)


def _begin(draw: Random, focus: str, step: Callable[..., None]) -> None:
    """The steps with which a life begins: those without which nothing could be about its focus."""
    if focus != "plan" or draw.random() < 0.3:
        step(0, "start")
    if focus == "plan":
        step(20, "plan")
    if focus == "approve":
        step(draw.choice((30, 80, 150)), "plan rest", APPROVERS)
        if draw.random() < 0.3:
            step(100, "plan rest", APPROVERS)
        for _ in range(draw.randint(0, 2)):
            step(_ms(draw, 0.15), "approve", APPROVERS)
    if focus == "four eyes":  # about half of them again, after the time of the first is over
        asked_s = 0.0 if draw.random() < 0.5 else 2.6
        if asked_s:
            step(_ms(draw, asked_s - 0.1), "redrive", ("cat", "dan", "eve"))
        step(_ms(draw, asked_s + 0.1), "plan rest", APPROVERS)
        for _ in range(2):
            step(_ms(draw, asked_s + 0.3), draw.choice(("approve", "approve", "approve stale")), (*REQUESTERS, "eve"))
    if focus == "batch":
        if draw.random() < 0.6:
            step(draw.randint(0, 400), "start")
        step(1_000, draw.choice(_BATCHES))
        step(_ms(draw, 4.0), "batch start", APPROVERS)
    elif focus == "resolve" or draw.random() < 0.2:
        step(draw.randint(0, 400), "start")


def _ms(draw: Random, moment_s: float) -> int:
    """About this moment: most steps of a group meet within the time that a read takes."""
    return max(0, int(moment_s * 1000) + draw.choice((0, 0, 1, 2, 3, 5, 8, 20)))
