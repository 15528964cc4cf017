"""Rules of gates, waits and conditions: sections 2 and 8 of the specification.

The id of such a rule is that of the section, where no invariant of section 0 says it. Approvals that are needed before
an effect are those of stages that are not skipped.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.interleavings.facts import Facts
from tests.interleavings.schedule import ASSET, LIMIT

_CONDITION = re.compile(r'stages\[(\d+)\]\.outcome (==|!=) "(\w+)"')


def asked(facts: Facts, instance_id: str, stage: int) -> Iterator[tuple[int, int, bool]]:
    """The stages up to this one before which approvals are needed, how many, and whether the rule asks for them."""
    total = 0
    for number, each in enumerate(facts.stages(instance_id)[: stage + 1]):
        if (facts.stage_of(instance_id, number) or {}).get("skipped"):
            continue
        if "approve" in each:
            yield number, each["approve"].get("approvals", 1), False
        if "send" in each and each["send"]["amount"]["asset"] == ASSET:
            total += each["send"]["amount"]["amount"]
            if facts.persons.schedule.has_rule and total > LIMIT:
                yield number, 2, True


def a_person_signs_what_it_saw(facts: Facts) -> Iterator[str]:
    """A person that decides about a plan gives the hash of what it has read: no decision is about anything else."""
    for told in facts.persons.told:
        if told.operation not in ("approvePlan", "rejectPlan") or told.refusal is not None:
            continue
        plan = facts.plans.get(told.target)
        if plan is not None and told.wanted["hash"] != plan["hash"]:
            yield f"MS-4 {told.step.by} signed {told.wanted['hash']}, and that counts for plan {told.target}"


def the_last_approval_opens_its_gate(facts: Facts) -> Iterator[str]:
    """Decisions about an instance that waits are counted one after the other: one commit has the last and the pass."""
    gates: dict[str, int] = {}
    given: Counter[str] = Counter()
    for each in facts.writes:
        match each.name:
            case "OpenGate":
                gates[each.write.instance_id] = each.write.number
            case "PassGate" | "EndInstance":
                gates.pop(each.write.instance_id, None)
            case "AddDecision" if each.write.verdict == "approve" and each.write.target in facts.plans:
                plan = facts.plans[each.write.target]
                instance_id = plan["subject"].get("instance")
                number = gates.get(instance_id)
                if number is None or plan["document"]["from"]["stage"] != number:
                    continue
                given[plan["id"]] += 1
                needed = [count for place, count, _ in asked(facts, instance_id, number) if place == number]
                passes = any(type(other).__name__ == "PassGate" for other in each.commit.writes)
                if [given[plan["id"]]] == needed and not passes:
                    yield f"S2 stage {number} of {instance_id} has {needed[0]} approvals, and waits for more"
            case _:
                pass


class _Mailboxes:
    """Which events are left, which waits have used one, and which are over by their time, in the order of commits."""

    def __init__(self) -> None:
        self.left: Counter[tuple[str, str]] = Counter()
        self.used: set[tuple[str, int]] = set()
        self.over: set[tuple[str, int]] = set()

    def carry(self, source: str, destination: str) -> None:
        for instance_id, name in [place for place in self.left if place[0] == source]:
            self.left[destination, name] += self.left.pop((instance_id, name))

    def take(self, instance_id: str, stage: int, name: str) -> Iterator[str]:
        if (instance_id, stage) in self.over:
            yield f"S8 stage {stage} of {instance_id} is over by its time, and looks for its event"
        elif (instance_id, stage) not in self.used and self.left[instance_id, name]:
            self.left[instance_id, name] -= 1
            self.used.add((instance_id, stage))

    def end(self, instance_id: str, stage: int, name: str) -> Iterator[str]:
        if (instance_id, stage) in self.used or self.left[instance_id, name]:
            yield f"S8 stage {stage} of {instance_id} ends by its time though its event was accepted"
        self.over.add((instance_id, stage))


def a_wait_uses_its_event(facts: Facts) -> Iterator[str]:
    """A wait does not end by its time once its event is accepted, and what has ended so is over."""
    mailboxes = _Mailboxes()
    for each in facts.writes:
        match each.name:
            case "AddEvent":
                mailboxes.left[each.write.instance_id, each.write.name] += 1
            case "CarryEvents":
                mailboxes.carry(each.write.predecessor, each.write.instance_id)
            case "TakeEvent":
                yield from mailboxes.take(each.write.instance_id, each.write.stage, each.write.name)
            case "EndWait":
                yield from mailboxes.end(each.write.instance_id, each.write.number, each.write.name)
            case _:
                pass
    rows = facts.rows("SELECT * FROM events WHERE stage IS NOT NULL")
    counts = Counter((row["instance_id"], row["stage"]) for row in rows)
    for place in {*counts, *mailboxes.used}:
        if counts[place] != (place in mailboxes.used):
            yield f"S8 stage {place[1]} of {place[0]} has used {counts[place]} events, which no commit says"
    for (instance_id, number), row in facts.stage_rows.items():
        if row["terminated_at"] or facts.instances[instance_id]["terminated_at"] or row["keyword"] != "wait_event":
            continue
        if mailboxes.left[instance_id, json.loads(row["input"])["event"]]:
            yield f"S8 stage {number} of {instance_id} waits for an event that was accepted"


def conditions_decide(facts: Facts) -> Iterator[str]:
    """A stage is skipped if and only if its condition says so, and then it has no effect."""
    effects: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
    for row in facts.effects:
        effects[row["instance_id"], row["stage"]].append(row)
    for instance_id in facts.instances:
        if facts.instances[facts.chain(instance_id)[-1]]["kind"] == "undo":
            continue  # its stages are computed, and persons leave some of them out
        for number, stage in enumerate(facts.stages(instance_id)):
            if (row := facts.stage_of(instance_id, number)) is None:
                continue
            says_skip = "when" in stage and not _holds(facts, instance_id, stage["when"])
            if bool(row["skipped"]) != says_skip:
                yield f"S8 stage {number} of {instance_id} is skipped: {row['skipped']}, and says {stage.get('when')}"
            if row["skipped"] and effects[instance_id, number]:
                yield f"S8 stage {number} of {instance_id} is skipped, and has effects"


def _holds(facts: Facts, instance_id: str, condition: str) -> bool:
    found = _CONDITION.fullmatch(condition)
    assert found is not None, condition
    row = facts.stage_of(instance_id, int(found[1]))
    assert row is not None, "a stage before has begun"
    outcome = "skipped" if row["skipped"] else row["outcome"] or "done"
    return (outcome == found[3]) == (found[2] == "==")


STAGE_RULES = (
    a_person_signs_what_it_saw,
    the_last_approval_opens_its_gate,
    a_wait_uses_its_event,
    conditions_decide,
)
