"""What a new stage and a new activity touch: the table "Where a new thing goes" of CONTRIBUTING.md.

A stage and an activity are added to a copy of the repository, in the files of the table only, and appear everywhere.
The same files, and reasons for the others, are compared with those that name each stage and activity there is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generator.markdown import snake
from headrace.api import ext
from headrace.workflows.activities import ACTIVITIES
from headrace_client import ext_operations
from headrace_client.operations import Operation
from tests.tidy import repository

STAGES_FOLDER = "src/headrace/workflows/stages/"
GENERATED = {
    "packages/client/src/headrace_client/activity_types.py",
    "packages/client/src/headrace_client/stage_types.py",
    "src/headrace/workflows/workflow.schema.json",
}

# Files that name a stage or an activity for a reason of their own, none of which a new one has.
OF_STAGES = {
    "docs/generator/examples.py": "the definition of an instance with an effect that needs attention",
    "packages/client/src/headrace_client/__init__.py": "exports the classes of the first four at the top",
    "src/headrace/api/v1/instances.py": "the operation that sends an event names the stage that waits for it",
    "src/headrace/api/v1/schemas.py": "an example of a definition, and of an event's name",
    "src/headrace/api/v1/workflows.py": "an example of a definition",
    "src/headrace/cli/starter.yaml": "an example of a definition",
    "src/headrace/workflows/config.py": "a delay whose length is a variable is checked when a run is asked for",
    "src/headrace/workflows/commands.py": "the command WaitEvent",
    "src/headrace/workflows/interpreter.py": "a wait whose time is up",
    "src/headrace/journal/sqlite/queries.sql": "an event wakes a wait that has a time, and no delay",
    "src/headrace/journal/sqlite/resting.py": "the waits of a journal that rests",
    "src/headrace/journal/postgres/queries.sql": "an event wakes a wait that has a time, and no delay",
    "src/headrace/journal/postgres/resting.py": "the waits of a journal that rests",
    "src/headrace/journal/testing_waits.py": "a wait with a time in the suite of every journal",
    "src/headrace/planning/planner.py": "the command WaitEvent",
    "src/headrace/pictures/outlines.py": "stands for each stage that moves no money",
    "src/headrace/certificates/replay.py": "the command WaitEvent",
    "src/headrace/runner/instance.py": "the command WaitEvent",
    "src/headrace/testing/proving.py": "events around the end of a wait that has a time",
    "src/headrace/linting/waits.py": "rules about events that are awaited",
    "src/headrace/journal/testing.py": "an instance that waits, in the suite of every journal",
}
OF_ACTIVITIES = {
    "docs/generator/activities.py": "one that a single version of the API describes",
    "src/headrace/usecases/undoing.py": "what is read before an undo",
    "src/headrace/engine/cases.py": "the ledger of a wallet that was read",
    "src/headrace/certificates/statement.py": "the payee of a payout",
    "src/headrace/certificates/undoing.py": "what an undo may have reversed",
    "src/headrace/journal/testing_successors.py": "activities in the suite of every journal",
    "docs/generator/errors.py": "the activities whose refusals are listed",
    "docs/generator/stages.py": "the matrix of `send`",
    "packages/client/src/headrace_client/activities.py": "classes that follow Formance's description",
    "packages/client/src/headrace_client/history.py": "V2 has another output of CreateTransaction",
    "src/headrace/api/v1/schemas.py": "an example of a name",
    "src/headrace/api/v2/__init__.py": "V2 has another output of CreateTransaction",
    "src/headrace/api/v2/views.py": "V2 has another output of CreateTransaction",
    "src/headrace/certificates/books.py": "what is looked up under a key that no effect has",
    "src/headrace/certificates/replay.py": "the ledger of a wallet that was read",
    "src/headrace/cli/plan_text.py": "wallets that a plan reads",
    "src/headrace/cli/undo_text.py": "the money of what an undo keeps; a new effect is shown by its name",
    "src/headrace/engine/driver.py": "the internal ledger is created for a transaction",
    "src/headrace/journal/testing.py": "an activity in the suite of every journal",
    "src/headrace/journal/testing_batches.py": "an activity in the suite of every journal",
    "src/headrace/journal/sqlite/queries.sql": "the link from an event to the effect that caused it",
    "src/headrace/journal/sqlite/migrations/sql/0006.sql": "the link from an event to the effect that caused it",
    "src/headrace/journal/postgres/queries.sql": "the link from an event to the effect that caused it",
    "src/headrace/journal/postgres/migrations/sql/0015.sql": "the link from an event to the effect that caused it",
    "src/headrace/journal/sqlite/migrations/versions/0015_plain_columns.py": "the moment of an initiation",
    "src/headrace/journal/sqlite/migrations/sql/0012.sql": "the link from an event to the effect that caused it",
    "src/headrace/planning/planner.py": "reads of an undo",
    "src/headrace/planning/shadow.py": "the books as a plan sees them",
    "src/headrace/pictures/effects.py": "names of wallets and payments that were read",
    "src/headrace/telemetry/tracing.py": "attributes of a transaction",
    "src/headrace/triggers/matching.py": "the link from an event to the effect that caused it",
}
OF_EFFECTS = {
    "src/headrace/planning/planner.py",
    "src/headrace/workflows/undo.py",
    "src/headrace/pictures/effects.py",
    "src/headrace/cli/plan_text.py",
}
"""Files with a table of all effects, which is checked at import."""
OWN_PLACES = ("src/headrace/demo/", "src/headrace/examples/", "src/headrace/sandbox/")


WAIT_EVENT = r"\bwait_event\b|\bWaitEventStage\b|\bStageWaitEvent\b|\bWAIT_EVENT\b|\bWaitEvent\b"


def activity_pattern(name: str) -> str:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return rf"\b(?:Activity)?{name}\b|\b{snake}\b"


def product() -> Iterator[str]:
    for path in repository.committed_files():
        if path.startswith(("src/", "packages/client/src/", "docs/generator/")) and path not in GENERATED:
            yield path


def naming(pattern: str) -> set[str]:
    found = re.compile(pattern)
    texts = {path: (repository.ROOT / path).read_bytes().decode(errors="replace") for path in product()}
    return {path for path, text in texts.items() if found.search(text) and not path.startswith(OWN_PLACES)}


def test_a_stage_is_named_in_its_module_and_the_registry() -> None:
    """By the stage with a name that is no common word."""
    module, registry = f"{STAGES_FOLDER}wait_event.py", f"{STAGES_FOLDER}__init__.py"
    found = naming(WAIT_EVENT)
    assert {module, registry} <= found
    assert found - {module, registry} - OF_STAGES.keys() == set()


@pytest.mark.parametrize("name", ACTIVITIES)
def test_an_activity_is_named_in_its_class_and_its_service(name: str) -> None:
    activity = ACTIVITIES[name]
    allowed = {f"src/{activity.__module__.replace('.', '/')}.py", f"src/headrace/effects/{activity.service}.py"}
    allowed |= OF_EFFECTS if activity.is_effect else set()
    found = naming(activity_pattern(name))
    assert allowed <= found
    others = {path for path in found - allowed if not path.startswith(STAGES_FOLDER)}
    assert others - OF_ACTIVITIES.keys() == set()


def test_every_reason_is_needed() -> None:
    assert OF_STAGES.keys() <= naming(rf"{WAIT_EVENT}|[\"'`]delay[\"'`]")
    assert OF_ACTIVITIES.keys() <= naming("|".join(map(activity_pattern, ACTIVITIES)))


def test_the_client_has_every_operation_below_ext() -> None:
    """Extend `ext_operations.py` of the client, and what the table of CONTRIBUTING.md names with it."""
    in_client = {(each.method, each.path) for each in vars(ext_operations).values() if isinstance(each, Operation)}
    in_api = {
        (row.method, re.sub(r"{(\w+)}", lambda found: f"{{{snake(found[1])}}}", row.path)) for row in ext.OPERATIONS
    }
    assert in_client == in_api


# a stage and an activity in a copy

STAGE = '''"""`note`: write one text on an account."""

from __future__ import annotations

from headrace.workflows.activities import Json, NoteAccount
from headrace.workflows.stages.formats import ACCOUNT_ADDRESS, LABEL
from headrace.workflows.stages.shape import Leaf, Object
from headrace.workflows.stages.stage import Display, StageContext, StageRun, StageType

NOTE = Object(
    "Write a note on an account.",
    {"account": Leaf(ACCOUNT_ADDRESS, "Whose note it is."), "text": Leaf(LABEL, "The words of the note.")},
    required=("account",),
    name="Note",
)


class NoteStage(StageType):
    keyword = "note"
    shape = NOTE
    about = "Writes a note, for the test of additions."
    example = "name: remember\\nstages:\\n  - note: {account: jane}"
    label = "note"
    color, pale = "#123456", "#fedcba"
    dark_color, dark_pale = "#8b949e", "#262d36"

    def run(self, body: Json, context: StageContext) -> StageRun:
        yield NoteAccount(body["account"], body.get("text", ""))

    def describe(self, body: Json, display: Display) -> list[str]:
        return [f"Note about {body['account']}"]
'''
ACTIVITY = """

