"""Evaluation of a trigger for an event: whether it fires, and with which variables."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.errors import HeadraceError, InvalidValue
from headrace.journal.records import Trigger
from headrace.triggers.expressions import EvaluationFailed, Evaluator
from headrace.triggers.variable_text import NotText, text_of
from headrace.workflows.variables import check_variables, shown

Json = dict[str, Any]

MAX_NAMED = 20
"""Maximum variables that an error names."""

_decode_vars = msgspec.json.Decoder(dict[str, str]).decode


class VariablesFailed(HeadraceError):
    """Some variables have no value for this event; the text names them."""


class Trial(msgspec.Struct, frozen=True):
    """Result of testing a trigger. `matches` None means that the filter failed. Values and errors are by variable."""

    matches: bool | None
    filter_error: str | None
    values: dict[str, str]
    errors: dict[str, str]


def may_take_long(trigger: Trigger, evaluator: Evaluator) -> bool:
    """True if its expressions are known to exceed the budget of the event loop."""
    sources = _decode_vars(trigger.vars).values() if trigger.vars else ()
    return any(evaluator.may_take_long(source) for source in (trigger.filter or "", *sources))


class Firing:
    """The evaluation of one trigger for one event."""

    def __init__(self, evaluator: Evaluator, trigger: Trigger, payload: Json) -> None:
        self._evaluation = evaluator.over(payload)
        self._trigger = trigger

    async def matches(self) -> bool:
        """Evaluate the filter: only true matches, no other value. Raises EvaluationFailed."""
        if not self._trigger.filter:
            return True
        return await self._evaluation.value(self._trigger.filter) is True

    async def variables(self) -> dict[str, str]:
        """Evaluate the variables. Raises VariablesFailed."""
        values, errors = await self._texts()
        if errors:
            named = [f"{shown(name)}: {reason}" for name, reason in list(errors.items())[:MAX_NAMED]]
            more = [f"and {len(errors) - MAX_NAMED} more"] if len(errors) > MAX_NAMED else []
            raise VariablesFailed("variables: " + "; ".join(named + more))
        return values

    async def trial(self) -> Trial:
        """Evaluate everything, even after a failure, for the test of a trigger."""
        matches, filter_error = None, None
        try:
            matches = await self.matches()
        except EvaluationFailed as error:
            filter_error = str(error)
        return Trial(matches, filter_error, *await self._texts())

    async def _texts(self) -> tuple[dict[str, str], dict[str, str]]:
        sources = _decode_vars(self._trigger.vars) if self._trigger.vars else {}
        values: dict[str, str] = {}
        errors: dict[str, str] = {}
        for name, source in sources.items():
            try:
                values |= check_variables({name: text_of(await self._evaluation.value(source))})
            except InvalidValue as error:
                errors[name] = error.reason
            except (EvaluationFailed, NotText) as error:
                errors[name] = str(error)
        return values, errors
