"""Pictures say what the books hold, look the same each time, and can be broken by no name."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from decimal import Context, Decimal
from itertools import pairwise
from typing import get_args
from xml.etree import ElementTree as ET

import msgspec
import pytest

from headrace.effects.port import Request
from headrace.pictures.amounts import MINUS, NARROW, NO_BREAK, amount_text, drawn
from headrace.pictures.documents import read_flow
from headrace.pictures.layout import ranks_of
from headrace.pictures.mermaid import ARROWS, mermaid
from headrace.pictures.moves import MAX_NODES, WORDS, Flow, Move, Node, State, grouped
from headrace.pictures.notebook import Picture
from headrace.pictures.svg import COLORS, DASHES, MAX_DRAWN_NODES, svg
from headrace.pictures.text import text_lines
from headrace.pictures.words import GLYPHS
from headrace.testing.runs import Run
from headrace_client.flows import Flow as ClientFlow
from tests.pictures import golden
from tests.pictures.generated import RESULTS, check
from tests.pictures.runs import EXAMPLES, HalfUndo, case_in, undone

EXACT = Context(prec=100)
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)",
    "javascript:alert(1)",
    "]]><!--",
    "&lt;b&gt;&amp;&#60;",
    "{{7*7}}${7*7}{% x %}",
    "\u202egpj.exe",
    "\u2066isolated\u2069",
    "a\u200bb\ufeff",
    "\x00\x01\x1b[31m\x7f",
    "\ud800lone",
    "\ufffe\uffff",
    "%%{init: {}}%%",
    '"]; click n0 call alert(1)',
    "a|b\nc\\d`e`",
    "end",
    "x" * 100_000,
)


def account(name: str, ledger: str = "main") -> Node:
    return Node("account", name, ledger)


def moved(source: str, destination: str, amount: int = 100, state: State = "booked", stage: int = 0) -> Move:
    return Move(account(source), account(destination), amount, "EUR/2", state, stage, 0)


def shuffled(count: int) -> list[Move]:
    chance = random.Random(count)
    names = [f"node{number}" for number in range(count)]
    pairs = [chance.sample(names, 2) for _ in range(2 * count)]
    return [moved(source, destination, chance.randrange(10**6)) for source, destination in pairs]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_drawn_as_they_were(example: str) -> None:
    """`python -m tests.pictures.golden` writes the files anew."""
    for name, text in golden.drawn(example).items():
        assert (golden.FOLDER / name).read_text("utf-8") == text, name


def test_every_state_has_its_word_its_colour_and_its_arrow() -> None:
    states = set(get_args(State))
    assert set(WORDS) == set(COLORS) == set(ARROWS) == states
    assert set(GLYPHS) <= states and set(DASHES) <= states
    looks = [(COLORS[state], DASHES.get(state, ""), GLYPHS.get(state, "")) for state in WORDS]
    assert len(set(looks)) == len(looks), "two states look alike"


def test_the_picture_of_the_docs_is_one_of_them() -> None:
    assert golden.DOCS.read_text("utf-8") == (golden.FOLDER / golden.IN_DOCS).read_text("utf-8")


def test_there_is_no_golden_picture_of_nothing() -> None:
    texts = {path.stem: path.read_text("utf-8") for path in golden.FOLDER.glob("*.txt")}
    assert sorted(texts) == EXAMPLES
    assert not [name for name, text in texts.items() if "flowchart LR\n\n" in text]


def test_what_an_undo_has_kept_is_drawn_as_booked() -> None:
    """The bank pays a payout after its undo was computed: it and what funded it stay."""
    suite, _, wanted = case_in("15-saga")

    def pay(run: Run) -> None:
        (payout,) = run.sandbox.contents().initiations
        for status in ("VALIDATED", "PROCESSED"):
            path, body = f"/transfer-initiations/{payout['id']}/status", json.dumps({"status": status}).encode()
            assert run.sandbox.handle(Request("payments", "POST", path, body)).status < 300

    states: dict[tuple[int, int], State] = {}
    looks = 0
    for left in range(1, 20):
        with suite.world.run(wanted) as run:
            run.go_on()
            ((life, flow),) = undone(run, 0, pay, left=left)
        states = {(move.stage, move.ordinal): move.state for move in flow.moves}
        assert states[1, 0] == states[1, 1] == "booked", f"after {left} activities of the undo"
        looks += 1
        if isinstance(life, HalfUndo) and life.left > 0:
            break
    assert looks > 3
    assert states == {(0, 0): "booked"} | {(0, 1): "undone", (0, 2): "undone"} | {
        (1, 0): "booked",
        (1, 1): "booked",
        (2, 0): "undone",
    }


@pytest.mark.parametrize("seed", [938, 3029, 3989])
def test_a_payment_that_a_run_sends_from_twice_comes_in_once(seed: int) -> None:
    assert check(seed, Counter()) == []


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_pictures_of_generated_runs_are_the_books(first: int) -> None:
    counts: Counter[str] = Counter()
    problems = [problem for seed in range(first, first + 30) for problem in check(seed, counts)]
    assert problems == []
    assert counts["moves"] > 30 and counts["runs"] == 30


def test_the_full_run_that_is_kept_found_nothing() -> None:
    kept = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    assert all(each["problems"] == 0 for each in kept)
    assert any(each["runs"] >= 5_000 and each["state undone"] and each["state half"] for each in kept)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_breaks_a_picture(name: str) -> None:
    payment, wallet = Node("pay-in", name, name), Node("wallet", "w", name)
    moves = (
        Move(payment, account("a"), 5, "EUR/2", "booked", 0, 0),
        Move(account("a"), wallet, 5, "EUR/2", "unknown", 0, 1, name),
    )
    hostile = Flow(moves, {wallet: name})
    harmless = Flow(tuple(move._replace(note="") for move in moves), {wallet: "w"})
    document = ET.fromstring(svg(hostile))
    found = [each.tag.removeprefix(SVG) for each in document.iter()]
    assert found == [each.tag.removeprefix(SVG) for each in ET.fromstring(svg(harmless)).iter()]
    assert {each for element in document.iter() for each in element.attrib} <= {
        *(
            "class",
            "viewBox",
            "width",
            "height",
            "role",
            "aria-label",
            "x",
            "y",
            "rx",
            "d",
            "stroke-width",
            "text-anchor",
        )
    }
    assert svg(hostile).isascii()
    assert len(mermaid(hostile).splitlines()) == len(mermaid(harmless).splitlines())
    for line in mermaid(hostile).splitlines()[1:]:
        assert re.fullmatch(r'  n\d+(\W{1,3}"[\w :.<>/#;-]*"\W{1,3}| [-=.<>x]+\|"[\w :.#;-]*"\| n\d+)', line, re.ASCII)
    assert len(text_lines(hostile)) == len(text_lines(harmless))
    assert all(each.isprintable() for each in text_lines(hostile))


def test_a_circle_and_a_way_back_are_drawn() -> None:
    flow = Flow((moved("a", "b"), moved("b", "c"), moved("c", "a"), moved("b", "b")))
    assert ranks_of(flow) == {account("a"): 0, account("b"): 1, account("c"): 2}
    assert svg(flow).count('class="line"') == 4


def test_a_long_chain_has_no_limit_of_depth() -> None:
    flow = Flow(tuple(moved(f"n{number}", f"n{number + 1}") for number in range(3_000)))
    ranks = ranks_of(flow)
    assert all(ranks[a] < ranks[b] for a, b in pairwise(flow.nodes))


def test_many_accounts_are_put_together_by_their_address() -> None:
    moves = [moved("bank", f"users:{number}", number) for number in range(1, MAX_NODES + 1)]
    flow = grouped(Flow(tuple(moves)))
    assert [node.name for node in flow.nodes] == ["bank", "users:*"]
    assert flow.caption(account("users:*")) == "60 accounts, main"
    assert [edge.amount for edge in flow.edges] == [sum(range(1, MAX_NODES + 1))]
    assert grouped(Flow(tuple(moves[:-1]))).nodes == Flow(tuple(moves[:-1])).nodes, "60 nodes are drawn one by one"


def test_too_many_nodes_are_a_sentence() -> None:
    assert "too many to draw" in svg(Flow(tuple(shuffled(MAX_DRAWN_NODES + 60))))
    assert "No money moves." in svg(Flow())


def test_the_same_moves_give_the_same_bytes() -> None:
    moves = tuple(shuffled(50))
    assert svg(Flow(moves)) == svg(Flow(moves))


def test_money_is_held_where_it_will_move_on_stuck_where_it_should_have_and_arrived_elsewhere() -> None:
    def sums(state: State) -> tuple[int, int, int]:
        (found,) = Flow((moved("a", "b"), moved("b", "c", 40, state, 1))).sums()
        assert found.is_conserved and found.taken == 100
        return found.held, found.stuck, found.arrived

    assert {state: sums(state) for state in ("planned", "moving", "unknown")} == dict.fromkeys(
        ("planned", "moving", "unknown"), (100, 0, 0)
    )
    assert sums("unmade") == sums("refused") == (0, 100, 0)
    assert sums("booked") == (0, 0, 100)


def test_money_on_one_side_of_a_bridge_of_accounts_is_stuck_where_the_other_side_is_not_booked() -> None:
    (found,) = Flow((moved("a", "bridge"), moved("bridge-2", "b", state="unmade"))).sums()
    assert (found.stuck, found.arrived) == (100, 0)


def test_amounts_are_exact() -> None:
    chance = random.Random(4)
    for _ in range(10_000):
        places = chance.choice((0, 1, 2, 3, 6, 8, 18))
        amount = chance.randrange(-(10 ** chance.randrange(1, 40)), 10 ** chance.randrange(1, 40))
        asset = f"EUR/{places}" if places or chance.random() < 0.5 else "JPY"
        number, code = amount_text(amount, asset).split(NO_BREAK)
        assert code == asset.partition("/")[0]
        plain = number.replace(NARROW, "").replace(MINUS, "-")
        assert Decimal(plain) == Decimal(amount).scaleb(-places, EXACT) and len(plain.partition(".")[2]) == places
        assert all(len(group) == 3 for group in number.partition(".")[0].split(NARROW)[1:])
    assert drawn("1" * 1_000) == "1" * 14 + "\u2026" + "1" * 15


def test_a_flow_is_read_back_from_the_document_of_a_server() -> None:
    shown = {
        "source": {"kind": "pay-in", "name": "p1", "place": "stripe", "title": "order-7"},
        "destination": {"kind": "account", "name": "a", "place": "main"},
    }
    shown |= {"amount": 10**40, "asset": "EUR/2", "state": "booked", "stage": 1, "ordinal": 0, "note": "n"}
    document = {"moves": [shown], "sums": []}
    in_notebooks = [Picture(document), Picture(msgspec.convert(document, ClientFlow))]
    assert len({(repr(each), each._repr_svg_()) for each in in_notebooks}) == 1  # pyright: ignore[reportPrivateUsage]
    assert "order-7 (pay-in stripe) -> a (main)" in repr(in_notebooks[0])
    flow = read_flow(document)
    assert flow.moves[0].amount == 10**40 and flow.title(flow.nodes[0]) == "order-7"
    assert text_lines(flow)[1].endswith("order-7 (pay-in stripe) -> a (main)  (booked)")
