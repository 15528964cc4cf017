"""The page of errors: what the API refuses with, how commands end, what the client raises, and how stages end."""

from __future__ import annotations

import inspect
from typing import Any

import headrace_client
from docs.generator.markdown import code, page, sentence, table
from headrace import json_text
from headrace.api import errors as api_errors
from headrace.api import openapi
from headrace.cli import errors as cli_errors
from headrace.effects import services
from headrace.money import MAX_DIGITS

INTRODUCTION = "What goes wrong, and by what it is known."
API = """Every refusal is [Error](models.md#error): a code, a message that names the field and the reason, and for a
definition each problem with its place. There are three codes, for the official SDKs know no others; the status tells
more. A workflow with a slip of the pen gets"""
BODIES = f"""A body is UTF-8 without `Content-Encoding`: JSON of at most `HEADRACE_MAX_BODY_BYTES`, or YAML, where a definition
is taken, of at most `HEADRACE_MAX_YAML_BYTES`. It is nested at most {json_text.MAX_DEPTH} deep, no object has a key twice, and an
integer has at most {MAX_DIGITS:,} digits. YAML has the values of JSON and no others: no anchors, aliases or tags; a date is text."""
STAGES = """An instance that fails has `error`, and so has the stage it failed in ([getInstance](orchestration-v1.md#getinstance)).
A run that fails is no failed request: `runWorkflow` answers 201 all the same.

| `error` begins with | Means |
| --- | --- |
| `canceled` | it was aborted |
| the name of an activity, such as `CreateTransaction: INSUFFICIENT_FUND` | a service refused it, for good |
| a path, such as `source.account.ledger:` | a value of the definition or of a variable is not what it must be; nothing was sent for this stage |
| anything else | the stage cannot go on, and the text says why |

`already booked:` at its end names what the stage had done before: it stays done.

An activity that is tried again has `lastFailure`, `attempt` and `nextExecution` instead, and no `error`. One with
`lastFailure` and no `nextExecution` needs a person: [needs attention](../how-to/attention.md)."""
SERVICES = """A service's answer ends a stage only if it is 4xx, but not 401, 403, 408 or 429, and names one of these
codes; of wallets also 404 to the question for a wallet. Everything else may have happened, and is [tried
again](../explanation/never-twice.md#five-steps)."""
CODES = {
    cli_errors.REFUSED: "the server refused, a definition is invalid, or the instance ended with an error",
    cli_errors.USAGE: "the command line is wrong, or a file cannot be read",
    cli_errors.UNREACHABLE: "the server cannot be reached",
    cli_errors.UNFINISHED: "still running after the time-out",
    cli_errors.OWNED: "another server owns the journal",
    cli_errors.UNUSABLE: "the journal needs a person: it is damaged, newer than this release, or not accessible",
    cli_errors.BUG: "a bug in this program; `HEADRACE_DEBUG=1` shows where",
    cli_errors.TAKEN_OVER: "another server has taken over the journal; start it again, as a standby",
    cli_errors.INTERRUPTED: "interrupted",
}


def errors_page(refusal: str) -> str:
    return page(
        "Errors",
        INTRODUCTION,
        "## Of the API",
        API,
        refusal,
        table(("Status", "`errorCode`", "When"), _statuses()),
        BODIES,
        "## Of instances",
        STAGES,
        "## Of services",
        SERVICES,
        table(("Service", "`errorCode` of a final refusal"), _refusals()),
        "## Of commands",
        "Exit codes of `headrace`. With `-o json` the error is an object on standard error.",
        table(("Code", "Means"), [("0", "done"), *((str(code_), text) for code_, text in CODES.items())]),
        "## Of headrace-client",
        "All are `ClientError`. The official SDKs have classes of their own.",
        table(("Class", "Means"), _client_errors()),
    )


def _statuses() -> list[tuple[str, str, str]]:
    """Of each status once, in the words of the API's description, else of the class that leads to it."""
    rows: dict[int, tuple[str, str, str]] = {}
    for kind, status, error_code in api_errors._STATUSES:  # pyright: ignore[reportPrivateUsage]
        about = openapi._REASONS.get(status) or _words(kind.__name__)  # pyright: ignore[reportPrivateUsage]
        rows.setdefault(status, (str(status), code(error_code), sentence(about)))
    rows[500] = ("500", "`INTERNAL`", "A bug here. The message holds an incident id; the log tells more under it.")
    return [rows[status] for status in sorted(rows)]


def _refusals() -> list[tuple[str, str]]:
    return [(service, ", ".join(map(code, sorted(codes)))) for service, codes in services.REFUSALS.items()]


def _words(name: str) -> str:
    import re

    return " ".join(re.findall("[A-Z][a-z]+", name)).capitalize()


def _client_errors() -> list[tuple[str, str]]:
    found: list[Any] = [
        value
        for name in headrace_client.__all__
        if isinstance(value := getattr(headrace_client, name), type) and issubclass(value, headrace_client.ClientError)
    ]
    return [(code(kind.__name__), sentence(_first_line(kind))) for kind in found]


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0]
