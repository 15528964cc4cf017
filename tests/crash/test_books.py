"""The checker finds what it is there for: each kind of wrong booking, planted by hand in a real sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash import books, players
from tests.crash.books import API, Inconclusive, Violated
from tests.crash.players import FAST, Play
from tests.support.server import Server

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Play]]]:
    """One clean run of every example."""
    with Server(tmp_path_factory.mktemp("books") / "data", settings=FAST) as server:
        examples = players.all_examples()
        plays = players.seed(server, examples, 1, "books")
        players.run_all(server, players.create_workflows(server, examples), plays)
        players.wait_until_ended(server, plays)
        players.check_expectations(server, plays)
        yield server, plays


def book(server: Server, ledger: str, reference: str, **metadata: str) -> None:
    posting = {"source": "world", "destination": "planted", "amount": 1, "asset": "USD/2"}
    body: dict[str, Any] = {"postings": [posting], "metadata": metadata}
    if reference:
        body["reference"] = reference
    answer = server.post(f"/api/ledger/v2/{ledger}/transactions", body)
    assert answer.status == 200, answer.body


def test_clean_books_agree_with_history(played: tuple[Server, list[Play]]) -> None:
    verdict = books.check(played[0].url)
    verdict.raise_if_bad()
    assert verdict.instances == len(played[1])
    assert verdict.effects >= 20
    assert verdict.transactions > verdict.effects / 2


def test_a_booking_without_an_effect_is_found(played: tuple[Server, list[Play]]) -> None:
    book(played[0], "shop", "headrace:nobody:0:0")
    assert any("no effect in any history explains it" in problem for problem in books.check(played[0].url).problems)


def test_a_second_booking_of_one_effect_is_found(played: tuple[Server, list[Play]]) -> None:
    server, plays = played
    instance_id = next(play.instance_id for play in plays if play.example.name.startswith("01"))
    book(server, "shop", "", headrace_effect=f"headrace:{instance_id}:0:0")
    problems = books.check(server.url).problems
    assert any("booked 2 times" in problem for problem in problems), problems
    with pytest.raises(Violated):
        books.check(server.url).raise_if_bad()


def test_an_instance_that_has_not_ended_is_no_pass(played: tuple[Server, list[Play]]) -> None:
    server, _ = played
    workflow_id = server.post(f"{API}/workflows", {"stages": [{"wait_event": {"event": "never"}}]}).json["data"]["id"]
    instance_id = server.post(f"{API}/workflows/{workflow_id}/instances", {}).json["data"]["id"]
    verdict = books.check(server.url)
    assert verdict.unfinished == [f"instance {instance_id} has not ended"]
    verdict.problems.clear()
    with pytest.raises(Inconclusive):
        verdict.raise_if_bad()


class TestComparison:
    """Differences that a correct sandbox cannot be made to hold."""

    def effect(self, **entry: Any) -> books.Effect:
        posting = {"source": "a", "destination": "b", "amount": 10**30, "asset": "USD/2"}
        shown = {"ledger": "shop", "data": {"postings": [posting], "reference": "headrace:i:0:0", "metadata": {}}}
        told = {"name": "CreateTransaction", "terminated": True, "attempt": 1, "input": {}, **entry}
        return books.Effect("i", 0, "headrace:i:0:0", "CreateTransaction", shown, told)

    def problems(self, effect: books.Effect, bookings: list[books.Booking]) -> list[str]:
        verdict = books.Verdict()
        books._compare(books.Reader("http://127.0.0.1:9"), [effect], bookings, verdict)
        return verdict.problems

    def booking(self, amount: int = 10**30, **other: Any) -> books.Booking:
        posting = {"source": "a", "destination": "b", "amount": amount, "asset": "USD/2", **other}
        return books.Booking("shop", {"reference": "headrace:i:0:0", "metadata": {}, "postings": [posting]})

    def test_equal_is_fine(self) -> None:
        assert self.problems(self.effect(), [self.booking()]) == []

    def test_done_but_not_booked(self) -> None:
        assert "not in the books" in self.problems(self.effect(), [])[0]

    def test_refused_but_booked(self) -> None:
        assert "yet it is booked" in self.problems(self.effect(error="INSUFFICIENT_FUND"), [self.booking()])[0]

    @pytest.mark.parametrize(
        "other", [{"amount": 10**30 + 1}, {"asset": "EUR/2"}, {"source": "c"}, {"destination": "c"}]
    )
    def test_other_postings(self, other: dict[str, Any]) -> None:
        assert "wanted" in self.problems(self.effect(), [self.booking(**other)])[0]

    def test_a_key_that_is_not_the_effects_own(self) -> None:
        effect = self.effect()
        effect.input["data"]["reference"] = "headrace:i:0:1"
        assert any("tells the key" in problem for problem in self.problems(effect, [self.booking()]))


def test_the_checker_runs_by_itself(played: tuple[Server, list[Play]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["books", played[0].url])
    assert books.main() == 1, "the bookings planted above are violations"


def test_a_server_that_is_gone_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        books.check("http://127.0.0.1:9")
