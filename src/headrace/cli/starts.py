"""Waiting for the end of an instance that a command has started, and showing it."""

from __future__ import annotations

from typing import Any

from headrace.cli import display
from headrace.cli.errors import UNFINISHED, Failure
from headrace.cli.session import Session

Json = dict[str, Any]


def stages_of(session: Session, workflow_id: str) -> list[Json]:
    """Stages of the definition. None if it cannot be read; the response to the write then explains why."""
    from headrace.cli.documents import document
    from headrace_client import ClientError

    try:
        return document(session.v1.get_workflow(flow_id=workflow_id).data)["config"]["stages"]
    except ClientError:
        return []


def start(
    session: Session, text: str, given: list[str], *, wait: bool, timeout_s: float, idempotency_key: str | None
) -> None:
    """Start an instance of a workflow given by id or name, and show it. A name with versions is resolved by the server,
    in the commit of the start.
    """
    from headrace.cli.names import named_workflow, workflow_id_of
    from headrace.cli.variables import read_variables, remarks_on_variables

    variables = read_variables(given)
    named = named_workflow(session, text)
    workflow_id = workflow_id_of(session, text) if named is None else named.workflow_id
    stages = stages_of(session, workflow_id)
    for remark in remarks_on_variables(stages, variables) if stages else ():
        session.warn(remark)
    if named is None:
        instance = session.v1.run_workflow(
            workflow_id=workflow_id, request_body=variables, idempotency_key=idempotency_key
        ).data
    else:
        instance = session.ext.run_named_workflow(
            name=named.name, request_body=variables, idempotency_key=idempotency_key
        ).data
        if instance.workflow_id != workflow_id:  # the name has moved meanwhile
            stages = stages_of(session, instance.workflow_id)
    session.show_text(f"Workflow instance created with ID: {instance.id}")
    if wait:
        instance = awaited(session, instance, stages, timeout_s)
    show_started(session, instance, stages, has_waited=wait)


def awaited(session: Session, instance: Any, stages: list[Json], timeout_s: float) -> Any:
    """The instance when it has ended; its progress is shown meanwhile. Raises Failure after the time-out."""
    from headrace_client import WaitTimeout

    with display.progress(f"{instance.id} runs", is_shown=session.is_for_people) as update:

        def show(now: Any) -> None:
            number: int | None = now.current_stage
            if number is not None and number < len(stages):
                update(f"Stage {number + 1} of {len(stages)}: {_stage_text(stages[number])}")

        try:
            return session.v1.wait_for(instance, timeout_s=timeout_s, on_progress=show)
        except WaitTimeout as error:
            hint = f"The instance continues: headrace instances describe {instance.id}"
            raise Failure(str(error), code=UNFINISHED, hint=hint) from None
        except KeyboardInterrupt:
            display.note(f"The instance continues: headrace instances describe {instance.id}")
            raise


def _stage_text(stage: dict[str, Json]) -> str:
    """Keyword of a stage, and the value of its headline if it has one."""
    from headrace.workflows.conditions import parts_of
    from headrace.workflows.stages import STAGES

    keyword, body = parts_of(stage)
    value: object = body.get(STAGES[keyword].headline) if keyword in STAGES else None
    return f"{keyword} {value}" if value else keyword


def show_started(session: Session, instance: Any, stages: list[Json], *, has_waited: bool) -> None:
    """Show an instance that was started, and its end where it was awaited. Raises Failure where it has failed."""
    from headrace.cli.documents import document
    from headrace.cli.stages import failed, stage_lines, success_text

    found = document(instance)

    def lines() -> list[str]:
        table = stage_lines(found, {"config": {"stages": stages}})
        return table if found.get("error") else [*table, "", success_text(found)]

    session.show({"workflowInstance": found}, lines if has_waited else list, ids=[instance.id])
    if found.get("error"):
        raise failed(found)
