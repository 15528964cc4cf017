"""A flow as a Mermaid flowchart, for Markdown. Labels escape all but letters, digits and `: . _ -`."""

from __future__ import annotations

from headrace.pictures.moves import Flow, NodeKind, State, grouped
from headrace.pictures.words import label, visible

SHAPES: dict[NodeKind, str] = {
    "account": '["{}"]',
    "wallet": '[["{}"]]',
    "pay-in": '(["{}"])',
    "payout": '(["{}"])',
    "crossing": '{{{{"{}"}}}}',
    "outside": '(["{}"])',
}
ARROWS: dict[State, str] = {
    "booked": "-->",
    "moving": "==>",
    "retrying": "-.->",
    "unknown": "-.->",
    "refused": "--x",
    "planned": "-.->",
    "unmade": "-.-x",
    "undone": "<-->",
}
_PLAIN = frozenset(" :._-")


def mermaid(flow: Flow) -> str:
    """The flow as text that GitHub and GitLab draw."""
    shown = grouped(flow)
    ids = {node: f"n{number}" for number, node in enumerate(shown.nodes)}
    lines = ["flowchart LR"]
    for node, name in ids.items():
        text = f"{_escaped(shown.title(node))}<br/>{_escaped(shown.caption(node))}"
        lines.append(f"  {name}{SHAPES[node.kind].format(text)}")
    for edge in shown.edges:
        ends = ids[edge.source], ids[edge.destination]
        lines.append(f'  {ends[0]} {ARROWS[edge.state]}|"{_escaped(label(shown, edge))}"| {ends[1]}')
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return "".join(
        each if each in _PLAIN or (each.isascii() and each.isalnum()) else f"#{ord(each)};" for each in visible(text)
    )
