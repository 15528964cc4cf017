"""How a command ends: exit codes, and what is said about an error. Nobody is shown a traceback unless they ask.

`--debug`, or HEADRACE_DEBUG=1, shows the traceback of a bug.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from headrace.cli import display
from headrace.cli.display import Output
from headrace.errors import AlreadyOwned, Damaged, HeadraceError, InvalidValue, Unusable

if TYPE_CHECKING:
    from headrace_client import ConnectionFailure, Error, SDKError

REFUSED = 1
USAGE = 2
UNREACHABLE = 3
UNFINISHED = 4
OWNED = 5
UNUSABLE = 6
BUG = 70
INTERRUPTED = 130

DESCRIPTION = """\b
Exit codes:
    0  done
    1  the server said no, a definition is not valid, or the instance ended with an error
    2  the command line is wrong, or a file cannot be read
    3  the server cannot be reached
    4  still running when the time was up
    5  another server has this journal
    6  the journal is damaged, of a newer release, or may not be opened
   70  a bug in this program
  130  interrupted"""

CREDENTIALS = (
    "Set HEADRACE_CLIENT_ID and HEADRACE_CLIENT_SECRET (headrace clients create), or HEADRACE_TOKEN, or use a profile. "
    "`headrace profiles show` tells which are in use."
)


class Failure(HeadraceError):
    """Ends the command with this exit code; `hint` says what to do about it, `kind` is for programs."""

    def __init__(self, message: str, *, code: int = REFUSED, hint: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.kind = kind or _kind(code)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said about an error, and the exit code it becomes."""

    code: int
    kind: str
    message: str
    hint: str = ""


@contextmanager
def reporting(output: Output = Output.TABLE, *, is_debugging: bool = False) -> Generator[None]:
    """Turns whatever is raised into a sentence on standard error and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):  # the latter at a prompt
        raise typer.Exit(INTERRUPTED) from None
    except typer.Exit:
        raise
    except Exception as error:
        if _is_closed_pipe(error) or _is_usage_error(error):
            raise
        verdict = judge(error)
        if verdict.code == BUG and (is_debugging or os.environ.get("HEADRACE_DEBUG")):
            traceback.print_exc()
        display.error(verdict.kind, verdict.message, verdict.hint, output)
        raise typer.Exit(verdict.code) from None


def judge(error: Exception) -> Verdict:
    if isinstance(error, Failure):
        return Verdict(error.code, error.kind, str(error), error.hint)
    if isinstance(error, InvalidValue):
        return Verdict(USAGE, "VALIDATION", str(error))
    if isinstance(error, AlreadyOwned):
        return Verdict(OWNED, "OWNED", str(error))
    if isinstance(error, Unusable | Damaged):
        return Verdict(UNUSABLE, "UNUSABLE", str(error))
    if isinstance(error, HeadraceError):
        return Verdict(REFUSED, "REFUSED", str(error))
    if isinstance(error, OSError):
        return Verdict(USAGE, "FILE", _about_file(error))
    return _judge_client(error) or Verdict(
        BUG,
        "BUG",
        f"this is a bug in headrace: {type(error).__name__}: {error}",
        "--debug shows where it happened; please report it.",
    )


def _judge_client(error: Exception) -> Verdict | None:
    if "headrace_client" not in sys.modules:
        return None
    from headrace_client import ClientError, ConnectionFailure, Error, InvalidRequest, SDKError

    if isinstance(error, Error):
        return Verdict(REFUSED, str(error.code), str(error.message), _about_answer(error))
    if isinstance(error, SDKError) and _is_about_credentials(error):
        return Verdict(REFUSED, "REFUSED", error.message, CREDENTIALS)
    if isinstance(error, SDKError):
        hint = f"Is there a Headrace server at this address? {_about_answer(error)}"
        return Verdict(REFUSED, "UNEXPECTED_ANSWER", str(error), hint.rstrip())
    if isinstance(error, ConnectionFailure):
        return Verdict(UNREACHABLE, "UNREACHABLE", error.message, _about_connection(error))
    if isinstance(error, InvalidRequest):
        return Verdict(USAGE, "USAGE", str(error))
    return Verdict(REFUSED, "REFUSED", str(error)) if isinstance(error, ClientError) else None


def _about_connection(error: ConnectionFailure) -> str:
    """Only a request that never left is harmless; any other write is repeated under its key."""
    if error.is_unsent:
        return "Start a server with `headrace dev`, or name one with --server or HEADRACE_SERVER."
    if error.idempotency_key is None:
        return "Try again, or name another server with --server or HEADRACE_SERVER."
    return _about_key(error.idempotency_key)


def _is_about_credentials(error: SDKError) -> bool:
    """No token, or one that is refused; or the token endpoint's own error (RFC 6749, 5.2)."""
    return error.status == 401 or (error.status == 400 and b'"error"' in error.body)


def _about_answer(error: Error | SDKError) -> str:
    """A refusal is certain; after any other answer to a write, from whatever stands between, it may have happened."""
    if error.status == 401:
        return CREDENTIALS
    if error.idempotency_key is None or 300 <= error.status < 500:
        return ""
    return _about_key(error.idempotency_key)


def _about_key(key: str) -> str:
    return f"It may have been carried out. Repeat it with --idempotency-key {key}: then it is carried out once."


def _kind(code: int) -> str:
    return {USAGE: "USAGE", UNREACHABLE: "UNREACHABLE", UNFINISHED: "UNFINISHED"}.get(code, "REFUSED")


def _about_file(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _is_closed_pipe(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def _is_usage_error(error: Exception) -> bool:
    """Typer's own errors: it prints these with the usage line."""
    return hasattr(error, "format_message") and hasattr(error, "show")
