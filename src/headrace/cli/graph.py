"""Pictures of money on the command line: of an instance, and of a definition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_never

import typer

from headrace.cli import display
from headrace.cli.session import Printer, Session

if TYPE_CHECKING:
    from headrace.pictures.moves import Flow

Json = dict[str, Any]
Format = Literal["text", "svg", "mermaid"]
FORMATS: tuple[Format, ...] = ("text", "svg", "mermaid")


def graph(
    printer: Printer,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="YAML or JSON; - is standard input.")],
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", "--var", metavar="NAME=VALUE", help="Repeatable; a comma separates several."),
    ] = None,
    drawn_as: Annotated[
        Format, typer.Option("--as", metavar="|".join(FORMATS), help="svg and mermaid are for files and Markdown.")
    ] = "text",
) -> None:
    """Draw who pays whom in a definition, without a server.

    A variable without a value is drawn by its name, and a wallet as on a ledger of its own. Each send is drawn,
    whatever its `when`; other stages move no money. For a run: headrace instances describe --graph.
    """
    from headrace.cli.definitions import read_definition
    from headrace.cli.plan import planned_over
    from headrace.cli.variables import read_variables, remarks_on_variables
    from headrace.pictures.effects import flow_of, foreseen_end, known_in, planned_effects
    from headrace.pictures.outlines import outline_of, spelled

    definition = read_definition(file).config.definition
    variables = read_variables(variable or [])
    for remark in remarks_on_variables(definition["stages"], variables):
        printer.warn(remark)
    outline = outline_of(definition, variables)
    plan = asyncio.run(planned_over(outline.definition, {}, outline.books))
    flow = spelled(flow_of(planned_effects(plan), known_in(plan)), outline.names)
    if end := foreseen_end(plan):
        printer.warn(end)
    lines = drawing(flow, drawn_as)
    printer.show({"drawing": "\n".join(lines) + "\n"}, lambda: wrapped(lines, drawn_as))


def show_graph(session: Session, instance_id: str, drawn_as: Format) -> None:
    """Print the flow of funds of an instance's case."""
    from headrace.cli.documents import document
    from headrace.pictures.documents import read_flow

    found: Json = document(session.ext.read_flow(instance_id=instance_id).data)
    flow = read_flow(found)
    if "unplanned" in found:
        session.warn(found["unplanned"])
    session.show({"flow": found}, lambda: wrapped(drawing(flow, drawn_as), drawn_as), ids=[instance_id])


def drawing(flow: Flow, drawn_as: Format) -> list[str]:
    """The lines of a flow in this form."""
    from headrace.pictures.mermaid import mermaid
    from headrace.pictures.svg import svg
    from headrace.pictures.text import text_lines

    match drawn_as:
        case "svg":
            return svg(flow).splitlines()
        case "mermaid":
            return mermaid(flow).splitlines()
        case "text":
            return text_lines(flow) or ["No money moves."]
        case _:
            assert_never(drawn_as)


def wrapped(lines: list[str], drawn_as: Format) -> list[str]:
    """The lines for a terminal: those of a text are wrapped, others must stay as they are."""
    if drawn_as != "text":
        return lines
    return [line for text in lines for line in (display.hanging(text, "      ") if text else [""])]