@dataclass(frozen=True, slots=True)
class NoteAccount(Activity):
    name: ClassVar[str] = "NoteAccount"
    service: ClassVar[Service] = "ledger"
    family: ClassVar[Family] = Family.METADATA
    known_by: ClassVar[str] = ""
    id: str
    text: str

    def input(self, key: str) -> Json:
        return {"id": self.id, "text": self.text}

    @classmethod
    def summary(cls, shown: Json) -> str:
        return f"Note {shown['text']} about {shown['id']}"

    @classmethod
    def movements(cls, shown: Json) -> list[str]:
        return []

    @classmethod
    def searched(cls, shown: Json) -> list[str]:
        return []

    def booked(self, result: Json) -> str:
        return f"note about {self.id}"

    @classmethod
    def example(cls) -> NoteAccount:
        return cls("jane", "hello")
"""
IMPORTS = (
    "headrace.effects.services, headrace.planning.planner, headrace.workflows.interpreter, headrace.workflows.undo, "
    "headrace.cli.plan_text, headrace.pictures.effects"
)
FAMILY = "    family: ClassVar[Family] = Family.METADATA\n"
REQUESTS = """

def note_account(activity: NoteAccount, intent: Intent) -> Request:
    body = canonical({"note": activity.text})
    return Request("ledger", "POST", f"{_account_path('main', activity.id)}/metadata", body, intent.key)


