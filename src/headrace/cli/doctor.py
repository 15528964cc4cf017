"""`headrace doctor`: check the environment of a server with these settings, whether or not it runs."""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections import Counter
from dataclasses import asdict

import typer

from headrace.cli import display
from headrace.cli.display import Output
from headrace.cli.errors import REFUSED
from headrace.cli.servers import AuthOption, DataOption
from headrace.cli.session import Printer
from headrace.errors import InvalidValue

_CHECK, _STATUS, _LEAST_TEXT = 16, 9, 40


def doctor(printer: Printer, data: DataOption = None, auth: AuthOption = None) -> None:
    """Check the services, the journal, Temporal, the broker, the clock and the settings.

    Reads the same settings as `serve`, sends each service one harmless read with the same credentials, and
    changes nothing. Exit code 1 where a check failed; warnings alone give 0.
    """
    from headrace.clock import SystemClock
    from headrace.composition.doctor import Finding, check_settings, examine
    from headrace.settings import Settings

    try:
        settings = Settings.from_env(os.environ, **({} if auth is None else {"auth": auth.lower()}))
    except InvalidValue as error:
        unread = Finding("settings", "failed", str(error), "Nothing else is checked until the settings can be read.")
        findings = [unread, *(each for each in check_settings(os.environ) if each.status != "ok")]
    else:
        folder = (data or settings.data).expanduser().absolute()
        findings = asyncio.run(examine(settings, os.environ, folder, SystemClock()))

    counts = Counter(finding.status for finding in findings)
    if printer.output is Output.TABLE:
        # A line per finding with its hint below, wrapped to the terminal. A pipe gets whole lines.
        width = display.terminal_width()
        shown: list[str] = []
        for finding in findings:
            status = "FAILED" if finding.status == "failed" else finding.status
            head = f"{status:{_STATUS}}{finding.check:{_CHECK}}"
            texts = [finding.text, *([finding.hint] if finding.hint else [])]
            wrapped = [part for text in texts for part in (_wrapped(text, width) if width else [text])]
            shown += [(head if not number else " " * len(head)) + part for number, part in enumerate(wrapped)]
        display.lines(shown)
        display.line()
        display.line(f"{counts['failed']} failed, {counts['warning']} warnings, {counts['ok']} ok")
    else:
        rows = [asdict(finding) for finding in findings]
        display.store({"checks": rows, "failed": counts["failed"], "warnings": counts["warning"]}, printer.output)
    if counts["failed"]:
        raise typer.Exit(REFUSED)


def _wrapped(text: str, width: int) -> list[str]:
    space = max(width - _STATUS - _CHECK, _LEAST_TEXT)
    return textwrap.wrap(text, space, break_long_words=False, break_on_hyphens=False)
