"""The chain of a case: a continuation, and the instances before it, whose stages and effects it takes over.

What is taken over is stored once, where it happened; these functions put it where readers of the continuation look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec import structs
from msgspec.json import decode

from headrace.journal.records import ActivityRow, Instance, Link, Stage
from headrace.workflows.conditions import WHEN, condition_of


def is_done(row: ActivityRow) -> bool:
    """The activity has ended well."""
    return row.terminated_at is not None and row.error is None


def reads_named(instance: Instance) -> list[int]:
    """The stages before the last one, in order, whose reads a condition names that may still be evaluated.

    Those are the conditions of the stages behind the last one, and its own while there is no decision about it.
    """
    last = instance.stages[-1]
    if f'"{WHEN}"' not in instance.config:  # a key, which the encoder of definitions writes without escapes
        return []
    found: set[int] = set()
    stages: list[dict[str, Any]] = decode(instance.config)["stages"]
    for place in range(last.number if last.skipped is None else last.number + 1, len(stages)):
        if (source := stages[place].get(WHEN)) is not None:
            condition = condition_of(source)
            if condition.problems:  # an earlier release accepted it: what it names is not sure
                found.update(range(place))
            named = (each.number for each in condition.references if each.read and -place <= each.number < place)
            found.update(number % place for number in named)
    return sorted(number for number in found if 0 <= number < last.number)


def places_of(stages: Iterable[int], chain: Sequence[Link]) -> list[tuple[str, int]]:
    """The places of stages: each with the instance of a chain that ran it last."""
    return [(owner_of(stage, chain)[0].instance_id, stage) for stage in stages]


def ordinal_of(row: ActivityRow) -> int:
    """The number of an effect among those of its stage, from its key."""
    return int(row.key.rpartition(":")[2])


def owner_of(stage: int, chain: Sequence[Link]) -> tuple[Link, list[Link]]:
    """The instance of a chain that ran a stage last, and those before it that had begun it, the oldest first.

    `chain`: an instance, the one that it continues, and so on.
    """
    links = iter(chain)
    owner = last = next((link for link in links if link.from_stage <= stage), chain[-1])
    earlier: list[Link] = []
    for link in links:
        if last.from_stage != stage:
            break
        earlier.insert(0, link)
        last = link
    return owner, earlier


def whole_stage(own: Iterable[ActivityRow], earlier: Iterable[ActivityRow]) -> list[ActivityRow]:
    """The activities of a stage: those of its owner, and the effects that were done before, where it asked for them.

    The owner stores no row where it asked for such an effect, so its positions have a gap there.
    """
    done = sorted((row for row in earlier if row.key and is_done(row)), key=ordinal_of)
    left = iter(done)
    found: list[ActivityRow] = []
    for row in own:
        found += _placed(left, len(found), row.position)
        found.append(row)
    return [*found, *_placed(left, len(found), len(found) + len(done))]


def _placed(left: Iterator[ActivityRow], position: int, end: int) -> list[ActivityRow]:
    placed: list[ActivityRow] = []
    for each in range(position, end):
        row = next(left, None)
        if row is None:
            break
        placed.append(structs.replace(row, position=each))
    return placed


def whole_stages(instance_id: str, own: Sequence[Stage], chain: Sequence[Link], stages: Iterable[Stage]) -> list[Stage]:
    """The stages of an instance: its own, and those before, of the instances that ran them last, as its own.

    `stages`: those of the other instances of the chain.
    """
    by_place = {(stage.instance_id, stage.number): stage for stage in stages}
    inherited: list[Stage] = []
    for number in range(chain[0].from_stage):
        stage = by_place.get((owner_of(number, chain)[0].instance_id, number))
        if stage is not None:
            inherited.append(structs.replace(stage, instance_id=instance_id))
    return [*inherited, *own]
