"""Bugs of conditions: a stage runs or is skipped though nobody has decided that, or decided otherwise."""

from __future__ import annotations

from tests.planted.bugs import SQL, Bug, Change

RUNNER = "src/headrace/runner/instance.py"
RECOVERY = "src/headrace/runner/recovery.py"
DECISIONS = "src/headrace/workflows/decisions.py"
CONDITIONS = "src/headrace/workflows/conditions.py"
EXACT = "src/headrace/expr/exact.py"
VALUES = "src/headrace/expr/values.py"
VARIABLES = "src/headrace/workflows/variables.py"
_PURE = "tests/unit/workflows/test_conditions.py"
_RUNNER = "tests/unit/runner/test_conditions.py"
_PLANS = "tests/planning/test_conditions.py"
_CERTIFICATES = "tests/certificates/test_conditions.py"
_JOURNAL = "tests/contract/test_journal.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


DECIDING: tuple[Bug, ...] = (
    Bug(
        "a condition is evaluated again after a restart",
        (
            Change(
                RECOVERY,
                "verdict=Verdict(stage.skipped))",
                "verdict=decide(definition.stages[stage.number], runner.variables, runner.before))",
            ),
            Change(RECOVERY, "import Passed, Verdict, add_read", "import Passed, add_read, decide"),
        ),
        (_RUNNER,),
    ),
    _bug(
        "a continuation evaluates the condition of its first stage again",
        "src/headrace/runner/runners.py",
        "            decided=before.stages[-1].skipped,\n",
        "",
        _RUNNER,
    ),
    _bug(
        "a condition that cannot be evaluated counts as false",
        DECISIONS,
        "    return Verdict(not result if error is None else None, error, steps)\n",
        "    return Verdict(not result, None, steps)\n",
        _PURE,
    ),
    _bug(
        "how deep a variable's JSON is nested is left to Python's stack",
        VARIABLES,
        "    if is_nested_deeper(text, MAX_NESTING):\n        return None\n",
        "",
        "tests/unit/workflows/test_variables.py",
    ),
    _bug(
        "how deep a condition's JSON is nested is left to Python's stack",
        EXACT,
        "        if is_nested_deeper(text, MAX_NESTING):\n",
        "        if is_nested_deeper(text, len(text)):\n",
        _PURE,
    ),
    _bug(
        "a condition that is neither true nor false counts as false",
        DECISIONS,
        "    if type(result) is not bool:\n",
        "    if type(result) is not bool and result is not None:\n",
        _PURE,
    ),
    _bug(
        "a delay that is over and left open is due at no time",
        RUNNER,
        "self._move(unit, now_at, at if is_left else 0)",
        "self._move(unit, now_at, 0)",
        _RUNNER,
    ),
    _bug(
        "that a stage runs by its condition is not stored",
        RUNNER,
        "        if (skips := self.stage.skips) is not None:\n",
        "        if skips := self.stage.skips:\n",
        _RUNNER,
    ),
    _bug(
        "one unit evaluates any number of conditions",
        RUNNER,
        "        is_left = self._steps >= UNIT_STEPS and ",
        "        is_left = self._steps < 0 and ",
        _RUNNER,
    ),
    _bug(
        "a stage whose condition failed is left to another unit, where it runs",
        RUNNER,
        " and self.stage.is_skipped and self.stage.error is None\n",
        " and self.stage.command is None\n",
        _RUNNER,
    ),
    _bug(
        "a plan evaluates any number of conditions",
        "src/headrace/planning/planner.py",
        "                if steps > MAX_STEPS:\n",
        "                if steps < 0:\n",
        _PLANS,
    ),
    _bug(
        "a decision about a stage is overwritten",
        SQL,
        " AND number = :number AND skipped IS NULL\n",
        " AND number = :number\n",
        _JOURNAL,
    ),
    _bug(
        "a unit with a decision about a stage shares no statement",
        "src/headrace/journal/postgres/batches.py",
        "w.DropNudges, DecideStage,",
        "w.DropNudges,",
        "tests/unit/journal/test_batches.py",
    ),
    _bug(
        "what was read before a restart decides nothing",
        RECOVERY,
        "    for row in standing.reads:\n",
        "    for row in ():\n",
        _RUNNER,
    ),
    _bug(
        "what was read before is restored for no condition of the stage that is last",
        "src/headrace/journal/chains.py",
        "last.number if last.skipped is None else last.number + 1",
        "last.number + 1",
        _JOURNAL,
    ),
    _bug(
        "what was read is restored where a condition spells it plainly",
        "src/headrace/journal/chains.py",
        "        if (source := stages[place].get(WHEN)) is not None:\n",
        '        if (source := stages[place].get(WHEN)) is not None and "reads" in source:\n',
        _JOURNAL,
    ),
    _bug(
        "a continuation does not see how inherited stages have ended",
        RECOVERY,
        "stage.outcome or DONE",
        "DONE",
        _RUNNER,
    ),
    _bug(
        "the hash of a plan leaves out what it skips",
        "src/headrace/planning/document.py",
        '            "skipped": plan["skipped"],\n',
        "",
        _PLANS,
    ),
    _bug(
        "a plan does not list what it skips",
        "src/headrace/planning/planner.py",
        "            self._draft.skipped.append(stage.number)\n",
        "            pass\n",
        _PLANS,
    ),
    _bug(
        "a pinned run skips what was signed to run",
        RUNNER,
        "        pin = self.pin if verdict.error is None else None\n",
        "        pin = self.pin if verdict.error is None and not self.stage.is_skipped else None\n",
        _PLANS,
    ),
    _bug(
        "a pinned run runs what was signed to be skipped",
        RUNNER,
        "        pin = self.pin if verdict.error is None else None\n",
        "        pin = self.pin if verdict.error is None and self.stage.is_skipped else None\n",
        _PLANS,
    ),
    _bug(
        "a plan of the rest decides again about its first stage",
        "src/headrace/planning/planner.py",
        "None if begins is None or number > first else begins.decided",
        "None",
        _PLANS,
    ),
    _bug(
        "a rule about approvals counts what is skipped",
        "src/headrace/workflows/approval_rules.py",
        " if place not in skipped))[own[0]]",
        " if place not in ()))[own[0]]",
        _PLANS,
    ),
    _bug(
        "a certificate believes what is recorded of a condition",
        "src/headrace/certificates/replay.py",
        "    if runner.skips != recorded.decided:\n",
        "    if False:\n",
        _CERTIFICATES,
    ),
    _bug(
        "large integers are compared as floats",
        "src/headrace/expr/equality.py",
        "        first, second = left, right  # of any size\n",
        "        first, second = float(left), float(right)\n",
        _PURE,
    ),
    _bug(
        "a large integer is compared with a number that has a fraction as one itself",
        "src/headrace/expr/equality.py",
        "        if not rounds:\n            first, second = left, right\n        elif type(first)",
        "        if type(first)",
        _PURE,
    ),
    _bug(
        "the text of a large integer is that of a rounded one",
        "src/headrace/expr/formats.py",
        "    if type(value) is int and not rounds:\n",
        "    if type(value) is bool and not rounds:\n",
        _PURE,
    ),
    _bug(
        "large integers of one size are one key",
        VALUES,
        "    if kind is int and not rounds:\n",
        "    if kind is bool and not rounds:\n",
        _PURE,
    ),
    _bug(
        "conditions round large integers as triggers do",
        EXACT,
        ", rounds=False)",
        ")",
        _PURE,
    ),
    _bug(
        "arithmetic turns a large integer into a float",
        VALUES,
        "        if not rounds:\n            raise Failure(",
        "        if value is None:\n            raise Failure(",
        _PURE,
    ),
    _bug(
        "what a condition decodes costs it nothing",
        EXACT,
        "        self._meter.decode(len(text))\n",
        "",
        _PURE,
    ),
    _bug(
        "a condition decodes a text each time that it names it",
        EXACT,
        "        if text in self._decoded:\n",
        "        if not text:\n",
        _PURE,
    ),
    _bug(
        "an integer of many digits costs a condition one step",
        EXACT,
        "            self._meter.read(4 * len(value))\n",
        "",
        _PURE,
    ),
    _bug(
        "a member of a variable costs a condition nothing",
        VARIABLES,
        "            if self._pay is not None:\n",
        "            if self._pay is None:\n",
        _PURE,
    ),
    _bug(
        "a condition may compare a variable with a number letter by letter",
        CONDITIONS,
        "        if operator in _ORDERS:\n",
        "        if operator in ():\n",
        _PURE,
    ),
    _bug(
        "a condition may calculate with text",
        CONDITIONS,
        "        elif operator in _CALCULATES or (",
        "        elif operator in () or (",
        _PURE,
    ),
    _bug(
        "a condition may take a variable for true",
        CONDITIONS,
        "        elif operator in _DECIDES:\n",
        "        elif operator in ():\n",
        _PURE,
    ),
    _bug(
        "a definition has conditions of any length",
        "src/headrace/workflows/config.py",
        "        if left < 0:  #",
        "        if False:  #",
        _PURE,
    ),
    _bug(
        "compiled conditions are kept forever",
        CONDITIONS,
        "        while self._left < 0:\n",
        "        while self._left < -(1 << 40):\n",
        _PURE,
    ),
    _bug(
        "a condition may name its own stage",
        "src/headrace/workflows/config.py",
        "        if not 0 <= number < len(before):\n",
        "        if not 0 <= number <= len(before):\n",
        _PURE,
    ),
    _bug(
        "a condition may read the clock",
        CONDITIONS,
        'and node.name == "now"',
        'and node.name == "later"',
        _PURE,
    ),
    _bug(
        "a run starts without a variable that only a condition names",
        VARIABLES,
        "            found |= condition_of(source).needed\n",
        "            found |= set()\n",
        _PURE,
    ),
)
