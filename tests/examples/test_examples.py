"""Every example ends with the balances it promises, on an undisturbed server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.demo.books import Ended
from headrace.demo.examples import Example, examples_folder
from tests.examples.playing import Player, all_examples
from tests.support.server import Server

EXAMPLES = all_examples()
FOLDER = examples_folder()
WITHOUT_A_RUN = {
    "14-trigger-pays-wallet": "a trigger starts it; test_trigger.py and the demo play it",
    "15-saga": "what it shows is a run that fails: tests/contract/test_sagas.py, and its proof",
    "16-approved-payout": "it needs persons with credentials: tests/contract/test_approvals.py, and its proof",
}
"""Examples that demo, crash tests and conformance do not play, as each of their runs must succeed by itself."""


@pytest.fixture(scope="module")
def player(shared_server: Server) -> Iterator[Player]:
    player = Player(shared_server.url)
    yield player
    player.close()


def test_there_is_an_example_for_each_stage_and_each_kind_of_send() -> None:
    done = {activity for example in EXAMPLES for stage in example.plan.expect["stages"] for activity in stage}
    assert len(EXAMPLES) >= 13
    assert done == {
        "AddAccountMetadata",
        "CreateTransaction",
        "CreateTransferInitiation",
        "CreditWallet",
        "DebitWallet",
        "GetAccount",
        "GetPayment",
        "GetWallet",
        "ListWallets",
    }


def test_every_example_is_played_or_has_a_reason() -> None:
    played = {example.name for example in EXAMPLES}
    assert played | set(WITHOUT_A_RUN) == {file.parent.name for file in FOLDER.glob("*/workflow.yaml")}
    assert not played & set(WITHOUT_A_RUN)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example(player: Player, example: Example) -> None:
    played = player.start_one(example, player.stack.seed(example, "once"))
    player.send_events(played)
    player.wait([played])
    ended = player.ended(played)
    assert ended.instance.get("error") is None
    report = player.check([played])
    own = [problem for problem in report.problems if problem.startswith(example.name)]
    assert own == []
    assert attempts_of(ended) == {1}


@pytest.mark.parametrize("name", sorted(file.parent.name for file in FOLDER.glob("*/workflow.yaml")))
def test_each_folder_explains_itself(name: str) -> None:
    assert (FOLDER / name / "README.md").read_text().startswith("# ")
    assert f"]({name})" in (FOLDER / "README.md").read_text()


def attempts_of(ended: Ended) -> set[int]:
    return {activity["attempt"] for stage in ended.activities for activity in stage}
