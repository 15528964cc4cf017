"""The stage types by keyword. A new one is a module here and a line in `STAGES`."""

from __future__ import annotations

from headrace.workflows.stages.approve import ApproveStage
from headrace.workflows.stages.delay import DelayStage
from headrace.workflows.stages.revert import RevertStage
from headrace.workflows.stages.send import SendStage
from headrace.workflows.stages.stage import StageType
from headrace.workflows.stages.update import UpdateStage
from headrace.workflows.stages.wait_event import WaitEventStage

STAGES: dict[str, StageType] = {
    stage.keyword: stage for stage in (SendStage(), DelayStage(), WaitEventStage(), UpdateStage(), ApproveStage())
}
"""Stage types by keyword, as a definition may use them."""

COMPUTED: dict[str, StageType] = {stage.keyword: stage for stage in (RevertStage(),)}
"""Stage types of computed workflows: a definition that holds one is refused."""

RUN: dict[str, StageType] = {**STAGES, **COMPUTED}
"""All stage types that an instance may run."""
