"""Words of a picture: titles that fit, text without characters that would change what is read, and sentences."""

from __future__ import annotations

import unicodedata

from headrace.pictures.amounts import amount_text, drawn, signed_text
from headrace.pictures.moves import WORDS, Edge, Flow, Node, State

GLYPHS: dict[State, str] = {
    "moving": "\u2192",
    "retrying": "\u21bb",
    "unknown": "?",
    "refused": "\u2715",
    "unmade": "\u2298",
    "undone": "\u21b6",
}
"""Signs before an amount: no state is shown by its colour alone."""
LINE = 20


def visible(text: str) -> str:
    """The text with control, direction and unassigned characters as symbols, and lone surrogates replaced."""
    shown: list[str] = []
    for character in text:
        category, code = unicodedata.category(character), ord(character)
        if category[0] != "C" and category not in ("Zl", "Zp"):
            shown.append(character)
        elif category == "Cs":
            shown.append("\ufffd")
        else:
            shown.append(chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else f"<U+{code:04X}>")
    return "".join(shown)


def label(flow: Flow, edge: Edge) -> str:
    """The amount beside a line, with the sign of its state."""
    amount = drawn(flow.amount_text(edge.amount, edge.asset))
    glyph = GLYPHS.get(edge.state, "")
    return f"{glyph} {amount}" if glyph else amount


def title_lines(flow: Flow, node: Node) -> tuple[str, str]:
    """Title and caption, short enough for a node. An address too long gives its first segment to the caption."""
    title, caption = visible(flow.title(node)), visible(flow.caption(node))
    if len(title) > LINE and node.kind == "account" and ":" in title:
        first, _, title = title.partition(":")
        caption = f"{caption} \u203a {first}"
    return drawn(title, LINE), drawn(caption, LINE + 4)


def balance_text(flow: Flow, node: Node, *, is_whole: bool = False) -> str:
    """The amounts that a node holds, or that were taken from it: `holds +40.00 USD`; empty where there are none."""
    found: list[str] = []
    for asset, amount in flow.balance(node).items():
        amount_shown = signed_text(amount, asset)
        word = {"held": "holds ", "stuck": "stuck: "}.get(flow.standing(node, asset), "")
        found.append(word + (amount_shown if is_whole else drawn(amount_shown)))
    return ", ".join(found) if node.kind in ("account", "wallet") else ""


def spoken(flow: Flow, edge: Edge) -> str:
    """`98.09 EUR from users:1 to merchants:7: booked`, for those who cannot see the line."""
    source, destination = visible(flow.title(edge.source)), visible(flow.title(edge.destination))
    return f"{flow.amount_text(edge.amount, edge.asset)} from {source} to {destination}: {WORDS[edge.state]}"


def sentences(flow: Flow) -> list[str]:
    """A sentence for each line of the picture, and one for each asset."""
    return [*(spoken(flow, edge) for edge in flow.edges), *sum_sentences(flow)]


def sum_sentences(flow: Flow) -> list[str]:
    """For each asset, where its money came from and where it is: `40.00 USD came in, 40.00 USD arrived`.

    Where nothing has moved, or nothing remains moved, a sentence says so. An outline has none.
    """
    if flow.unknowns is not None or not flow.moves:
        return []
    found: list[str] = []
    for sums in flow.sums():
        parts = {
            "came in": sums.came_in,
            "taken from accounts": sums.taken,
            "held": sums.held,
            "stuck": sums.stuck,
            "arrived": sums.arrived,
            "paid out": sums.paid_out,
            "not known yet": sums.open,
        }
        told = [f"{amount_text(amount, sums.asset)} {word}" for word, amount in parts.items() if amount]
        found += [", ".join(told)] if told else []
    is_undone = any(move.state == "undone" for move in flow.moves)
    return found or ["Everything that had moved is undone." if is_undone else "Nothing has moved."]
