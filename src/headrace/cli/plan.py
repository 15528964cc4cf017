"""`headrace plan`: what a run would do, before anything is booked."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from headrace.cli.errors import REFUSED, USAGE, Failure
from headrace.cli.session import Printer

Json = dict[str, Any]


def plan(
    printer: Printer,
    definition: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A definition: YAML or JSON; - is standard input.")
    ],
    books: Annotated[
        str,
        typer.Option("--books", metavar="FILE", help="Ledgers, wallets and payments to plan over: YAML or JSON."),
    ],
    variable: Annotated[
        list[str] | None,
        typer.Option("--variable", "--var", metavar="NAME=VALUE", help="Repeatable; a comma separates several."),
    ] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Also write the plan to this file.")] = None,
) -> None:
    """Show what a run would do: who pays whom, balances before and after, what it waits for.

    Needs no server: the books are given. The exit code is 1 if the run would fail.
    """
    from headrace.cli.plan_text import plan_lines
    from headrace.cli.variables import read_variables, remarks_on_variables

    variables = read_variables(variable or [])
    config = _definition(definition)
    for remark in remarks_on_variables(config["stages"], variables):
        printer.warn(remark)
    made = asyncio.run(_planned(config, variables, books))
    if out is not None:
        Path(out).write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    printer.show({"plan": made}, lambda: plan_lines(made))
    if made["verdict"] != "succeeds":
        raise typer.Exit(REFUSED)


def _definition(file: str) -> Json:
    from headrace.cli.definitions import read_definition

    config = read_definition(file).config
    return {**({} if config.name is None else {"name": config.name}), "stages": config.stages}


async def _planned(definition: Json, variables: dict[str, str], books: str) -> Json:
    """Plan over a sandbox in memory that holds the given books."""
    from headrace.clock import RandomIds, SystemClock
    from headrace.planning.planner import Subject, Terms, plan
    from headrace.sandbox import Sandbox
    from headrace.sandbox.given import read_given
    from headrace.usecases.plans import answered, check_variables_of

    check_variables_of(definition["stages"], variables)
    given = read_given(_given_in(books), "books")
    clock = SystemClock()
    sandbox = Sandbox(None, clock=clock, ids=RandomIds())
    try:
        sandbox.fill(given)
        return await answered(plan(Subject(definition, variables), Terms(clock.now_at())), sandbox, clock)
    finally:
        await sandbox.close()


def _given_in(file: str) -> Any:
    """The books of a file: its member `given`, as in a test of workflows, or all of it."""
    from headrace import json_text
    from headrace.api import yaml

    body = Path(file).read_bytes()
    try:
        document: Any = json_text.decode(body) if file.endswith(".json") else yaml.decode(body).value
    except json_text.Malformed as malformed:
        raise Failure(f"{file}: {malformed.reason}", code=USAGE) from None
    if isinstance(document, dict):
        members = cast("Json", document)
        return members.get("given", members)
    return document
