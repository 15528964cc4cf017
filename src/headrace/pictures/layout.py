"""Positions of the nodes and lines of a flow: columns from left to right, money flowing with them.

The rank of a node is the longest way to it; a line that closes a circle of those before does not count. A line across
several columns bends in each. Six sweeps put the items of a column near those that they are joined to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from headrace.pictures.amounts import drawn, signed_text
from headrace.pictures.moves import Edge, Flow, Node
from headrace.pictures.words import title_lines

NODE_HEIGHT, MIN_WIDTH, MAX_WIDTH = 60, 160, 300
LANE = 20
"""The height of a line that passes a column."""
GAP, PAD = 20, 12
MIN_SPACE = 72
DIGIT, LETTER = 7, 8
SWEEPS = 6


class Bend(NamedTuple):
    """The place where a long line passes a column. `edge`: its number among the edges of the flow."""

    edge: int
    rank: int


Item = Node | Bend


@dataclass(frozen=True, slots=True)
class Layout:
    """Positions in pixels: of the upper left corner of each item. `bends`: of each edge, from left to right."""

    edges: tuple[Edge, ...]
    places: dict[Item, tuple[float, float]]
    bends: list[list[Bend]]
    ranks: dict[Node, int]
    node_width: int
    width: float
    height: float


def laid_out(flow: Flow, labels: Sequence[str]) -> Layout:
    """Lay out a flow that has moves. `labels`: of its edges, which stand before the next column."""
    ranks = ranks_of(flow)
    bends, columns = columns_of(flow, ranks)
    put_in_order(columns, links_of(flow.edges, bends))
    heights = [sum(map(_item_height, column)) + GAP * (len(column) - 1) for column in columns]
    height = 2 * PAD + max(heights)
    node_width = node_width_of(flow)
    spaces = [MIN_SPACE] * len(columns)
    for edge, label in zip(flow.edges, labels, strict=True):
        rank = ranks[edge.source]
        spaces[rank] = max(spaces[rank], len(label) * DIGIT + 34)
    places: dict[Item, tuple[float, float]] = {}
    x = float(PAD)
    for column, own, space in zip(columns, heights, spaces, strict=True):
        y = (height - own) / 2
        for item in column:
            places[item] = (x, y)
            y += _item_height(item) + GAP
        x += node_width + space
    width = x - spaces[-1] + PAD
    has_way_back = any(ranks[edge.destination] <= ranks[edge.source] for edge in flow.edges)
    return Layout(flow.edges, places, bends, ranks, node_width, width, height + (40 if has_way_back else 0))


def ranks_of(flow: Flow) -> dict[Node, int]:
    """The column of each node. A source stands right before the first node that it gives to."""
    after: dict[Node, list[Node]] = {node: [] for node in flow.nodes}
    left = dict.fromkeys(flow.nodes, 0)
    """How many lines to a node have not been followed yet."""
    for edge in flow.edges:
        if not _leads_to(edge.destination, edge.source, after):
            after[edge.source].append(edge.destination)
            left[edge.destination] += 1
    sources = [node for node in flow.nodes if not left[node]]
    ranks, ready = dict.fromkeys(sources, 0), list(sources)
    for node in ready:  # which grows meanwhile
        for each in after[node]:
            ranks[each] = max(ranks.get(each, 0), ranks[node] + 1)
            left[each] -= 1
            if not left[each]:
                ready.append(each)
    for node in sources:
        ranks[node] = min((ranks[each] for each in after[node]), default=1) - 1
    return {node: ranks[node] for node in flow.nodes}


def _leads_to(start: Node, end: Node, after: dict[Node, list[Node]]) -> bool:
    """Whether money comes from one node to the other: then a line back would close a circle."""
    seen, ready = {start}, [start]
    for node in ready:
        if node == end:
            return True
        new = [each for each in after[node] if each not in seen]
        seen.update(new)
        ready += new
    return False


def columns_of(flow: Flow, ranks: dict[Node, int]) -> tuple[list[list[Bend]], list[list[Item]]]:
    """The bends of each edge, and the items of each column, both in the order of the flow."""
    columns: list[list[Item]] = [[] for _ in range(max(ranks.values()) + 1)]
    for node in flow.nodes:
        columns[ranks[node]].append(node)
    bends: list[list[Bend]] = []
    for number, edge in enumerate(flow.edges):
        bends.append([Bend(number, rank) for rank in range(ranks[edge.source] + 1, ranks[edge.destination])])
        for bend in bends[-1]:
            columns[bend.rank].append(bend)
    return bends, columns


def links_of(edges: Sequence[Edge], bends: list[list[Bend]]) -> tuple[dict[Item, list[Item]], dict[Item, list[Item]]]:
    """The items that each is joined to on its left, and on its right."""
    left: dict[Item, list[Item]] = {}
    right: dict[Item, list[Item]] = {}
    for edge, bent in zip(edges, bends, strict=True):
        for one, other in pairwise([edge.source, *bent, edge.destination]):
            left.setdefault(other, []).append(one)
            right.setdefault(one, []).append(other)
    return left, right


def put_in_order(columns: list[list[Item]], links: tuple[dict[Item, list[Item]], dict[Item, list[Item]]]) -> None:
    """Sort each column by the middle of what its items are joined to, to and fro."""
    place = {item: float(number) for column in columns for number, item in enumerate(column)}
    for sweep in range(SWEEPS):
        joined = links[sweep % 2]

        def middle(item: Item, joined: dict[Item, list[Item]] = joined) -> float:
            near = [place[each] for each in joined.get(item, ())]
            return sum(near) / len(near) if near else place[item]

        for column in columns if sweep % 2 == 0 else reversed(columns):
            column.sort(key=middle)
            place.update((item, float(number)) for number, item in enumerate(column))


def _item_height(item: Item) -> int:
    return NODE_HEIGHT if isinstance(item, Node) else LANE


def node_width_of(flow: Flow) -> int:
    """As wide as the longest title and figure need; what is too long is cut."""
    figures = [drawn(signed_text(amount, asset)) for node in flow.nodes for asset, amount in flow.balance(node).items()]
    longest = max((len(figure) for figure in figures), default=0)
    title = max(len(title_lines(flow, node)[0]) for node in flow.nodes)
    return min(max(MIN_WIDTH, longest * DIGIT + 76 if longest > 14 else 0, title * LETTER + 28), MAX_WIDTH)
