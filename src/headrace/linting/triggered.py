"""Rules about a workflow and a trigger that starts it."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.expr import nodes
from headrace.expr.spans import children
from headrace.linting.evaluation import may_hold
from headrace.linting.partial import FRESH_ID, Record, Value, expanded, may_be_text
from headrace.linting.published import published_events
from headrace.linting.rule import Level, Remark, rule
from headrace.linting.workflow import Trigger, Workflow, is_literal
from headrace.money import WORLD
from headrace.workflows.conditions import WHEN, condition_of
from headrace.workflows.variables import PLACEHOLDER, names_in, shown

STATUSES = (
    *("PENDING", "SUCCEEDED", "CANCELLED", "FAILED", "EXPIRED", "REFUNDED", "REFUNDED_FAILURE", "REFUND_REVERSED"),
    *("DISPUTE", "DISPUTE_WON", "DISPUTE_LOST", "AMOUNT_ADJUSTMENT", "AUTHORISATION", "CAPTURE", "CAPTURE_FAILED"),
    *("OTHER", "UNKNOWN"),
)
"""Statuses of a payment."""
TYPES = ("PAY-IN", "PAYOUT", "TRANSFER", "OTHER")
"""Types of a payment."""

_FLOATS = ("/", "**", "^")
_FLOAT_FUNCTIONS = ("float", "mean", "median")


@rule("unbound-variable", Level.ERROR, needs_trigger=True)
def unbound_variable(workflow: Workflow) -> Iterator[Remark]:
    """The workflow uses a variable that the trigger does not set: every event then gives an occurrence with an error.

    Add the variable to the trigger's `vars`.
    """
    for trigger in workflow.triggers:
        missing = [name for name in sorted(names_in(workflow.stages)) if _variable_of(name, trigger) is None]
        for name in missing:
            path = "vars" if trigger.variables else ""
            yield Remark(path, f"the trigger does not set `{name}`, which the workflow uses", trigger)


@rule("unused-variable", Level.NOTE, needs_trigger=True)
def unused_variable(workflow: Workflow) -> Iterator[Remark]:
    """The trigger sets a variable that the workflow does not use.

    Remove it from `vars`, or correct its name: the workflow may use the variable under another spelling.
    """
    for trigger in workflow.triggers:
        conditions = [condition_of(workflow.stages[index][WHEN]) for index in workflow.conditional]
        if any(each.may_name_any for each in conditions):
            continue
        names = names_in(workflow.stages).union(*(each.others for each in conditions))
        used = {_variable_of(name, trigger) for name in names}
        for name in trigger.variables:
            if name not in used:
                yield Remark(f"vars.{shown(name)}", f"the workflow does not use `{name}`", trigger)


@rule("world-from-variable", Level.ERROR, needs_trigger=True)
def world_from_variable(workflow: Workflow) -> Iterator[Remark]:
    """Event data can choose `world`, which is never empty, as an account that pays.

    Put a fixed part before the variable, as in `users:${user}`. A run whose event chooses `world` fails in any case.
    """
    for send in workflow.sends:
        for party, member in send.payers:
            text = party.members.get(member, WORLD)
            if is_literal(text):
                continue
            if any(may_be_text(expanded(text, trigger.bindings), WORLD) for trigger in workflow.triggers):
                yield Remark(party.path_of(member), f"`{text}` pays, and an event can make it `{WORLD}`")


@rule("amount-may-be-float", Level.ERROR, needs_trigger=True)
def amount_may_be_float(workflow: Workflow) -> Iterator[Remark]:
    """The trigger's expression for an amount divides or uses fractions: its result is a float of 64 bits.

    Pass whole amounts on, such as `event.amount`, and compute shares where the event is made. A float loses digits
    beyond 2^53, and an amount with a fraction ends the run.
    """
    amounts = {name for send in workflow.sends for name in PLACEHOLDER.findall(str(send.amount))}
    for trigger in workflow.triggers:
        for name, node in trigger.expressions.items():
            if name in amounts and (cause := _float_in(node)):
                yield Remark(f"vars.{shown(name)}", f"`{name}` is an amount, and its expression uses {cause}", trigger)


@rule("trigger-any-status", Level.ERROR, needs_trigger=True)
def trigger_any_status(workflow: Workflow) -> Iterator[Remark]:
    """A trigger on `SAVED_PAYMENT` does not look at the payment's type, or not at its status.

    Add both to the filter: `event.type == "PAY-IN" and event.status == "SUCCEEDED"`. A payment is saved while it is
    pending, when it fails and when it is refunded, and payouts are payments, too.
    """
    for trigger in _on_payments(workflow):
        anything = [name for name, known in _MEMBERS if len(_admitted(trigger, name, known)) > len(known)]
        if anything:
            yield Remark(
                _condition(trigger), f"the trigger fires for payments of any {' and any '.join(anything)}", trigger
            )


@rule("trigger-many-per-payment", Level.WARNING, needs_trigger=True)
def trigger_many_per_payment(workflow: Workflow) -> Iterator[Remark]:
    """A trigger on `SAVED_PAYMENT` fires for several statuses of one payment. Each save is a new event, and a new run.

    Name the one status that the workflow is for: `event.status == "SUCCEEDED"`.
    """
    for trigger in _on_payments(workflow):
        found = _admitted(trigger, "status", STATUSES)
        if 1 < len(found) <= len(STATUSES):
            some = ", ".join(f"`{status}`" for status in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            yield Remark(_condition(trigger), f"a payment fires the trigger again in {some}{more}", trigger)


@rule("trigger-loop", Level.ERROR, needs_trigger=True)
def trigger_loop(workflow: Workflow) -> Iterator[Remark]:
    """The workflow's own writes publish events that its trigger does not exclude: a run can start the next one.

    Exclude them in the filter: by an account, by `event.type == "PAY-IN"`, or, for transactions, by
    `not hasPrefix(event.transactions[0].reference, "headrace:")`.
    """
    for trigger in workflow.triggers:
        for event in published_events(workflow, trigger.bindings):
            if trigger.is_on(event.app, event.type) and may_hold(trigger.condition, event.payload):
                cause = "each run" if event.stage is None else f"stage {event.stage}"
                message = f"{cause} publishes `{event.type}`, and the trigger can fire for it"
                yield Remark(_condition(trigger), message, trigger)
                break


_MEMBERS = (("type", TYPES), ("status", STATUSES))


def _on_payments(workflow: Workflow) -> Iterator[Trigger]:
    return (trigger for trigger in workflow.triggers if trigger.is_on("payments", "SAVED_PAYMENT"))


def _admitted(trigger: Trigger, member: str, known: tuple[str, ...]) -> list[Value]:
    """The values of a payment's member for which the filter may hold; a value that is not `known` among them."""
    return [value for value in (*known, FRESH_ID) if may_hold(trigger.condition, Record({member: value}, is_open=True))]


def _condition(trigger: Trigger) -> str:
    """Path of the filter, or of the event's type where there is no filter."""
    return "event" if trigger.filter is None else "filter"


def _variable_of(name: str, trigger: Trigger) -> str | None:
    """The trigger's variable that a placeholder reads: of that name, or with an object that has the member."""
    end = len(name)
    while end > 0:
        if name[:end] in trigger.variables:
            return name[:end]
        end = name.rfind(".", 0, end)
    return None


def _float_in(expression: nodes.Node) -> str:
    """The operator, number or function that makes an expression a float, if any. Conditions are left out."""
    pending = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, nodes.Binary) and node.operator in _FLOATS:
            return f"`{node.operator}`"
        if isinstance(node, nodes.Literal) and isinstance(node.value, float):
            return f"`{node.value}`"
        if isinstance(node, nodes.Builtin) and node.name in _FLOAT_FUNCTIONS:
            return f"`{node.name}`"
        if isinstance(node, nodes.Conditional):
            pending += [node.then or node.condition, node.otherwise]
        elif not isinstance(node, nodes.Predicate | nodes.Member):
            pending += children(node)
    return ""