REQUESTS["NoteAccount"] = note_account
READERS["NoteAccount"] = read_empty
SEARCHES["NoteAccount"] = search_metadata
"""
PLANNED = '    "CreateTransferInitiation": _Planner.initiate,\n'
NEW_PLANNED = '    "NoteAccount": _Planner.add_metadata,\n'
UNDONE = '    "CreateTransferInitiation": _Undoing.initiation,\n'
NEW_UNDONE = '    "NoteAccount": lambda undoing, effect: undoing.undo.kept.append(Kept(effect, "a note stays")),\n'
SENTENCE = '    "CreateTransferInitiation": _initiated,\n'
NEW_SENTENCE = "    \"NoteAccount\": lambda effect, labels: f\"A note says {effect['body']['note']}\",\n"
DRAWN = '    "CreateTransferInitiation": _Tracing.initiation,\n'
NEW_DRAWN = '    "NoteAccount": _Tracing.nothing,\n'
ENTRIES = (
    ("src/headrace/pictures/effects.py", DRAWN, NEW_DRAWN),
    ("src/headrace/planning/planner.py", PLANNED, NEW_PLANNED),
    ("src/headrace/workflows/undo.py", UNDONE, NEW_UNDONE),
    ("src/headrace/cli/plan_text.py", SENTENCE, NEW_SENTENCE),
)
"""Of the tables of all effects: the file, the entry before which the new one is written, and that."""
CASES = """- title: a note is written
  stage: {note: {account: jane, text: "${said}"}}
  variables: {said: hi}
  input: {account: jane, text: hi}
  commands:
  - NoteAccount: {id: jane, text: hi}
