"""The list beside a picture: its balances are those of the picture, and it says where money is missing."""

from __future__ import annotations

import random

from headrace.pictures.amounts import amount_text
from headrace.pictures.moves import Flow, Move, Node, State, Sums
from headrace.pictures.postings import conservation, posted_moves

STATES: list[State] = ["booked", "booked", "planned", "refused"]
PLACES = [Node("account", name, "main") for name in "abcd"]


def test_the_last_balance_of_each_place_is_that_of_the_picture() -> None:
    chance = random.Random(7)
    for _ in range(200):
        moves: list[Move] = []
        for stage in range(chance.randint(1, 12)):
            source, destination = chance.sample(PLACES, 2)
            asset, state = chance.choice(["EUR/2", "USD"]), chance.choice(STATES)
            moves.append(Move(source, destination, chance.randint(1, 10**20), asset, state, stage, 0))
        flow = Flow(tuple(moves))
        posted = posted_moves(flow)
        assert [each.move for each in posted] == moves
        assert all((each.balance == "") == (each.move.state != "booked") for each in posted)
        last = {(each.move.destination, each.move.asset): (n, each) for n, each in enumerate(posted) if each.balance}
        for (node, asset), (number, each) in last.items():
            if not any(move.source == node and move.asset == asset for move in moves[number + 1 :]):
                assert each.balance == amount_text(flow.balance(node).get(asset, 0), asset)


def test_conservation_is_open_while_an_outcome_is_unknown_and_off_where_money_is_missing() -> None:
    assert conservation(Sums("EUR", 5, 0, 0, 0, 5, 0, 0)) == "ok"
    assert conservation(Sums("EUR", 5, 0, 0, 0, 5, 0, 3)) == "open"
    assert conservation(Sums("EUR", 5, 0, 0, 0, 4, 0, 3)) == "off"
