"""`headrace reindex`: what searches find."""

from __future__ import annotations

import asyncio

from headrace.cli import display
from headrace.cli.display import Output
from headrace.cli.errors import USAGE, Failure
from headrace.cli.journals import DatabaseOption, JournalFolderOption, journal_place
from headrace.cli.session import Printer


def reindex(printer: Printer, data: JournalFolderOption = None, database_url: DatabaseOption = None) -> None:
    """Make every instance findable by its values, accounts, payments, bookings and amounts.

    Needed once after the upgrade from 0.1: newer instances are findable as they start. It may be stopped and started
    again, and a search finds what is done already. Exit code 5: a server runs on the journal of a data folder; on a
    database, servers may run meanwhile.
    """
    from headrace.composition.resting import open_to_write, revision
    from headrace.usecases.reindexing import reindex as all_of

    place = journal_place(data, database_url)
    if revision(place) is None:
        raise Failure(f"there is no journal at {place.address}", code=USAGE)

    async def work() -> int:
        done = 0
        async with open_to_write(place) as journal:
            with display.progress("", is_shown=printer.output is Output.TABLE) as show:
                async for done in all_of(journal):
                    show(f"{done:,} instances")
        return done

    count = asyncio.run(work())
    printer.show({"reindex": {"journal": place.address, "instances": count}}, f"{count:,} instances are findable.")
