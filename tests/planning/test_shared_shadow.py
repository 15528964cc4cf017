"""Several plans over one shadow: each is what its run does after those before it, and a dropped one leaves no trace."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from headrace.errors import InvalidDefinition
from headrace.planning.planner import Subject, Terms, plan
from headrace.planning.shadow import Shadow
from headrace.workflows.config import parse_config
from tests.planning.books import Books, Json, small_books
from tests.planning.comparison import POLICY, differences
from tests.planning.generated import Maker
from tests.planning.runs import answered, run

BOOKS = 25
SUBJECTS = 8


def subjects(random: Random, books: Books) -> list[Subject]:
    found: list[Subject] = []
    while len(found) < SUBJECTS:
        definition, variables = Maker(random, books).workflow()
        try:
            parse_config(definition)
        except InvalidDefinition:
            continue
        found.append(Subject(definition, variables))
    return found


def planned_in_turn(books: Books, wanted: list[Subject], counts: Counter[str]) -> list[tuple[Subject, Json]]:
    """The plans that succeed, each after those before it; a plan that fails is dropped, as a batch excludes it."""
    shadow, kept = Shadow(), list[tuple[Subject, Json]]()
    for subject in wanted:
        terms = Terms(books.clock.now_at(), schemas=POLICY.ledger_schemas)
        made = answered(books, plan(subject, terms, shadow))
        counts[made["verdict"]] += 1
        if made["verdict"] == "succeeds":
            shadow.keep()
            kept.append((subject, made))
        else:
            counts["effects dropped"] += len(made["effects"])
            shadow.drop()
    return kept


@pytest.mark.parametrize("number", range(BOOKS))
def test_plans_in_turn_are_what_their_runs_do_in_turn(number: int) -> None:
    random = Random(f"shared:{number}")
    books = small_books(random)
    try:
        kept = planned_in_turn(books, subjects(random, books), Counter())
        for subject, made in kept:
            assert list(differences(books, made, run(books, subject, POLICY, signed=made))) == []
    finally:
        books.close()


def test_the_plans_in_turn_meet_both_ends() -> None:
    """Else nothing was shared, or nothing dropped."""
    counts: Counter[str] = Counter()
    for number in range(BOOKS):
        random = Random(f"shared:{number}")
        books = small_books(random)
        try:
            planned_in_turn(books, subjects(random, books), counts)
        finally:
            books.close()
    assert counts["succeeds"] > BOOKS and counts["fails"] > BOOKS and counts["effects dropped"] > BOOKS, counts
