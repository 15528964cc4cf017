"""The demo from beginning to end: seed, start, kill in the middle, start again, wait, tell, draw, check."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from headrace.clock import Clock, SystemClock
from headrace.demo import top_up_report
from headrace.demo.balances import balance_rows, read_balances
from headrace.demo.books import Ended, Report, check_books
from headrace.demo.errors import DemoFailed, NoExamples, NotInTime
from headrace.demo.examples import (
    Example,
    Expected,
    TriggerExample,
    examples_folder,
    load_examples,
    load_trigger_example,
    read_definition,
)
from headrace.demo.picture import draw
from headrace.demo.screen import Screen
from headrace.demo.server import ChildServer
from headrace.demo.stack import Stack
from headrace.demo.timeline import EFFECTS, Lane, Outage, Picture, lane_lines, lane_of
from headrace.demo.top_ups import OWNERS, TIMES_BY_HAND, TopUps
from headrace_client import Client

Json = dict[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")

FAULTS = ("ledger:delay:0.5:1.2", "wallets:delay:0.3:1.0", "ledger:drop:0.1")
SETTINGS = {"HEADRACE_SETTLE_S": "2", "HEADRACE_LOG_LEVEL": "warning"}
WORKERS = 16
ENOUGH_IN_FLIGHT = 5
KILL_WITHIN_S = 20.0
END_WITHIN_S = 120.0
TRIGGER_EXAMPLE = "14-trigger-pays-wallet"
DOWN_S = 1.0
START_EVERY_S = 0.06
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Choices:
    should_stop: bool
    runs_of_each: int = 3
    examples: Path | None = None
    picture: Path | None = None


@dataclass(slots=True)
class Run:
    """One instance to be: its example, its own names, and its id once it has been started."""

    example: Example
    label: str
    names: dict[str, str]
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """One started instance, and the expected stages of its history."""

    example: str
    label: str
    instance_id: str
    expected: Expected


def show(choices: Choices, screen: Screen) -> None:
    """Play the demo.

    Raises DemoFailed if the books differ from the histories, or a run does not end; keeps the data.
    """
    chosen = choices.examples or examples_folder()
    examples = load_examples(chosen)
    if not examples:
        raise NoExamples(f"{chosen} holds no examples")
    if not (chosen / TRIGGER_EXAMPLE / "trigger.json").exists():
        raise NoExamples(f"{chosen / TRIGGER_EXAMPLE} holds no trigger.json")
    trigger = load_trigger_example(chosen / TRIGGER_EXAMPLE)

    folder = Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    server = ChildServer(folder / "data", settings=SETTINGS)
    try:
        _Demo(server, examples, trigger, choices, folder, SystemClock(), screen).play()
    finally:
        server.stop()
    shutil.rmtree(server.data)


class _Demo:
    def __init__(
        self,
        server: ChildServer,
        examples: list[Example],
        trigger: TriggerExample,
        choices: Choices,
        folder: Path,
        clock: Clock,
        screen: Screen,
    ) -> None:
        self._server = server
        self._examples = examples
        self._trigger = trigger
        self._choices = choices
        self._folder = folder
        self._clock = clock
        self._screen = screen
        self._zero_s = 0.0

    def play(self) -> None:
        self._screen.heading("Headrace demo: money-movement workflows, killed in the middle")
        took_s = self._server.start()
        self._screen.line(f"  Server     {self._server.url} (pid {self._server.pid}), ready in {took_s:.1f} s")
        self._screen.line(f"  Data       {self._server.data}", flush=True)
        with Client(server_url=self._server.url, timeout_s=30) as client, ThreadPoolExecutor(WORKERS) as pool:
            self._client, self._pool, self._stack = client, pool, Stack(self._server.url)
            self._top_ups = TopUps(self._stack, client, self._trigger, self._clock)
            self._play()
        if not self._choices.should_stop:
            self._stay()

    def _play(self) -> None:
        runs = self._seed()
        before = read_balances(self._stack, runs)
        self._top_ups.prepare()
        top_up_report.tell_trigger(self._screen, self._trigger)
        self._server.restart(faults=FAULTS)
        self._screen.line(f"  Faults     {', '.join(FAULTS)}", flush=True)
        outage = self._run_and_kill(runs)
        self._finish(runs)
        self._server.restart(faults=())
        outcome = self._top_ups.read()
        started = [
            Started(run.example.name, run.label, run.instance_id, run.example.expected(run.names)) for run in runs
        ]
        started += [
            Started(self._trigger.folder.name, label, instance_id, top_up_report.EXPECTED)
            for label, instance_ids in top_up_report.instances_of(self._top_ups, outcome).items()
            for instance_id in instance_ids
        ]
        pairs = self._each(sorted(started, key=lambda one: (one.example, one.label)), self._read_history)
        ended, lanes = [ended for ended, _ in pairs], [lane for _, lane in pairs]
        picture = Picture(lanes, outage)
        self._screen.heading("\nTimelines, in seconds since the first start")
        for lane in picture.lanes:
            for text in lane_lines(lane, picture.outage):
                self._screen.line(text)
        top_up_report.tell_outcome(self._screen, self._top_ups, outcome)
        self._screen.heading("\nBalances: before, after, and what the examples promise")
        columns, rows = balance_rows(runs, before, read_balances(self._stack, runs))
        self._screen.table(columns, rows + top_up_report.balance_rows(self._top_ups, outcome))
        ledgers = sorted({ledger for run in runs for ledger in run.example.ledgers(run.names)})
        report = check_books(self._stack, ledgers, ended)
        report.problems += top_up_report.problems(self._top_ups, outcome)
        self._conclude(picture, report, top_up_report.fact_lines(self._top_ups, outcome))

    # What happens

    def _seed(self) -> list[Run]:
        labels = [
            chr(ord("a") + number) if number < 26 else f"r{number}" for number in range(self._choices.runs_of_each)
        ]
        pairs = [(example, label) for label in labels for example in self._examples]
        names = self._each(pairs, lambda pair: self._stack.seed(pair[0], pair[1]))
        self._screen.line(f"  Seeded     ledgers, accounts, wallets and pay-ins for {len(pairs)} instances", flush=True)
        return [Run(example, label, each) for (example, label), each in zip(pairs, names, strict=True)]

    def _run_and_kill(self, runs: list[Run]) -> Outage:
        definitions = {example.name: read_definition(example.definition_file) for example in self._examples}
        v1 = self._client.orchestration.v1
        workflows = {
            name: v1.create_workflow(name=each.name, stages=each.stages).data.id for name, each in definitions.items()
        }
        self._zero_s = self._clock.now_at() / 1e6

        def start(run: Run) -> None:
            variables = run.example.variables(run.names)
            run.instance_id = v1.run_workflow(workflow_id=workflows[run.example.name], request_body=variables).data.id

        for run in runs:
            start(run)
            time.sleep(START_EVERY_S)
        self._screen.line(f"  Started    {len(runs)} instances of {len(workflows)} workflows", flush=True)
        self._send_events(runs[: len(runs) // 2])
        self._pay_in("before the kill", self._choices.runs_of_each)
        in_flight = self._wait_for_effects_in_flight()
        pid = self._server.pid
        self._top_ups.appear("as it is killed")
        killed_s = self._now_s()
        self._server.kill()
        self._screen.heading(
            f"\n  KILLED     kill -9 {pid} at {killed_s:.2f} s, with {in_flight} effects seen in flight"
        )
        self._screen.line("             and right after one more pay-in", flush=True)
        time.sleep(DOWN_S)
        self._server.start()
        ready_s = self._now_s()
        self._screen.heading(f"  RESTARTED  pid {self._server.pid} on the same folder, ready at {ready_s:.2f} s")
        return Outage(killed_s, ready_s)

    def _pay_in(self, appeared: str, count: int) -> None:
        for _ in range(count):
            self._top_ups.appear(appeared)
        self._top_ups.appear_unmatched()
        self._top_ups.send_older()
        by_hand = f"the events of {len(OWNERS)} older ones come {TIMES_BY_HAND} times each, under the same ids"
        self._screen.line(f"  Pay-ins    {count} {appeared}; {by_hand}", flush=True)

    def _wait_for_effects_in_flight(self) -> int:
        """The kill is worth something only while answers are outstanding."""
        deadline_s = self._clock.monotonic_s() + KILL_WITHIN_S
        while self._clock.monotonic_s() < deadline_s:
            running = self._client.orchestration.v1.list_instances(running=True).data
            if (found := sum(self._each(running, self._open_effects))) >= min(ENOUGH_IN_FLIGHT, len(running)):
                return found
        raise NotInTime("no effect came into flight, so a kill would prove nothing")

    def _open_effects(self, instance: Any) -> int:
        if instance.current_stage is None:
            return 0
        answer = self._client.orchestration.v1.get_instance_stage_history(
            instance_id=instance.id, number=instance.current_stage
        )
        return sum(entry.name in EFFECTS and not entry.terminated for entry in answer.data)

    def _finish(self, runs: list[Run]) -> None:
        self._send_events(runs[len(runs) // 2 :])
        self._pay_in("after the restart", self._choices.runs_of_each)
        self._top_ups.wait()
        deadline_s = self._clock.monotonic_s() + END_WITHIN_S
        with self._screen.progress("waiting for the instances to end") as update:
            while running := self._client.orchestration.v1.list_instances(running=True).data:
                if self._clock.monotonic_s() > deadline_s:
                    ids = ", ".join(instance.id for instance in running)
                    raise NotInTime(f"still running after {END_WITHIN_S:.0f} s: {ids}")
                update(f"{len(running)} instances still run")
                time.sleep(POLL_S)

    def _send_events(self, runs: list[Run]) -> None:
        for run in runs:
            for event in run.example.plan.events:
                self._client.orchestration.v1.send_event(instance_id=run.instance_id, name=event)

    # Output

    def _read_history(self, one: Started) -> tuple[Ended, Lane]:
        v1 = self._client.orchestration.v1
        instance = msgspec.to_builtins(v1.get_instance(instance_id=one.instance_id).data)
        stages = msgspec.to_builtins(v1.get_instance_history(instance_id=one.instance_id).data)
        activities = [
            msgspec.to_builtins(v1.get_instance_stage_history(instance_id=one.instance_id, number=number).data)
            for number in range(len(stages))
        ]
        lane = lane_of(one.example, one.label, instance, stages, activities, self._zero_s)
        return Ended(f"{one.example} run {one.label}", instance, activities, one.expected), lane

    def _conclude(self, picture: Picture, report: Report, trigger_facts: list[str]) -> None:
        """Draw the picture of this run. Raises DemoFailed unless the books are exact."""
        down_s = picture.outage.ready_s - picture.outage.killed_s
        in_flight = picture.effects_in_flight
        facts = [
            f"{len(picture.lanes)} instances ended as expected; the server was down for {down_s:.1f} s",
            f"{report.effects} effects, each booked exactly once; {in_flight} were in flight at the kill",
            f"{report.repeated_attempts} attempts were repeats of one whose answer never came",
            f"{report.transactions} transactions in the books; all balances sum to zero",
        ]
        picture.facts.extend(facts)
        file = self._choices.picture or self._folder / "demo.svg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(draw(picture), encoding="utf-8")
        self._screen.line(f"\nPicture of this run: {file}")

        if not picture.effects_in_flight:
            report.problems.append("no effect was in flight at the kill: this run proves nothing, run it again")
        if report.problems:
            raise DemoFailed("the books are not as they must be:\n  " + "\n  ".join(report.problems))
        self._screen.heading("\nThe books are exact.")
        for fact in picture.facts:
            self._screen.line(f"  {fact}")
        self._screen.heading("\nEach event started its workflow once.")
        for fact in trigger_facts:
            self._screen.line(f"  {fact}")
        self._screen.line("", flush=True)

    def _stay(self) -> None:
        """Until Ctrl-C, which the child hears as well."""
        url, program = self._server.url, sys.argv[0]
        self._screen.heading("The server is still running. Go on, in another terminal:")
        self._screen.line(f"  export HEADRACE_SERVER={url}")
        self._screen.line(f"  {program} workflows list")
        self._screen.line(f"  {program} instances list")
        self._screen.line(f"  {program} instances describe INSTANCE")
        self._screen.line(f"  {program} triggers occurrences list {self._top_ups.trigger_id}")
        self._screen.line(f"  curl {url}/api/ledger/v2/shop/aggregate/balances")
        self._screen.line("Ctrl-C stops it and removes its data.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while self._server.is_running:
                time.sleep(POLL_S)
            raise DemoFailed(f"the server ended; its log ends with:\n{self._server.log_tail()}")

    def _each(self, items: Iterable[Item], work: Callable[[Item], Result]) -> list[Result]:
        return list(self._pool.map(work, items))

    def _now_s(self) -> float:
        return self._clock.now_at() / 1e6 - self._zero_s
