"""The table of screens: a path below `/console`, and the view that answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from headrace.console.actions import perform_action, show_action
from headrace.console.approvals import decide_plan, show_approvals, show_plan
from headrace.console.audit import download_audit, show_audit
from headrace.console.batch_forms import perform_new_batch, show_new_batch
from headrace.console.batches import perform_batch_action, show_batch, show_batch_action, show_batches
from headrace.console.dead_letters import perform_replay, show_answer, show_dead_letters, show_replay
from headrace.console.decisions import show_decisions
from headrace.console.home import show_home
from headrace.console.pages import Page, Place
from headrace.console.plan_forms import perform_run_plan, perform_workflow_plan, show_run_plan, show_workflow_plan
from headrace.console.plans import perform_plan_run, show_plan_run, show_plans
from headrace.console.run import download_postings, show_run
from headrace.console.runs import show_runs
from headrace.console.system import show_system
from headrace.console.triggers import perform_trial, show_trial, show_trigger, show_triggers
from headrace.console.workflows import show_workflow, show_workflows

View = Callable[[Place], Awaitable[Page | Response]]


@dataclass(frozen=True, slots=True)
class Screen:
    """`post`: what the form of the screen is sent to; None: it has none."""

    path: str
    view: View
    post: View | None = None


SCREENS = (
    Screen("/", show_home),
    Screen("/runs", show_runs),
    Screen("/runs/{id}", show_run),
    Screen("/runs/{id}/postings.csv", download_postings),
    Screen("/runs/{id}/plan", show_run_plan, perform_run_plan),
    Screen("/runs/{id}/{action}", show_action, perform_action),
    Screen("/decisions", show_decisions),
    Screen("/approvals", show_approvals),
    Screen("/approvals/{id}", show_plan, decide_plan),
    Screen("/plans", show_plans),
    Screen("/plans/{id}", show_plan),
    Screen("/plans/{id}/run", show_plan_run, perform_plan_run),
    Screen("/workflows/{id}/plan", show_workflow_plan, perform_workflow_plan),
    Screen("/workflows", show_workflows),
    Screen("/workflows/{id}", show_workflow),
    Screen("/triggers", show_triggers),
    Screen("/triggers/{id}", show_trigger),
    Screen("/triggers/{id}/test", show_trial, perform_trial),
    Screen("/batches", show_batches),
    Screen("/batches/new", show_new_batch, perform_new_batch),
    Screen("/batches/{id}", show_batch),
    Screen("/batches/{id}/{action}", show_batch_action, perform_batch_action),
    Screen("/dead-letters", show_dead_letters),
    Screen("/dead-letters/replay", show_replay, perform_replay),
    Screen("/dead-letters/answer", show_answer),
    Screen("/audit", show_audit),
    Screen("/audit.csv", download_audit),
    Screen("/system", show_system),
)
