"""Plays examples against a live server and gathers what the checker needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from headrace.cli.definitions import read_definition
from headrace.cli.documents import document, documents
from headrace.demo.books import Ended, Report, check_books
from headrace.demo.examples import Example, examples_folder, load_examples
from headrace.demo.stack import Stack
from headrace.demo.timeline import EFFECTS
from headrace_client import Client

WORKERS = 8


def all_examples() -> list[Example]:
    return load_examples(examples_folder())


@dataclass(slots=True)
class Played:
    example: Example
    names: dict[str, str]
    instance_id: str


class Player:
    """One server's client and stack. `close` it."""

    def __init__(self, url: str) -> None:
        self.client = Client(server_url=url, timeout_s=30)
        self.stack = Stack(url)
        self.pool = ThreadPoolExecutor(WORKERS)

    def close(self) -> None:
        self.pool.shutdown()
        self.client.close()
        self.stack.close()

    def seed(self, examples: list[Example], run: str) -> list[tuple[Example, dict[str, str]]]:
        return list(zip(examples, self.pool.map(lambda example: self.stack.seed(example, run), examples), strict=True))

    def start(self, seeded: list[tuple[Example, dict[str, str]]]) -> list[Played]:
        return list(self.pool.map(lambda pair: self.start_one(*pair), seeded))

    def start_one(self, example: Example, names: dict[str, str]) -> Played:
        config = read_definition(str(example.definition_file)).config
        v1 = self.client.orchestration.v1
        workflow = v1.create_workflow(name=config.name, stages=config.stages).data
        instance = v1.run_workflow(workflow_id=workflow.id, request_body=example.variables(names)).data
        return Played(example, names, instance.id)

    def send_events(self, played: Played) -> None:
        for event in played.example.plan.events:
            self.client.orchestration.v1.send_event(instance_id=played.instance_id, name=event)

    def wait(self, played: list[Played], timeout_s: float = 60.0) -> None:
        for each in played:
            self.client.orchestration.v1.wait_for(each.instance_id, timeout_s=timeout_s)

    def open_effects(self) -> int:
        """Effects between intent and outcome, over all running instances."""
        running = self.client.orchestration.v1.list_instances(running=True).data
        return sum(self.pool.map(self._open_effects, running))

    def ended(self, played: Played) -> Ended:
        v1 = self.client.orchestration.v1
        instance = document(v1.get_instance(instance_id=played.instance_id).data)
        stages = v1.get_instance_history(instance_id=played.instance_id).data
        activities = [
            documents(v1.get_instance_stage_history(instance_id=played.instance_id, number=number).data)
            for number in range(len(stages))
        ]
        return Ended(played.example.name, instance, activities, played.example.expected(played.names))

    def check(self, played: list[Played]) -> Report:
        ledgers = sorted({ledger for each in played for ledger in each.example.ledgers(each.names)})
        return check_books(self.stack, ledgers, [self.ended(each) for each in played])

    def _open_effects(self, instance: Any) -> int:
        if instance.current_stage is None:
            return 0
        history = self.client.orchestration.v1.get_instance_stage_history(
            instance_id=instance.id, number=instance.current_stage
        )
        return sum(entry.name in EFFECTS and not entry.terminated for entry in history.data)