"""
APPEARS = """
from docs.generator.stages import stages_page
from headrace.api import openapi
from headrace.api.app import TABLE
from headrace.cli.history_text import activity_lines, stage_sentence
from headrace.cli.plan_text import plan_lines
from headrace.demo.picture import STAGES as PICTURED
from headrace.demo.timeline import EFFECTS
from headrace.effects.services import prepare
from headrace.planning.commitments import commitment_of
from headrace.workflows.activities import ACTIVITIES
from headrace.workflows.config import parse_config
from headrace.workflows.interpreter import StageRunner
from headrace.workflows.rules import RULES
from headrace.workflows.schema import workflow_schema
from headrace.workflows.undo import Case, DoneEffect, undo_of
from headrace_client.activity_types import WorkflowInstanceHistoryStageInput
from headrace_client.stages import read_stage
import msgspec

stages = [{"note": {"account": "jane", "text": "${said}"}}]
parse_config({"stages": stages})
runner = StageRunner(stages, 0, {"said": "hi"}, 0)
assert prepare(runner.command, "headrace:i:0:0", 0).body == b'{"note":"hi"}'
assert runner.command.settlement.value == "metadata" and runner.command.is_effect and "NoteAccount" in EFFECTS
shown = {"name": "note", "input": runner.input, "startedAt": "", "terminated": False}
assert stage_sentence(shown) == "Note about jane"
entry = {"name": "NoteAccount", "input": {"NoteAccount": runner.command.input("")}, "attempt": 1, "terminated": True}
assert activity_lines(entry)[0] == "- Note hi about jane"
schema = workflow_schema()["properties"]["stages"]["items"]
assert schema["properties"]["note"]["properties"]["text"]["description"] == "The words of the note."
assert "`note`" in RULES["stage"]
components = openapi.describe(TABLE)["components"]["schemas"]
assert components["Stage"]["properties"]["note"] == {"$ref": "#/components/schemas/Note"}
assert components["Note"]["required"] == ["account"]
assert PICTURED["note"].color == "#123456"
page = stages_page()
assert "## note" in page and "for the test of additions" in page and "The words of the note." in page
assert "`NoteAccount`" in page
stage = read_stage("note", {"account": "jane", "text": "hi"})
assert (type(stage).__name__, stage.account, stage.text) == ("StageNote", "jane", "hi")
read = msgspec.convert(entry["input"], WorkflowInstanceHistoryStageInput).activity
assert (type(read).__name__, read.id, read.text) == ("ActivityNoteAccount", "jane", "hi")
done = DoneEffect("headrace:i:0:0", 0, 0, "NoteAccount", runner.command.input(""))
undo = undo_of(Case([done], stages, {"said": "hi"}))
assert ([each.reason for each in undo.kept], undo.stages) == (["a note stays"], [])
planned = commitment_of(runner.command, 0, 0).shown() | {"postings": [], "balances": []}
whole = {"definition": {"stages": stages}, "variables": {}, "effects": [planned], "skipped": [], "assumptions": []}
whole |= {"totals": {}, "verdict": "succeeds", "hash": "sha256:", "plannedAt": "2026-01-01T00:00:00Z"}
assert "  1. A note says hi" in plan_lines(whole)
print("appears")
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository with the new stage and the new activity, in the files of the table."""
    for folder in ("src", "packages/client/src", "docs/generator", "tests/support", "tests/specs"):
        shutil.copytree(repository.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / STAGES_FOLDER / "note.py").write_text(STAGE)
    registry = tmp_path / STAGES_FOLDER / "__init__.py"
    text = registry.read_text()
    assert text.count("UpdateStage()") == 1
    line = "from headrace.workflows.stages.note import NoteStage\n"
    registry.write_text(
        text.replace("UpdateStage()", "UpdateStage(), NoteStage()").replace("from headrace", f"{line}from headrace", 1)
    )
    append(tmp_path / "src/headrace/workflows/activities.py", ACTIVITY)
    service = tmp_path / "src/headrace/effects/ledger.py"
    service.write_text(
        service.read_text().replace("import AddAccountMetadata,", "import AddAccountMetadata, NoteAccount,")
    )
    append(service, REQUESTS)
    for path, entry, new in ENTRIES:
        text = (tmp_path / path).read_text()
        assert text.count(entry) == 1
        (tmp_path / path).write_text(text.replace(entry, f"{new}{entry}"))
    cases = tmp_path / "tests/specs/stages/note/note.yaml"
    cases.parent.mkdir()
    cases.write_text(CASES)
    return tmp_path


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (copy / "src", copy / "packages/client/src", copy)))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_new_stage_and_activity_appear_everywhere(copy: Path) -> None:
    for module in ("stage_types", "activity_types"):  # as `make schema` does
        made = python(copy, "-m", f"tests.support.{module}")
        assert made.returncode == 0, made.stderr
    shown = python(copy, "-c", APPEARS)
    assert (shown.stdout, shown.returncode) == ("appears\n", 0), shown.stderr


def test_the_cases_of_a_stage_run_though_the_official_sdk_lacks_it(copy: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={copy}", "--import-mode=importlib")
    ran = python(copy, "-m", "pytest", *options, "tests/specs/test_specs.py", "-k", "note or folder")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('FUNCTIONS["double"] = FUNCTIONS["abs"]\n', "the builtin double has no types: add it to RULES"),
        ('WITH_PREDICATE["each"] = (True, True)\n', "the builtin each has no function: add it to PRED"),
    ],
)
def test_a_builtin_that_is_half_there_is_an_error_at_import(copy: Path, line: str, says: str) -> None:
    append(copy / "src/headrace/expr/builtins/__init__.py", line)
    shown = python(copy, "-c", "import headrace.expr.checker, headrace.expr.compiler")
    assert shown.returncode == 1
    assert says in shown.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("path", "left_out", "says"),
    [
        ("src/headrace/workflows/activities.py", FAMILY, "activity NoteAccount does not say its `family`"),
        ("src/headrace/effects/ledger.py", 'REQUESTS["NoteAccount"] = note_account\n', "no request for NoteAccount"),
        (
            "src/headrace/effects/ledger.py",
            'READERS["NoteAccount"] = read_empty\n',
            "no reader of its responses for NoteA",
        ),
        ("src/headrace/effects/ledger.py", 'SEARCHES["NoteAccount"] = search_metadata\n', "no look-up for NoteAccount"),
        ("src/headrace/planning/planner.py", NEW_PLANNED, "no plan for NoteAccount"),
        ("src/headrace/workflows/undo.py", NEW_UNDONE, "no undo for NoteAccount"),
        ("src/headrace/cli/plan_text.py", NEW_SENTENCE, "no sentence for NoteAccount"),
        ("src/headrace/pictures/effects.py", NEW_DRAWN, "no picture for NoteAccount"),
        (f"{STAGES_FOLDER}note.py", '    label = "note"\n', "stage NoteStage does not say its `label`"),
    ],
)
def test_what_is_forgotten_is_an_error_at_import(copy: Path, path: str, left_out: str, says: str) -> None:
    before, _, after = (copy / path).read_text().rpartition(left_out)
    assert before
    (copy / path).write_text(before + after)
    shown = python(copy, "-c", f"import {IMPORTS}")
    assert shown.returncode == 1
    assert says in shown.stderr.splitlines()[-1]
