"""Bugs of plans: each would let a person sign something else than what a run does."""

from __future__ import annotations

from tests.planted.bugs import Bug, Change

PLANNER = "src/headrace/planning/planner.py"
SHADOW = "src/headrace/planning/shadow.py"
DOCUMENT = "src/headrace/planning/document.py"
COMMITMENTS = "src/headrace/planning/commitments.py"
_SUITES = ("tests/planning/test_commitments.py", "tests/planning/test_planner.py")
_RUNS = "tests/planning/test_plan_is_run.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


PLANNING: tuple[Bug, ...] = (
    _bug(
        "a commitment without the path",
        COMMITMENTS,
        "request.method, request.path, body)",
        'request.method, "", body)',
        *_SUITES,
    ),
    _bug(
        "a commitment with the time of its plan",
        COMMITMENTS,
        "placeholder(stage, ordinal), 0, schemas)",
        "placeholder(stage, ordinal), ordinal + 1, schemas)",
        *_SUITES,
    ),
    _bug(
        "a hash without the origin",
        DOCUMENT,
        '            "origin": plan["origin"],\n',
        "",
        *_SUITES,
    ),
    _bug(
        "a hash with the balances",
        DOCUMENT,
        "[{name: effect[name] for name in COMMITTED} for effect in",
        "[effect for effect in",
        *_SUITES,
    ),
    _bug(
        "a shadow that forgets planned metadata",
        SHADOW,
        "{**known, **activity.metadata}, read_at",
        "known, read_at",
        *_SUITES,
        _RUNS,
    ),
    _bug(
        "a shadow that forgets planned postings",
        SHADOW,
        "            self._add(ledger, account, asset, change)\n",
        "            pass\n",
        *_SUITES,
        _RUNS,
    ),
    _bug(
        "a shadow that forgets a planned ingestion",
        SHADOW,
        "        self._ingested[ledger, reference] = posting\n",
        "        pass\n",
        *_SUITES,
        _RUNS,
    ),
    _bug(
        "a shortage that ends the plan",
        PLANNER,
        "        for change in missing[:1]:\n",
        "        if missing:\n            raise self._failure('refused', '')\n        for change in missing[:1]:\n",
        *_SUITES,
        _RUNS,
    ),
    _bug(
        "what is missing is counted twice",
        SHADOW,
        "                self._fund(ledger, source, asset, missing)\n",
        "",
        *_SUITES,
    ),
    _bug(
        "an overdraft that a plan does not allow",
        PLANNER,
        "is_unbounded=effect.allow_overdraft)",
        "is_unbounded=False)",
        _RUNS,
    ),
    _bug(
        "an account that may spend what it owes",
        SHADOW,
        "if amount > max(available, 0):",
        "if amount > abs(available):",
        *_SUITES,
    ),
    _bug(
        "a wallet's money that is counted twice",
        SHADOW,
        '''return f"wallets:{wallet_id.replace('-', '')}:{balance}"''',
        'return f"wallets:{wallet_id}:{balance}"',
        *_SUITES,
    ),
    _bug(
        "a plan whose time stands still", PLANNER, "                        self._now_at = deadline_at\n", "", *_SUITES
    ),
    _bug(
        "a plan that lets a trigger pay from world",
        PLANNER,
        "may_name_world=self._terms.may_name_world",
        "may_name_world=True",
        *_SUITES,
    ),
    _bug(
        "an effect that will be refused is left out",
        PLANNER,
        '            self._draft.add_effect(commitment, reversible="kept", postings=[], balances=[])  # a run would',
        "            pass  # a run would",
        *_SUITES,
    ),
    _bug(
        "a plan passes over a command that it does not know",
        PLANNER,
        "                case _:\n                    assert_never(command)\n",
        "                case _:\n                    stage.resume()\n",
        "tests/planning/test_planner.py",
    ),
    _bug(
        "an effect without a sentence is shown as sent",
        "src/headrace/cli/plan_text.py",
        'check_complete(SENTENCES, effect_names(), "sentence", "to SENTENCES of headrace.cli.plan_text")\n',
        "",
        "tests/unit/workflows/test_activities.py",
    ),
)
