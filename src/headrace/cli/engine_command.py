"""`headrace engine`: the engine that drives the instances of a journal."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from headrace.cli import display
from headrace.cli.errors import USAGE, Failure
from headrace.cli.journals import DatabaseOption, JournalFolderOption, journal_place
from headrace.cli.registration import command, new_group
from headrace.cli.session import Printer

group = new_group(
    "Show or switch the engine that drives the instances of a journal.\n\n"
    "One engine drives a journal: a server with another one refuses to start."
)


@command(group, "status", "st")
def status(printer: Printer, data: JournalFolderOption = None, database_url: DatabaseOption = None) -> None:
    """Show the engine of a journal, and its owner.

    Also shows what the instances wait for. Servers may be running.
    """
    from headrace.clock import date_time
    from headrace.composition.resting import open_beside, owner
    from headrace.journal.transfer import about_closed

    place = journal_place(data, database_url)
    with closing(open_beside(place)) as journal:
        state, outlook = journal.state(), journal.outlook(0)
    held_by = owner(place)
    values = {
        "journal": journal.address,
        "identity": state.identity,
        "schema": state.revision,
        "engine": state.engine or None,
        "generation": state.generation,
        "owner": held_by,
        "closed": state.closed,
        "closedAt": None if state.closed_at is None else date_time(state.closed_at),
        "running": outlook.running,
        "unsettled": outlook.unsettled,
        "needingAttention": outlook.attention,
        "delayed": outlook.delayed,
        "waiting": outlook.waiting_count,
        "nudged": outlook.nudged,
    }
    facts = [
        ("Journal", journal.address),
        ("Identity", state.identity),
        ("Schema", state.revision),
        ("Engine", state.engine or "chosen by the first server that starts"),
        ("Owner", held_by or "none"),
        ("Generation", str(state.generation)),
        ("Running", f"{outlook.running:,} instances"),
        ("Unsettled", f"{outlook.unsettled:,} with an effect whose outcome is not known yet"),
        ("Attention", f"{outlook.attention:,} need a person's decision"),
        ("In a delay", f"{outlook.delayed:,}"),
        ("Waiting", f"{outlook.waiting_count:,} for an event"),
        ("Nudges", f"{outlook.nudged:,} instances for which a worker was asked"),
    ]
    if state.closed is not None:
        facts.append(("Closed", about_closed(state.closed, state.closed_at)))
    printer.show({"engine": values}, lambda: display.fact_lines(facts))


@command(group, "switch", "sw")
def switch(
    printer: Printer,
    engine: Annotated[str, typer.Argument(metavar="embedded|temporal", help="The engine from now on.")],
    data: JournalFolderOption = None,
    database_url: DatabaseOption = None,
) -> None:
    """Let another engine drive the instances. Stop every server and worker first.

    Each instance continues where it is. Exit code 5: a server still runs on the journal.
    """
    from headrace.clock import RandomIds, SystemClock
    from headrace.composition.resting import open_resting, operator
    from headrace.journal.transfer import EMBEDDED, TEMPORAL, switch_engine

    if engine not in (EMBEDDED, TEMPORAL):
        raise Failure(f"{engine!r} is no engine: it must be embedded or temporal", code=USAGE)
    place = journal_place(data, database_url)
    if engine == TEMPORAL and place.database_url is None:
        raise Failure(
            "the engine temporal needs a journal in PostgreSQL",
            code=USAGE,
            hint="Move this one: `headrace export`, then `headrace import` with --database-url.",
        )
    with closing(open_resting(place)) as journal:
        before = switch_engine(journal, engine, operator(RandomIds()), SystemClock())
    text = (
        f"{journal.address} is driven by {engine} already."
        if before == engine
        else f"{journal.address} is driven by {engine} from now on."
    )
    printer.show({"engine": {"journal": journal.address, "before": before or None, "engine": engine}}, text)


@command(group, "resume", "re")
def resume(printer: Printer, data: JournalFolderOption = None, database_url: DatabaseOption = None) -> None:
    """Start every open instance on Temporal again.

    For the time after Temporal has lost its data. Servers and workers may be running; an instance that Temporal still
    has is not disturbed.
    """
    from headrace.clock import RandomIds, SystemClock
    from headrace.composition.resting import open_beside, operator
    from headrace.journal.transfer import resume_instances

    with closing(open_beside(journal_place(data, database_url))) as journal:
        count = resume_instances(journal, operator(RandomIds()), SystemClock())
    printer.show(
        {"engine": {"journal": journal.address, "resumed": count}},
        f"{count:,} open instances of {journal.address} start again.",
    )
