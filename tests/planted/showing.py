"""Bugs of the console: pages that mislead, that let a text become an element, or that show themselves to anybody."""

from __future__ import annotations

from tests.planted.bugs import Bug, Change

_SCREENS = "tests/console/test_screens.py"
_HOSTILE = "tests/console/test_hostile.py"
_POSTINGS = "tests/pictures/test_postings.py"
_SITE = "src/headrace/console/site.py"
_RUN = "src/headrace/console/run.py"
_SHEETS = "src/headrace/console/sheets.py"
_RUNS = "src/headrace/console/runs.py"
_WORDS = "src/headrace/console/words.py"
_ACTIONS = "tests/console/test_actions.py"
_ACTS = "src/headrace/console/actions.py"
_CALLERS = "src/headrace/console/callers.py"
_SIGNINS = "tests/console/test_signin.py"
_SIGNIN = "src/headrace/console/signin.py"
_BATCHES = "src/headrace/console/batches.py"
_AUDIT = "src/headrace/console/audit.py"
_LETTERS = "src/headrace/console/dead_letters.py"
_BATCH_TESTS = "tests/console/test_batches.py"
_AUDIT_TESTS = "tests/console/test_audit.py"
_LETTER_TESTS = "tests/console/test_dead_letters.py"
_RENDERING = "src/headrace/console/rendering.py"
_LIST = "src/headrace/pictures/postings.py"
_APPROVALS = "src/headrace/console/approvals.py"
_PEOPLE = "tests/console/test_people.py"
_PLANS = "src/headrace/console/plans.py"
_PLAN_FORMS = "src/headrace/console/plan_forms.py"
_PLAN_TESTS = "tests/console/test_plans.py"
_TIMELINES = ("tests/pictures/test_timeline.py",)
_TIMELINE = "src/headrace/pictures/timeline.py"
_STAGES = "src/headrace/console/stages.py"
_INSPECTOR = "src/headrace/console/inspector.py"
_RUN_PAGES = "tests/console/test_timeline.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


