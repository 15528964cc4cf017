"""A flow as the API shows it, read back: what a client of a server draws."""

from __future__ import annotations

from headrace.pictures.moves import Flow, Move, Node
from headrace.workflows.activities import Json


def read_flow(document: Json) -> Flow:
    """The flow of a document, as `GET .../flow` returns it. Raises LookupError where a member is missing."""
    names: dict[Node, str] = {}

    def node(shown: Json) -> Node:
        found = Node(shown["kind"], shown["name"], shown.get("place", ""))
        if "title" in shown:
            names[found] = shown["title"]
        return found

    moves = tuple(
        Move(
            node(each["source"]),
            node(each["destination"]),
            *(each[name] for name in ("amount", "asset", "state", "stage", "ordinal")),
            note=each.get("note", ""),
        )
        for each in document["moves"]
    )
    return Flow(moves, names)
