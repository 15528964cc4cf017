"""Shell completion: ids and names from the current server, each with a description.

A request may take about a second. An error yields no completions and prints nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

LONGEST_S = 1.5
MOST_OFFERED = 100
EVENT_TYPES = {
    "COMMITTED_TRANSACTIONS": "ledger: transactions were booked",
    "SAVED_METADATA": "ledger: metadata was set",
    "DELETED_METADATA": "ledger: metadata was removed",
    "REVERTED_TRANSACTION": "ledger: a transaction was reverted",
    "SAVED_PAYMENT": "payments: a payment was seen or has changed",
    "SAVED_ACCOUNT": "payments: an account",
    "SAVED_BALANCE": "payments: a balance",
    "SAVED_BANK_ACCOUNT": "payments: a bank account",
    "SAVED_TRANSFER_INITIATION": "payments: a transfer initiation",
    "orchestration.succeeded_workflow": "a workflow's instance has succeeded",
    "orchestration.failed_workflow": "a workflow's instance has failed",
}


STATUSES = {
    "running": "an activity runs",
    "waiting": "waits for a delay to end, or for an event",
    "retrying": "an activity failed and will be retried",
    "attention": "a person must decide about an effect",
    "succeeded": "ended without an error",
    "failed": "ended with an error",
    "aborted": "ended by an abort",
    "unfinished": "any of the first four",
}


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


Offer = list[tuple[str, str]]
Found = TypeVar("Found")


def script(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="The shell to print it for.", show_default=False)],
) -> None:
    """Print the completion script of a shell.

    It completes commands, options, ids and names. `headrace --install-completion` installs it.
    """
    from typer.completion import get_completion_script  # pyright: ignore[reportPrivateImportUsage]

    typer.echo(get_completion_script(prog_name="headrace", complete_var="_HEADRACE_COMPLETE", shell=shell.value))


def rejoin_words(environ: MutableMapping[str, str]) -> None:
    """Rejoin what Bash splits at `:` and `=`: an address such as `http://host:80`, or `--name=value`."""
    if environ.get("_HEADRACE_COMPLETE") != "complete_bash":
        return
    words = environ.get("COMP_WORDS", "").split("\n")
    whole: list[str] = []
    places: list[int] = []
    for index, word in enumerate(words):
        if whole and (_is_break(word) or _is_break(words[index - 1])):
            whole[-1] += word
        else:
            whole.append(word)
        places.append(len(whole) - 1)
    typed = int(environ.get("COMP_CWORD", "0"))
    environ.update(COMP_WORDS="\n".join(whole), COMP_CWORD=str(places[min(typed, len(places) - 1)]))


def _is_break(word: str) -> bool:
    return bool(word) and not word.strip(":=")


def workflow_ids(context: typer.Context, incomplete: str) -> Offer:
    return _asked(
        context, incomplete, lambda v1: [(each.id, each.config.name or "") for each in v1.list_workflows().data]
    )


def trigger_ids(context: typer.Context, incomplete: str) -> Offer:
    return _asked(
        context,
        incomplete,
        lambda v1: [(each.id, f"{each.name or ''} {each.event}".strip()) for each in v1.list_triggers().data],
    )


def trigger_names(context: typer.Context, incomplete: str) -> Offer:
    return _asked(
        context, incomplete, lambda v1: [(each.name, each.event) for each in v1.list_triggers().data if each.name]
    )


def instance_ids(context: typer.Context, incomplete: str) -> Offer:
    return _asked(context, incomplete, lambda v1: _instances(v1.list_instances().data))


def running_instance_ids(context: typer.Context, incomplete: str) -> Offer:
    return _asked(context, incomplete, lambda v1: _instances(v1.list_instances(running=True).data))


def awaited_events(context: typer.Context, incomplete: str) -> Offer:
    """Events that the named instance's definition waits for."""
    instance_id = _named_before(context, "instance_id")
    return _asked(context, incomplete, lambda v1: _events(v1, instance_id)) if instance_id else []


def variable_names(context: typer.Context, incomplete: str) -> Offer:
    """`NAME=` for each variable of the named workflow."""
    workflow_id = _named_before(context, "workflow_id")
    return _asked(context, incomplete, lambda v1: _variables(v1, workflow_id)) if workflow_id else []


def statuses(incomplete: str) -> Offer:
    return [(name, about) for name, about in STATUSES.items() if name.startswith(incomplete)]


def event_types(incomplete: str) -> Offer:
    return [(name, about) for name, about in EVENT_TYPES.items() if name.lower().startswith(incomplete.lower())]


def _asked(context: typer.Context, incomplete: str, find: Callable[[Any], Offer]) -> Offer:
    try:
        # The session has the options typed so far: no command runs during completion.
        from headrace.cli.session import session_of

        typed: dict[str, Any] = {}
        place: Any = context
        while place is not None:
            typed = {name: value for name, value in place.params.items() if value} | typed
            place = place.parent
        session = session_of(
            context,
            typed.get("server"),
            typed.get("profile"),
            None,
            insecure_tls=bool(typed.get("insecure_tls")),
            note=lambda _: None,
        )
        v1 = session.v1  # creating the client does not count towards the server's time
    except Exception:  # noqa: BLE001 - completion prints no errors
        return []

    def ask() -> Offer:
        try:
            return find(v1)
        finally:
            session.close()

    found = _within(LONGEST_S, ask) or []
    return [(text, about) for text, about in found if text.startswith(incomplete)][:MOST_OFFERED]


def _named_before(context: typer.Context, parameter: str) -> str:
    """The parsed value of the parameter. After an option without its value, the first word that is not an option."""
    if context.params.get(parameter):
        return str(context.params[parameter])
    words = [] if context.parent is None else context.parent.args
    return next((word for word in words if not word.startswith("-")), "")


def _within(limit_s: float, work: Callable[[], Found]) -> Found | None:
    """Return None if `work` fails or exceeds the limit. Its daemon thread then ends with this short-lived process."""
    found: list[Found] = []

    def attempt() -> None:
        try:
            found.append(work())
        except Exception:  # noqa: BLE001 - completion prints no errors
            return

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(limit_s)
    return found[0] if found else None


def _instances(instances: list[Any]) -> Offer:
    return [(each.id, f"{_state(each)}, of workflow {each.workflow_id}") for each in instances[:MOST_OFFERED]]


def _state(instance: Any) -> str:
    if not instance.terminated:
        return "running"
    return "failed" if instance.error else "succeeded"


def _events(v1: Any, instance_id: str) -> Offer:
    from headrace.cli.documents import document
    from headrace.workflows.stages import STAGES

    instance = v1.get_instance(instance_id=instance_id).data
    stages = document(v1.get_workflow(flow_id=instance.workflow_id).data)["config"]["stages"]
    bodies = [(STAGES[keyword], body) for stage in stages for keyword, body in stage.items() if keyword in STAGES]
    awaited = [name for stage, body in bodies if (name := stage.awaited_event(body))]
    return [(name, "a stage waits for it") for name in dict.fromkeys(awaited)]


def _variables(v1: Any, workflow_id: str) -> Offer:
    from headrace.cli.documents import document
    from headrace.workflows.variables import names_in

    config = document(v1.get_workflow(flow_id=workflow_id).data)["config"]
    return [(f"{name}=", "") for name in sorted(set(names_in(config["stages"])))]
