"""`headrace attention` and `headrace instances resolve`: read on a narrow terminal, and asked before it writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from docs.generator.examples import World
from headrace.api.app import TABLE
from headrace.cli import display
from tests.cli.conftest import Ran
from tests.support.server import Server

Headrace = Callable[..., Ran]
(LISTED,) = (row for row in TABLE if row.operation_id == "listAttention")
REASON = ("--reason", "seen on the statement")


@pytest.fixture
def stuck(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The id of an instance with an effect that needs attention."""
    world = World.made(shared_server)
    world.prepare(LISTED)
    monkeypatch.setattr(display, "terminal_width", lambda: 80)
    yield world.ids["INSTANCE"]
    world.close()


@pytest.fixture
def ask(headrace: Headrace, shared_server: Server) -> Headrace:
    return lambda *arguments: headrace(*arguments, "--server", shared_server.url)


def test_the_list_fits_80_columns_and_no_id_is_cut(ask: Headrace, stuck: str) -> None:
    ran = ask("attention", "--instance", stuck)
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in lines), "only an id may be longer"
    assert lines[0].split() == ["Effect", "CreateTransferInitiation", "900", "USD/2"]
    for text in (stuck, f"headrace:{stuck}:1:1", "stage 1, activity 2 of payout", "Booked?", "Not booked?"):
        assert text in ran.out
    assert ask("attention", "--instance", stuck, "-q").out == f"{stuck}\n"
    (shown,) = json.loads(ask("attention", "--instance", stuck, "-o", "json").out)["data"]["attention"]
    assert (shown["amount"], shown["doubt"], shown["request"]["body"]["amount"]) == (900, "other_values", 900)
    assert ask("attention", "--instance", "none").out == "No effect needs attention.\n"


def test_it_shows_the_effect_and_asks_first(ask: Headrace, stuck: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("instances", "resolve", stuck, "--booked", "--text", "line 7", *REASON)
    refused = ask(*command)
    assert refused.code == 2 and "add --yes" in refused.err and f"headrace:{stuck}:1:1" in refused.err

    class Terminal:
        def isatty(self) -> bool:
            return True

    asked: list[str] = []

    def answer(text: str, **_: Any) -> bool:
        asked.append(text)
        return len(asked) > 1

    monkeypatch.setattr("typer.confirm", answer)
    with monkeypatch.context() as patched:
        patched.setattr("headrace.cli.attention.sys", type("Sys", (), {"stdin": Terminal()}))
        unsure = ask(*command)
        assert unsure.code == 1 and "nothing was stored" in unsure.err
        assert stuck in ask("attention", "--instance", stuck).out
        sure = ask(*command)
    assert sure.code == 0 and sure.out.strip() == "Activity 2 of stage 1: it is done."
    assert len(asked) == 2 and all("BOOKED: the instance goes on" in text for text in asked)
    assert ask("attention", "--instance", stuck).out == "No effect needs attention.\n"


def test_a_decision_that_the_books_contradict_is_refused(ask: Headrace, stuck: str) -> None:
    ran = ask("instances", "resolve", stuck, "--not-booked", "--text", "no trace", *REASON, "--yes", "-o", "json")
    assert ran.code == 1 and "stands under our reference" in json.loads(ran.err)["errorMessage"]
    assert ask("instances", "resolve", stuck, "--booked", "--initiation", "none", *REASON, "--yes").code == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ("--text", "x"),
        ("--booked", "--not-booked", "--text", "x"),
        ("--booked",),
        ("--booked", "--text", "x", "--initiation", "y"),
        ("--booked", "--transaction", "12"),
        ("--booked", "--transaction", "main/twelve"),
        ("--booked", "--text", "x", "--stage", "0", "--activity", "0"),
    ],
)
def test_a_command_line_that_says_too_little_or_too_much(ask: Headrace, stuck: str, wrong: tuple[str, ...]) -> None:
    ran = ask("instances", "resolve", stuck, *wrong, *REASON)
    assert ran.code == 2, ran.err
