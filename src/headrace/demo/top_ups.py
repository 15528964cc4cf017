"""The demo's trigger: pay-ins appear while the server lives and dies, and each credits the wallet it names, once.

The sandbox publishes events for most of them. Two are older than the trigger; their events are sent in by hand, several
times before the kill and again after it, always under the same id.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from headrace.clock import Clock
from headrace.demo.examples import PayIn, TriggerExample, read_definition
from headrace.demo.stack import Stack
from headrace.events import identity
from headrace_client import Client

Json = dict[str, Any]

EVENT = {"app": "payments", "type": "SAVED_PAYMENT", "version": "v3.0.0"}
OWNERS = ("jane", "omar")
AMOUNTS = ((2**53 + 1, "USD/2"), (4_199, "EUR/2"), (25_000, "USD/2"), (10**18 + 1, "JPY"))
"""In turn. The first is the smallest integer that a float cannot hold."""
OLDER = "before the trigger"
TIMES_BY_HAND = 3
"""How often each event sent by hand is delivered, once before the kill and once after."""
OCCURRED_WITHIN_S = 30.0
POLL_S = 0.05
PUBLISHED_MEMBERS = (
    *("id", "connectorID", "provider", "reference", "createdAt", "type"),
    *("status", "scheme", "asset", "amount", "initialAmount"),
)


@dataclass(slots=True)
class TopUp:
    """A pay-in that names a wallet, and how often its event was sent by hand."""

    label: str
    owner: str
    amount: int
    asset: str
    appeared: str
    payment_id: str
    by_hand: int = 0

    @property
    def event_id(self) -> str:
        return f"backfill-{self.label}"

    @property
    def event_key(self) -> str:
        """Identity of its event in the inbox."""
        return identity.of_envelope(EVENT["app"], EVENT["type"], EVENT["version"], self.event_id)

    @property
    def repeats(self) -> int:
        return max(self.by_hand - 1, 0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results of the pay-ins according to the server."""

    occurrences: list[Any]
    instance_ids: list[str]
    balances: dict[tuple[str, str], int]
    repeats: dict[str, int] = field(default_factory=dict[str, int])


class TopUps:
    """`prepare`, then pay-ins at any time with `appear` and `send_older`, then `wait`; at the end `read`."""

    def __init__(self, stack: Stack, client: Client, example: TriggerExample, clock: Clock) -> None:
        self._stack = stack
        self._v1 = client.orchestration.v1
        self._ext = client.orchestration.ext
        self._clock = clock
        self.example = example
        self.trigger_id = ""
        self.workflow_id = ""
        self.all: list[TopUp] = []
        self.others = 0
        self._wallets: dict[str, str] = {}

    def prepare(self) -> None:
        """Wallets, pay-ins that are older than the trigger, then workflow and trigger."""
        self._wallets = {owner: self._stack.create_wallet(owner) for owner in OWNERS}
        for _ in OWNERS:
            self.appear(OLDER)
        config = read_definition(self.example.definition_file)
        self.workflow_id = self._v1.create_workflow(name=config.name, stages=config.stages).data.id

        # Wait until the sandbox's earlier events have been read, so that they cannot match the trigger after all. They
        # are read in order: once the last of them has matched this trigger, the others are through. It starts nothing:
        # nil is no value.
        mark = self._v1.create_trigger(
            workflow_id=self.workflow_id,
            event=self.example.rule.event,
            filter='event.reference == "mark"',
            vars={"nothing": "nil"},
        ).data
        self._pay_in("mark", 1, "USD/2")
        deadline_s = self._clock.monotonic_s() + OCCURRED_WITHIN_S
        while not self._occurrences(mark.id) and self._clock.monotonic_s() < deadline_s:
            time.sleep(POLL_S)
        self._v1.delete_trigger(trigger_id=mark.id)

        rule = self.example.rule
        self.trigger_id = self._v1.create_trigger(
            workflow_id=self.workflow_id, name=rule.name, event=rule.event, filter=rule.filter, vars=rule.vars
        ).data.id

    def appear(self, appeared: str) -> None:
        """One more pay-in that names a wallet."""
        number = len(self.all)
        owner, (amount, asset) = OWNERS[number % len(OWNERS)], AMOUNTS[number % len(AMOUNTS)]
        label = f"{owner}-{number // len(OWNERS) + 1}"
        payment_id = self._pay_in(f"top-up:{self._wallets[owner]}:{label}", amount, asset)
        self.all.append(TopUp(label, owner, amount, asset, appeared, payment_id))

    def appear_unmatched(self) -> None:
        """A pay-in that the filter leaves out."""
        self.others += 1
        self._pay_in(f"gift:{self._wallets[OWNERS[0]]}:{self.others}", 500, "USD/2")

    def send_older(self) -> None:
        """The events of those older than the trigger, each several times."""
        older = [each for each in self.all if each.appeared == OLDER]
        for top_up in older * TIMES_BY_HAND:
            payment = self._stack.payment(top_up.payment_id)
            payload: Json = {name: payment[name] for name in PUBLISHED_MEMBERS} | {"links": None}
            event = {**EVENT, "id": top_up.event_id, "date": payment["createdAt"], "payload": payload}
            self._ext.send_events(events=event)
            top_up.by_hand += 1

    def wait(self) -> None:
        """Wait for the occurrence of each pay-in and the processing of every event. The report lists the rest."""
        deadline_s = self._clock.monotonic_s() + OCCURRED_WITHIN_S
        while self._clock.monotonic_s() < deadline_s:
            is_processed = all(each.processed_at is not None for each in self._ext.list_events().data)
            if is_processed and len(self._occurrences(self.trigger_id)) >= len(self.all):
                return
            time.sleep(POLL_S)

    def read(self) -> Outcome:
        return Outcome(
            occurrences=self._occurrences(self.trigger_id),
            instance_ids=[each.id for each in self._v1.list_instances(workflow_id=self.workflow_id).data],
            balances={key: self._stack.wallet_balance(self._wallets[key[0]], key[1]) for key in self.promised()},
            repeats={each.key: each.repeats for each in self._ext.list_events(repeated=True).data},
        )

    def promised(self) -> dict[tuple[str, str], int]:
        """Expected balance of each wallet, by owner and asset: the sum of the pay-ins that named it."""
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for top_up in self.all:
            sums[top_up.owner, top_up.asset] += top_up.amount
        return dict(sums)

    def _occurrences(self, trigger_id: str) -> list[Any]:
        return self._v1.list_triggers_occurrences(trigger_id=trigger_id).data

    def _pay_in(self, reference: str, amount: int, asset: str) -> str:
        return self._stack.pay_in(PayIn(reference=reference, amount=amount, asset=asset, save_as=""))
