"""`headrace prove`: an event around the end of a wait that has a time is used to the microsecond, and not after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.testing import proving
from headrace.testing.cases import read_suite
from headrace.workflows.durations import duration_us
from tests.testing.test_cases import written

STAGES = """
name: timed
stages:
  - delay: {duration: 1h}
  - wait_event: {event: go, timeout: 1d}
  - send:
      source: {account: {id: "users:jane", ledger: main}}
      destination: {account: {id: shops, ledger: main}}
      amount: {asset: USD/2, amount: 100}
"""
CONTINUES = STAGES.replace("timeout: 1d", "timeout: 1d, on_timeout: continue") + (
    "    when: 'stages[1].outcome == \"done\"'\n"
)
IN_TIME = """
  - name: in time, and an hour later too late
    run: {}
    events: [{name: go, at: 24h30m}]
    expect: {outcome: succeeded, effects: ["main users:jane -> shops 100 USD/2"]}
"""
LATE = """
  - name: too late
    run: {}
    events: [{name: go, at: 2d}]
    expect: {effects: []}
"""
BOTH = pytest.mark.parametrize("workflow", [STAGES, CONTINUES], ids=["fail", "continue"])


@BOTH
def test_an_event_around_the_deadline(workflow: str, tmp_path: Path) -> None:
    proof = proving.prove(read_suite(written(tmp_path, IN_TIME + LATE, workflow=workflow)))
    assert proof.refutation is None, list(proving.text_lines("timed", proof))


@BOTH
@pytest.mark.parametrize("cases", [IN_TIME, LATE], ids=["in time", "late"])
@pytest.mark.parametrize(("shift_us", "when"), [(-2, "1 us before"), (2, "1 us after")])
def test_a_wait_that_ends_a_moment_early_or_late_is_found(
    shift_us: int, when: str, cases: str, workflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of a schedule is that of the definition, whatever the run has made of it."""
    suite = read_suite(written(tmp_path, cases, workflow=workflow))
    shifted = "headrace.workflows.stages.wait_event.duration_us"
    monkeypatch.setattr(shifted, lambda text, path: duration_us(text, path) + shift_us)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]
    refutation = proving.prove(suite).refutation
    assert refutation is not None
    assert refutation.schedule.about == (f"event go {when} the deadline of stage 1",)


def test_an_event_that_a_later_wait_uses_is_no_refutation(tmp_path: Path) -> None:
    """The wait that it misses is not the last of its name: what follows cannot be told from the plain run."""
    twice = CONTINUES + "  - wait_event: {event: go, timeout: 1d, on_timeout: continue}\n"
    proof = proving.prove(read_suite(written(tmp_path, IN_TIME, workflow=twice)))
    assert proof.refutation is None, list(proving.text_lines("twice", proof))