SHOWING: tuple[Bug, ...] = (
    _bug("pages do not escape", _RENDERING, "autoescape=True", "autoescape=False", _HOSTILE),
    _bug(
        "control and direction characters reach a page as they are",
        _RENDERING,
        "    return visible(str(value))\n",
        "    return str(value)\n",
        _HOSTILE,
    ),
    _bug(
        "a cell of the CSV is a formula",
        _SHEETS,
        '    return f"\'{shown}" if shown.startswith(_FORMULA) else shown\n',
        "    return shown\n",
        _HOSTILE,
    ),
    _bug(
        "the console shows itself to other machines",
        _SITE,
        "        if not is_here:\n",
        "        if False:\n",
        _SCREENS,
    ),
    _bug(
        "the console shows itself without a sign-in",
        _SIGNIN,
        "        if self._authenticator is None:\n            return Visitor",
        "        if not request.cookies:\n            return Visitor",
        _SIGNINS,
    ),
    _bug(
        "a client without the scope reads everything",
        _SITE,
        "            if not visitor.principal.may(READ):\n",
        "            if False:\n",
        _SIGNINS,
    ),
    _bug(
        "a client without the scope acts",
        _CALLERS,
        "    if not principal.may(scope):\n",
        "    if False:\n",
        _SIGNINS,
    ),
    _bug("to write is to decide", _ACTS, "_decide, APPROVE", "_decide, WRITE", _SIGNINS),
    _bug(
        "the audit trail does not name who acted",
        _CALLERS,
        "Caller(principal.name, operation,",
        'Caller("anonymous", operation,',
        _SIGNINS,
    ),
    _bug(
        "a form of another session is taken",
        _SIGNIN,
        "+ token.encode()).hexdigest()",
        ").hexdigest()",
        _SIGNINS,
    ),
    _bug(
        "the way back from the sign-in leads anywhere",
        _SIGNIN,
        'is_safe = text.startswith("/console/") and',
        'is_safe = text.startswith("/") and',
        _SIGNINS,
    ),
    _bug(
        "a script can read the session",
        _SIGNIN,
        'granted.token, max_age=granted.life_s, path="/", secure=True, httponly=True',
        'granted.token, max_age=granted.life_s, path="/", secure=True, httponly=False',
        _SIGNINS,
    ),
    _bug(
        "the session goes over any connection",
        _SIGNIN,
        'granted.life_s, path="/", secure=True',
        'granted.life_s, path="/", secure=False',
        _SIGNINS,
    ),
    _bug(
        "a sign-out keeps the session",
        _SIGNIN,
        '    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")\n',
        "",
        _SIGNINS,
    ),
    _bug(
        "another site signs somebody in",
        "src/headrace/console/forms.py",
        "    if not is_own_form(request):\n",
        "    if False:\n",
        _SIGNINS,
    ),
    _bug(
        "a page may run scripts of other sites",
        _SITE,
        "default-src 'none'; script-src 'self'",
        "default-src *; script-src *",
        _SCREENS,
    ),
    _bug(
        "an error shows what only the log should have",
        _SITE,
        "Its log has the reason under {identity}.",
        "Its log has the reason under {identity}: {error}",
        _SCREENS,
    ),
    _bug(
        "a page begins with the last row of the one before",
        _RUNS,
        "last = rows[ROWS - 1]",
        "last = rows[ROWS - 2]",
        _SCREENS,
    ),
    _bug(
        "an aborted run is said to have failed",
        _WORDS,
        '"aborted" if instance.error == CANCELED else "failed"',
        '"failed"',
        _SCREENS,
    ),
    _bug(
        "a form of another site is taken",
        "src/headrace/console/forms.py",
        "    if not compare_digest(",
        "    if False and not compare_digest(",
        _ACTIONS,
    ),
    _bug(
        "a form that is sent twice acts twice",
        _CALLERS,
        "CallerKey(key, fingerprint, principal.key_owner)",
        "CallerKey(key + str(id(form)), fingerprint, principal.key_owner)",
        _ACTIONS,
    ),
    _bug(
        "an action is not in the audit trail",
        _ACTS,
        "    await abort_with_reason(ports, caller, instance_id,",
        "    await abort_with_reason(ports, None, instance_id,",
        _ACTIONS,
    ),
    _bug(
        "an abort is said to leave no money on its way",
        "src/headrace/pictures/moves.py",
        'if move.state == "planned" else move for move in flow.moves)',
        'if move.state == "nothing" else move for move in flow.moves)',
        _ACTIONS,
    ),
    _bug(
        "a form that was refused forgets its key",
        _ACTS,
        "        page = await _form(place, form, str(error))\n",
        '        page = await _form(place, {**form, "key": "console:x"}, str(error))\n',
        _ACTIONS,
    ),
    _bug(
        "a balance counts what is planned",
        _LIST,
        '        if move.state == "booked":\n',
        "        if move.state:\n",
        _POSTINGS,
    ),
    _bug(
        "money that is missing is said to be accounted for",
        _LIST,
        '"off" if not sums.is_conserved else "open"',
        '"open"',
        _POSTINGS,
    ),
    _bug(
        "on the timeline a day of waiting hides what took milliseconds",
        _TIMELINE,
        "else LEAST + log10(1 + span / 1_000)",
        "else float(span)",
        *_TIMELINES,
    ),
    _bug(
        "a bar of the timeline lies outside",
        _TIMELINE,
        "Bar(round(min(start, self.extent - width), 2), width, is_open)",
        "Bar(start, width, is_open)",
        *_TIMELINES,
    ),
    _bug(
        "a stage that failed is folded out of sight",
        _TIMELINE,
        'frozenset({"booked", "skipped", "undone"})',
        'frozenset({"booked", "skipped", "undone", "refused"})',
        *_TIMELINES,
    ),
    _bug("the inspector shows another stage", _INSPECTOR, "steps[int(text) - 1]", "steps[int(text) - 2]", _RUN_PAGES),
    _bug(
        "a link to a stage that is not there is an error of Headrace",
        _INSPECTOR,
        "0 < int(text) <= len(steps)",
        "0 < int(text)",
        _RUN_PAGES,
    ),
    _bug(
        "a page says that a delay ends when its approval does",
        _STAGES,
        "    if stage.gate is not None and stage.gate_passed_at is None:\n        return stage.deadline_at\n",
        "    if stage.gate is not None:\n        return stage.deadline_at\n",
        _RUN_PAGES,
    ),
    _bug(
        "a verdict about an effect of an earlier run is lost",
        _STAGES,
        "for instance_id in dict.fromkeys(call.row.instance_id for call in step.calls):",
        "for instance_id in [step.stage.instance_id] if step.stage else []:",
        _RUN_PAGES,
    ),
    _bug(
        "a line of the flow leads from an undo to a stage of another run",
        "src/headrace/console/templates/run_overview.html",
        "none if is_undo else look.stage_link",
        "look.stage_link",
        _RUN_PAGES,
    ),
    _bug(
        "a console's batch starts whatever number was typed",
        _BATCHES,
        "    if typed != str(included):\n",
        "    if False:\n",
        _BATCH_TESTS,
    ),
    _bug(
        "a console's batch starts under a preview that was not seen",
        _BATCHES,
        '{"hash": form.get("hash", "")})',
        '{"hash": batch.hash})',
        _BATCH_TESTS,
    ),
    _bug(
        "a console's batch can be approved by whom may only write",
        _BATCHES,
        "_approve, (READY,), APPROVE, True",
        "_approve, (READY,), WRITE, True",
        _SIGNINS,
    ),
    _bug(
        "a console's batch shows how its runs ended, not how they stand now",
        _BATCHES,
        "        last, kind = step.successor, step.kind\n",
        "        break\n",
        _BATCH_TESTS,
    ),
    _bug(
        "a page of the console's audit trail leaves entries out",
        _AUDIT,
        "found[most - 1].seq",
        "rows[-1].seq",
        _AUDIT_TESTS,
    ),
    _bug(
        "a sheet of the console's audit trail does not say that it is cut",
        _AUDIT,
        "    if found.older is not None:\n",
        "    if False:\n",
        _AUDIT_TESTS,
    ),
    _bug(
        "the console's replay of dead letters sends others than it showed",
        _LETTERS,
        '{"publisher": publisher, "ids": ids})',
        '{"publisher": publisher})',
        _LETTER_TESTS,
    ),
    _bug(
        "the console's page of a replay reads the result of anything",
        _LETTERS,
        "stored.operation != OPERATION or ",
        "",
        _LETTER_TESTS,
    ),
    _bug(
        "the console starts another undo than the one it has shown",
        "src/headrace/console/undo.py",
        '        if found != form.get("hash", ""):\n',
        "        if False:\n",
        _PEOPLE,
    ),
    _bug(
        "the console shows what an undo takes back from the first effect on",
        "src/headrace/console/undo.py",
        "    return tuple(ACTIVITIES[effect.activity].summary(effect.input) for effect in found)\n",
        "    return tuple(ACTIVITIES[effect.activity].summary(effect.input) for effect in found[::-1])\n",
        _PEOPLE,
    ),
    _bug(
        "who writes may approve in the console",
        _APPROVALS,
        "form_caller(place, operation, plan_id, APPROVE)",
        'form_caller(place, operation, plan_id, "orchestration:write")',
        _SIGNINS,
    ),
    _bug(
        "a form of an approval signs whatever the plan is by now",
        _APPROVALS,
        'decision = {"hash": form.get("hash", ""),',
        'decision = {"hash": (await read_plan(place.ports, plan_id)).hash,',
        _PEOPLE,
    ),
    _bug(
        "the inbox shows plans that this person cannot approve",
        _APPROVALS,
        'if tab != "mine" or not line.objection]',
        'if tab != "mine" or line.plan]',
        _PEOPLE,
    ),
    _bug(
        "who reads may run a plan in the console",
        _PLANS,
        "form_caller(place, operation, target, WRITE)",
        'form_caller(place, operation, target, "orchestration:read")',
        _SIGNINS,
    ),
    _bug(
        "a console's plan that fails runs without being asked to",
        _PLANS,
        '{"acceptFailure": True} if form.get("accept") == "yes" else {}',
        '{"acceptFailure": True}',
        _PLAN_TESTS,
    ),
    _bug(
        "the console's plans of a state are all plans",
        _PLANS,
        "plans_in(place.ports, state), page_place",
        "plans_in(place.ports, None), page_place",
        _PLAN_TESTS,
    ),
    _bug(
        "a variable that is given twice in a form has its last value",
        _PLAN_FORMS,
        "        if name in found:",
        "        if name in found and not value:",
        _PLAN_TESTS,
    ),
    _bug(
        "a test of a trigger in the console needs no scope",
        "src/headrace/console/triggers.py",
        "    if not place.visitor.principal.may(WRITE):\n",
        "    if False:\n",
        "tests/console/test_definitions.py",
    ),
    _bug(
        "the difference of two versions is that of one with itself",
        "src/headrace/console/workflows.py",
        "for each in (before, after))",
        "for each in (after, after))",
        "tests/console/test_definitions.py",
    ),
)
