"""A flow as text, for a terminal: a line for each move, and the sums beneath."""

from __future__ import annotations

from headrace.pictures.moves import WORDS, Flow
from headrace.pictures.words import sum_sentences, visible


def text_lines(flow: Flow) -> list[str]:
    """Moves in order, by stage: who pays whom, how much, and where that stands."""
    lines: list[str] = []
    last = -1
    amounts = [_plain(flow.amount_text(move.amount, move.asset)) for move in flow.moves]
    width = max(map(len, amounts), default=0)
    for move, amount in zip(flow.moves, amounts, strict=True):
        if move.stage != last:
            lines.append(f"Stage {move.stage}")
            last = move.stage
        state = "" if flow.unknowns is not None else f"  ({WORDS[move.state]})"
        ends = " -> ".join(
            visible(flow.title(node)) + ("" if node.kind == "crossing" else f" ({visible(flow.caption(node))})")
            for node in (move.source, move.destination)
        )
        lines.append(f"  {amount.rjust(width)}  {ends}{state}")
    sums = [_plain(sentence) for sentence in sum_sentences(flow)]
    return [*lines, "", *sums] if sums else lines


def _plain(text: str) -> str:
    """Spaces that every terminal shows alike."""
    return text.replace("\u202f", ",").replace("\u00a0", " ").replace("\u2212", "-")
