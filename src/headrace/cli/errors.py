"""Exit codes and error messages of commands. A traceback is shown only on request.

`--debug`, or HEADRACE_DEBUG=1, shows the traceback of a bug.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from headrace.cli import display
from headrace.cli.display import Output
from headrace.errors import AlreadyOwned, Damaged, HeadraceError, InvalidValue, TakenOver, Unusable

if TYPE_CHECKING:
    from headrace_client import ConnectionFailure, Error, SDKError

REFUSED = 1
USAGE = 2
UNREACHABLE = 3
UNFINISHED = 4
OWNED = 5
UNUSABLE = 6
BUG = 70
TAKEN_OVER = 75
INTERRUPTED = 130

DESCRIPTION = """\b
Exit codes:
    0  done
    1  the server refused, a definition is invalid, or the instance ended with an error
    2  the command line is wrong, or a file cannot be read
    3  the server cannot be reached
    4  still running after the time-out
    5  another server owns this journal
    6  the journal is damaged, of a newer release, or may not be opened
   70  a bug in this program
   75  another server has taken over the journal: start this one again, as a standby
  130  interrupted"""

CREDENTIALS = (
    "Set HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET (headrace clients create), or HEADRACE_TOKEN, or use a profile. "
    "`headrace profiles show` shows which are in use."
)


class Failure(HeadraceError):
    """End the command with this exit code. `hint` suggests a remedy, `kind` is for programs."""

    def __init__(self, message: str, *, code: int = REFUSED, hint: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.kind = kind or {USAGE: "USAGE", UNREACHABLE: "UNREACHABLE", UNFINISHED: "UNFINISHED"}.get(code, "REFUSED")


@dataclass(frozen=True, slots=True)
class Report:
    """Exit code, kind, message and hint of an error."""

    code: int
    kind: str
    message: str
    hint: str = ""


@contextmanager
def reporting(output: Output = Output.TABLE, *, is_debugging: bool = False) -> Generator[None]:
    """Turn an exception into a message on standard error and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):  # the latter at a prompt
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:
        is_closed_pipe = isinstance(error, OSError) and error.errno == errno.EPIPE
        is_usage_error = hasattr(error, "format_message") and hasattr(error, "show")  # typer prints them itself
        if is_closed_pipe or is_usage_error:
            raise
        report = report_of(error)
        if report.code == BUG and (is_debugging or os.environ.get("HEADRACE_DEBUG")):
            traceback.print_exc()
        display.error(report.kind, report.message, report.hint, output)
        raise typer.Exit(report.code) from None


def report_of(error: Exception) -> Report:
    """Choose message, hint and exit code of an error. An unknown one is a bug of this program."""
    if isinstance(error, Failure):
        return Report(error.code, error.kind, str(error), error.hint)
    if isinstance(error, InvalidValue):
        return Report(USAGE, "VALIDATION", str(error))
    if isinstance(error, AlreadyOwned):
        return Report(OWNED, "OWNED", str(error))
    if isinstance(error, TakenOver):
        return Report(TAKEN_OVER, "TAKEN_OVER", str(error), "Start it again: it becomes a standby.")
    if isinstance(error, Unusable | Damaged):
        return Report(UNUSABLE, "UNUSABLE", str(error))
    if isinstance(error, HeadraceError):
        return Report(REFUSED, "REFUSED", str(error))
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        return Report(USAGE, "FILE", text)
    return _client_report(error) or Report(
        BUG,
        "BUG",
        f"this is a bug in headrace: {type(error).__name__}: {error}",
        "Run with --debug for the traceback, and please report it.",
    )


def refused_scope(error: Exception) -> str | None:
    """The right that a token endpoint refuses a client (RFC 6749, 5.2): its scope; None for any other error."""
    body: bytes = getattr(error, "body", b"")
    if getattr(error, "status", None) != 400 or b'"invalid_scope"' not in body:
        return None
    named = re.search(rb"\b[a-z]+:(?:read|write|approve)\b", body)
    return f"the scope {named[0].decode()}" if named else "a scope that it does not have"


def _client_report(error: Exception) -> Report | None:
    if "headrace_client" not in sys.modules:
        return None
    from headrace_client import ClientError, ConnectionFailure, Error, InvalidRequest, SDKError

    if isinstance(error, Error):
        return Report(REFUSED, str(error.code), str(error.message), _about_response(error))
    if isinstance(error, SDKError):
        # A missing or refused token, or an error of the token endpoint (RFC 6749, 5.2).
        if error.status == 401 or (error.status == 400 and b'"error"' in error.body):
            return Report(REFUSED, "REFUSED", error.message, CREDENTIALS)
        hint = f"Is there a Headrace server at this address? {_about_response(error)}"
        return Report(REFUSED, "UNEXPECTED_ANSWER", str(error), hint.rstrip())
    if isinstance(error, ConnectionFailure):
        return Report(UNREACHABLE, "UNREACHABLE", error.message, _about_connection(error))
    if isinstance(error, InvalidRequest):
        return Report(USAGE, "USAGE", str(error))
    return Report(REFUSED, "REFUSED", str(error)) if isinstance(error, ClientError) else None


def _about_connection(error: ConnectionFailure) -> str:
    """Suggest a remedy. A read, or a request that never left, may be repeated; another write needs its key."""
    if error.is_unsent:
        return "Start a server with `headrace dev`, or name one with --server or HEADRACE_SERVER."
    if error.idempotency_key is None:
        return "Try again, or name another server with --server or HEADRACE_SERVER."
    return _about_key(error.idempotency_key)


def _about_response(error: Error | SDKError) -> str:
    """A refusal is certain. After any other response, such as a proxy's, a write may have been carried out."""
    if error.status == 401:
        return CREDENTIALS
    if error.status == 404 and error.message.startswith("plan '"):
        return "`headrace plans --state open` lists them."
    if error.idempotency_key is None or 300 <= error.status < 500:
        return ""
    return _about_key(error.idempotency_key)


def _about_key(key: str) -> str:
    return f"It may have been carried out. Repeat it with --idempotency-key {key}, so that it takes effect once."
