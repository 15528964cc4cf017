"""A flow as one SVG document: nodes in columns, lines as wide as the root of what they move.

Every line is a group with a spoken title, so the picture can be read aloud, and a link where `link` says to what. The
colours are in classes: a document of its own carries a style for light and for dark pages, a page has its own.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from itertools import pairwise

from headrace.pictures.layout import LANE, NODE_HEIGHT, Item, Layout, laid_out
from headrace.pictures.moves import Edge, Flow, Node, State, grouped
from headrace.pictures.words import balance_text, label, sentences, spoken, title_lines, visible

MAX_DRAWN_NODES = 400
"""Above this a picture says less than a list."""
ARROW = 7
FONTS = "Inter,system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif"

LIGHT = {
    "card": "#ffffff",
    "ink": "#16211f",
    "soft": "#55615e",
    "booked": "#1f7a4d",
    "held": "#57529b",
    "moving": "#0a5f8a",
    "retrying": "#96590a",
    "refused": "#b42318",
    "unknown": "#9a2670",
    "unmade": "#59635f",
}
DARK = {
    "card": "#171f1e",
    "ink": "#e6ece9",
    "soft": "#a5b1ac",
    "booked": "#58b885",
    "held": "#b4aef0",
    "moving": "#7fc4ea",
    "retrying": "#f0b45c",
    "refused": "#ff8d80",
    "unknown": "#f196cf",
    "unmade": "#9aa5a0",
}
COLORS: dict[State, str] = {
    "booked": "booked",
    "moving": "moving",
    "retrying": "retrying",
    "unknown": "unknown",
    "refused": "refused",
    "planned": "soft",
    "unmade": "unmade",
    "undone": "unmade",
}
DASHES: dict[State, str] = {
    "retrying": "10 5",
    "unknown": "2 4",
    "refused": "7 4",
    "planned": "4 4",
    "unmade": "1 5",
}
"""A colour is never all that tells a state: each has its dash, its sign and its word too."""


def style() -> str:
    """The rules of a document that stands alone."""
    rules = [
        f".flow text{{font:13px {FONTS};font-variant-numeric:tabular-nums}}",
        ".flow .name{font-weight:600}.flow .place,.flow .net{font-size:12px}",
        ".flow .line{fill:none;stroke-linecap:butt}.flow .halo{fill:none;stroke-width:9}",
        *(f".flow .{state} .line{{stroke-dasharray:{dash}}}" for state, dash in DASHES.items()),
        _colors(LIGHT),
        f"@media (prefers-color-scheme:dark){{{_colors(DARK)}}}",
    ]
    return "".join(rules)


def _colors(of: dict[str, str]) -> str:
    states = "".join(
        f".flow .{state} .line{{stroke:{of[color]}}}.flow .{state} .head,.flow .amount.{state}{{fill:{of[color]}}}"
        for state, color in COLORS.items()
    )
    return (
        f".flow .page,.flow rect{{fill:{of['card']}}}.flow .halo{{stroke:{of['card']}}}.flow text{{fill:{of['ink']}}}"
        f".flow .place{{fill:{of['soft']}}}.flow .node rect{{stroke:{of['soft']}}}"
        f".flow .held rect{{stroke:{of['held']};stroke-width:2}}.flow .held .net{{fill:{of['held']}}}"
        f".flow .stuck rect{{stroke:{of['refused']};stroke-width:2}}.flow .stuck .net{{fill:{of['refused']}}}"
        f".flow .ghost rect{{stroke-dasharray:4 4}}{states}"
    )


def svg(flow: Flow, *, is_alone: bool = True, link: Callable[[Edge], str] | None = None, selected: int = -1) -> str:
    """Draw the flow. A flow without moves, or with too many nodes for a picture, is a sentence.

    `is_alone`: with its own style and background. `link`: to where a line leads. `selected`: a stage to mark.
    """
    shown = grouped(flow)
    if not shown.moves or len(shown.nodes) > MAX_DRAWN_NODES:
        return _sentence(shown, is_alone=is_alone)
    layout = laid_out(shown, [label(shown, edge) for edge in shown.edges])
    lines, amounts = _lines(shown, layout, link, selected)
    size = (
        f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}" width="{layout.width:.0f}" height="{layout.height:.0f}"'
    )
    described = escape(". ".join(visible(each) for each in sentences(shown)))
    parts = [
        f'<svg class="flow" xmlns="http://www.w3.org/2000/svg" {size} role="group" aria-label="Flow of funds">',
        "<title>Flow of funds</title>",
        f"<desc>{described}</desc>",
        *([f"<style>{style()}</style>", '<rect class="page" width="100%" height="100%"/>'] if is_alone else []),
        *lines,
        *(_node(shown, layout, node) for node in shown.nodes),
        *amounts,
        "</svg>",
    ]
    document = "\n".join(parts) + "\n"
    return document.encode("ascii", "xmlcharrefreplace").decode()  # so that no encoding on its way can change it


def _sentence(flow: Flow, *, is_alone: bool) -> str:
    text = "No money moves." if not flow.moves else f"{len(flow.nodes)} accounts: too many to draw. See the list."
    rules = f"<style>{style()}</style>" if is_alone else ""
    return (
        '<svg class="flow" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 40" width="420" height="40" role="img" '
        f'aria-label="{text}">{rules}<text x="12" y="25">{text}</text></svg>\n'
    )


def _lines(
    flow: Flow, layout: Layout, link: Callable[[Edge], str] | None, selected: int
) -> tuple[list[str], list[str]]:
    """The lines, and the amounts, which are drawn above all nodes."""
    starts, ends = _slots(layout, is_start=True), _slots(layout, is_start=False)
    largest: dict[str, int] = {}
    for edge in layout.edges:
        largest[edge.asset] = max(largest.get(edge.asset, 1), edge.amount)
    lines: list[str] = []
    amounts: list[str] = []
    for number, edge in enumerate(layout.edges):
        share = edge.amount * 10_000 // largest[edge.asset] / 10_000  # of integers of any length
        full = 1.8 + 6 * share**0.5
        width = 1.2 + full / 4 if edge.state in ("planned", "unmade") else full
        shape, (x, y) = _shape(layout, number, starts[number], ends[number])
        mark = " selected" if any(move.stage == selected for move in edge.moves) else ""
        tag = "g" if link is None else f'a href="{escape(link(edge))}"'
        x2, y2 = layout.places[edge.destination][0] - ARROW, ends[number]
        lines.append(
            f'<{tag} class="edge {edge.state}{mark}"><title>{escape(spoken(flow, edge))}</title>'
            f'<path class="halo" d="{shape}"/><path class="line" d="{shape}" stroke-width="{width:.1f}"/>'
            f'<path class="head" d="M{x2 - 1:.1f} {y2 - 5:.1f}l8 5l-8 5z"/></{tag[0]}>'
        )
        amounts.append(
            f'<text class="amount {edge.state}" x="{x:.1f}" y="{y - width / 2 - 5:.1f}" text-anchor="middle">'
            f"{escape(label(flow, edge))}</text>"
        )
    return lines, amounts


def _slots(layout: Layout, *, is_start: bool) -> list[float]:
    """The height at which each line leaves its node, or comes to it: side by side, without crossing there."""
    ends = [edge.source if is_start else edge.destination for edge in layout.edges]
    joined: dict[Node, list[int]] = {}
    for number, node in enumerate(ends):
        joined.setdefault(node, []).append(number)

    def height(number: int) -> float:
        """The height of the item that the line is joined to next."""
        bends, edge = layout.bends[number], layout.edges[number]
        other: Item = edge.destination if is_start else edge.source
        return layout.places[(bends[0] if is_start else bends[-1]) if bends else other][1]

    slots = [0.0] * len(ends)
    for node, numbers in joined.items():
        for place, number in enumerate(sorted(numbers, key=height), 1):
            slots[number] = layout.places[node][1] + NODE_HEIGHT * place / (len(numbers) + 1)
    return slots


def _shape(layout: Layout, number: int, start_y: float, end_y: float) -> tuple[str, tuple[float, float]]:
    """The path of a line, and the place above its first piece where its amount stands."""
    edge = layout.edges[number]
    start_x = layout.places[edge.source][0] + layout.node_width
    end_x = layout.places[edge.destination][0] - ARROW
    if layout.ranks[edge.destination] <= layout.ranks[edge.source]:
        low = max(layout.places[edge.source][1], layout.places[edge.destination][1]) + NODE_HEIGHT + 26
        reach = f"{start_x + 60:.1f} {low:.1f} {end_x - 60:.1f} {low:.1f} {end_x:.1f} {end_y:.1f}"
        return f"M{start_x:.1f} {start_y:.1f}C{reach}", ((start_x + end_x) / 2, low - 4)
    stops = [(start_x, start_y)]
    for bend in layout.bends[number]:
        x, y = layout.places[bend]
        stops += [(x, y + LANE / 2), (x + layout.node_width, y + LANE / 2)]
    stops.append((end_x, end_y))
    shape = f"M{start_x:.1f} {start_y:.1f}"
    for piece, ((x1, y1), (x2, y2)) in enumerate(pairwise(stops)):
        half = (x1 + x2) / 2
        is_straight = piece % 2 == 1
        curve = f"C{half:.1f} {y1:.1f} {half:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        shape += f"L{x2:.1f} {y2:.1f}" if is_straight else curve
    (x1, y1), (x2, y2) = stops[:2]
    return shape, ((x1 + x2) / 2, min(y1, y2))


def _node(flow: Flow, layout: Layout, node: Node) -> str:
    x, y = layout.places[node]
    standings = {flow.standing(node, asset) for asset in flow.balance(node)}
    mark = " stuck" if "stuck" in standings else " held" if "held" in standings else ""
    states = {edge.state for edge in flow.edges if node in (edge.source, edge.destination)}
    ghost = " ghost" if states <= {"planned", "unmade"} else ""
    title, caption = title_lines(flow, node)
    net = balance_text(flow, node)
    whole = f"{visible(flow.title(node))} ({visible(flow.caption(node))}) {balance_text(flow, node, is_whole=True)}"
    rows = (20, 35, 51) if net else (27, 43, 0)
    round_ = NODE_HEIGHT // 2 if node.kind in ("pay-in", "payout", "outside") else 8
    size = f'width="{layout.node_width}" height="{NODE_HEIGHT}" rx="{round_}"'
    return (
        f'<g class="node {node.kind}{mark}{ghost}"><title>{escape(whole.strip())}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" {size}/>'
        f'<text class="name" x="{x + 14:.1f}" y="{y + rows[0]:.1f}">{escape(title)}</text>'
        f'<text class="place" x="{x + 14:.1f}" y="{y + rows[1]:.1f}">{escape(caption)}</text>'
        + (f'<text class="net" x="{x + 14:.1f}" y="{y + rows[2]:.1f}">{escape(net)}</text>' if net else "")
        + "</g>"
    )
