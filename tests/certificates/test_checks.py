"""The check of a case: honest ones by chance are certified, and every mutant of rows and books is refused.

`python -m tests.certificates` does it at full size; its counts are in `results.jsonl`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from headrace.certificates.books import find
from headrace.certificates.case import Case, RecordedInstance, Verdict
from headrace.certificates.conservation import balance
from headrace.certificates.replay import replay
from headrace.effects.port import Request
from headrace.errors import NotCertifiable, Silent
from headrace.planning.questions import Answer
from headrace.sandbox.memory import MemorySandbox
from headrace.sandbox.releases import Releases
from headrace.testing.runs import Plan
from headrace.testing.virtual import SeededIds, VirtualClock
from tests.certificates import cases
from tests.certificates.__main__ import RESULTS, honest, is_of_periods, mutated
from tests.certificates.book_mutants import BOOKS, Books
from tests.certificates.cases import Ran, ran
from tests.certificates.mutants import ROWS

Json = dict[str, Any]

POSTING = {"source": "world", "destination": "users:jane", "amount": 1_000, "asset": "USD/2"}


def account(address: str, ledger: str, **more: Any) -> Json:
    return {"account": {"id": address, "ledger": ledger, **more}}


def send(source: Json, destination: Json, amount: int = 400) -> Json:
    return {"send": {"source": source, "destination": destination, "amount": {"asset": "USD/2", "amount": amount}}}


PAYOUT = {"payment": {"psp": "stripe", "type": "PAYOUT"}}
ACROSS = send(account("users:jane", "main"), account("shops", "shop"))
PAYING = send(account("users:jane", "main"), PAYOUT)


@pytest.fixture(scope="module")
def image() -> bytes:
    """Two ledgers, and users:jane with 1,000 and an account to pay out to on the first."""
    sandbox = MemorySandbox(VirtualClock(), SeededIds(7), Releases())
    for ledger in ("main", "shop"):
        sandbox.handle(Request("ledger", "POST", f"/v2/{ledger}", b"{}"))
    post(sandbox, "/v2/main/transactions", {"metadata": {}, "postings": [POSTING]})
    post(sandbox, "/v2/main/accounts/users:jane/metadata", {"formanceAccountID": "acc_1"})
    found = sandbox.image()
    sandbox.close()
    return found


def post(sandbox: MemorySandbox, path: str, body: Json) -> None:
    assert sandbox.handle(Request("ledger", "POST", path, json.dumps(body).encode())).status < 300


def case_of(image: bytes, *stages: Json, seed: int = 1) -> Any:
    return ran({"stages": list(stages)}, Plan({}), image, seed)


def refusal_of(found: Ran, case: Case | None = None) -> str:
    with pytest.raises(NotCertifiable) as refused:
        found.certify(case)
    return refused.value.code


# by chance


def test_honest_cases_are_certified() -> None:
    counts, refused = honest(80)
    assert refused == []
    assert counts["succeeded"] >= 5 and counts["failed"] >= 5


def test_mutants_are_refused() -> None:
    counts, certified = mutated(400, first=20)
    assert certified == []
    assert len({name for name, _ in counts}) > 30


def test_the_full_run_that_is_kept_refused_every_mutant_and_no_honest_case() -> None:
    lines = [line for line in RESULTS.read_text("utf-8").splitlines() if not is_of_periods(line)]
    kept, mutants, *kinds = [json.loads(line) for line in lines]
    assert kept["honest"] >= 5_000 and kept["refused"] == 0
    assert mutants["mutants"] >= 1_000 and mutants["certified"] == 0
    assert {each["mutant"] for each in kinds} == {each.__name__ for each in (*ROWS, *BOOKS)}
    assert {each["refused"] for each in kinds} >= {"open", "replay_differs", "not_in_books", "differs"}
    assert {each["refused"] for each in kinds} >= {"extra_in_books", "reverted_elsewhere"}


# one at a time


def test_both_sides_of_a_send_are_in_the_books(image: bytes) -> None:
    with case_of(image, ACROSS) as found:
        payload = found.certify()
        assert payload["assets"]["USD/2"] == {
            "sent": 400,
            "takenBack": 0,
            "bridge": {"in": 400, "out": 400},
            "in": 0,
            "out": 0,
            "issued": 0,
            "retired": 0,
            "stranded": 0,
            "attested": 0,
        }
        assert payload["exceptions"] == []


def test_a_side_that_does_not_fit_the_other_is_unbalanced(image: bytes) -> None:
    """Whatever the books of one ledger say: less that arrives than has left is no balance."""
    with case_of(image, ACROSS) as found:
        stages = replay(found.case.root, found.case.root.id)
        entries = _found(found, stages)
        assert balance(stages, entries).totals["USD/2"].stranded == 0
        for amount in (399, 401):
            short = replace(entries[1], postings=({**entries[1].postings[0], "amount": amount},))
            with pytest.raises(NotCertifiable) as refused:
                balance(stages, [entries[0], short])
            assert refused.value.code == "unbalanced"
        with pytest.raises(NotCertifiable, match="moves EUR/2"):
            balance(stages, [entries[0], replace(entries[1], postings=({**entries[1].postings[0], "asset": "EUR/2"},))])


def _found(found: Ran, stages: Any) -> Any:
    asking, answer = find(stages, found.case.root.id), None
    while True:
        try:
            question = asking.send(answer)  # pyright: ignore[reportArgumentType]
        except StopIteration as ended:
            return ended.value.entries
        answer = Answer(found.handle(question.request), 0)


def test_a_failed_send_declares_what_it_has_stranded(image: bytes) -> None:
    to_nowhere = send(account("users:jane", "main", throughAccount="bridge"), account("shops", "nowhere"))
    with case_of(image, to_nowhere) as found:
        payload = found.certify()
        (stranded,) = payload["exceptions"]
        assert (stranded["kind"], stranded["ledger"], stranded["account"]) == ("stranded", "main", "bridge")
        assert payload["assets"]["USD/2"]["stranded"] == stranded["amount"] == 400
        assert payload["assets"]["USD/2"]["sent"] == 0


@pytest.mark.parametrize("status", ["FAILED", "REJECTED", "REVERSED"])
def test_a_payout_that_failed_later_is_declared_with_its_money(image: bytes, status: str) -> None:
    with case_of(image, PAYING) as found:
        (initiation,) = found.run.sandbox.contents().initiations
        assert found.certify()["assets"]["USD/2"]["out"] == 400
        books = Books(found.run.sandbox.image())
        document = json.dumps({**initiation, "status": status})
        books.query("UPDATE transfer_initiations SET document = ?", (document,))
        payload = cases.certified(found.case, books.sandbox.handle)
        books.sandbox.close()
        assert payload["assets"]["USD/2"]["out"] == 0 and payload["assets"]["USD/2"]["stranded"] == 400
        assert {each["kind"] for each in payload["exceptions"]} == {"payout", "stranded"}


def test_money_from_and_to_world_is_declared(image: bytes) -> None:
    with case_of(
        image,
        send(account("world", "main"), account("a", "main")),
        send(account("a", "main"), account("world", "main")),
    ) as found:
        sums = found.certify()["assets"]["USD/2"]
        assert (sums["issued"], sums["retired"], sums["sent"]) == (400, 400, 800)


def test_metadata_that_was_changed_since_is_overwritten_and_no_refusal(image: bytes) -> None:
    stage = {"update": {"account": {"id": "users:jane", "ledger": "main", "metadata": {"k": "1"}}}}
    with case_of(image, stage) as found:
        assert found.certify()["effects"][0]["books"] == {"standing": "observed"}
        post(found.run.sandbox, "/v2/main/accounts/users:jane/metadata", {"k": "2"})
        payload = found.certify()
        assert payload["effects"][0]["books"] == {"standing": "overwritten"}
        assert [each["kind"] for each in payload["exceptions"]] == ["overwritten"]


@pytest.mark.parametrize("ledger", ["no ledger", "a/b", "${x}", ""])
def test_a_run_that_failed_for_its_values_is_certified(image: bytes, ledger: str) -> None:
    """Nothing can stand on what is no ledger, no wallet and no account, so nothing is asked for there."""
    definition = {"stages": [send(account("users:jane", "${ledger}"), {"wallet": {"id": "${wallet}"}})]}
    variables = {"ledger": ledger, "wallet": "a wallet / of none"}
    with ran(definition, Plan(variables), image, 3) as found:
        assert found is not None
        payload = found.certify()
        assert payload["instances"][0]["outcome"] == "failed" and payload["effects"] == []


def test_a_service_that_is_silent_is_no_refusal(image: bytes) -> None:
    with case_of(image, ACROSS) as found, pytest.raises(Silent, match="a certificate needs an answer"):
        cases.certified(found.case, lambda _request: None)


def test_a_schema_version_of_that_time_is_no_difference(image: bytes) -> None:
    """The request names the version of the ledger's schema: a setting, which may have another value by now."""
    with case_of(image, ACROSS) as found:
        instance = _with_requests(found.case.root, lambda path: f"{path}?schemaVersion=v1")
        assert found.certify(Case((instance,)))["instances"][0]["outcome"] == "succeeded"
        other = _with_requests(found.case.root, lambda path: f"{path}?force=true")
        assert refusal_of(found, Case((other,))) == "replay_differs"


def _with_requests(instance: RecordedInstance, path: Any) -> RecordedInstance:
    stages = [
        replace(
            stage,
            activities=tuple(
                replace(row, request=replace(row.request, path=path(row.request.path))) if row.key else row
                for row in stage.activities
            ),
        )
        for stage in instance.stages
    ]
    return replace(instance, stages=tuple(stages))


# what persons have decided


def _decided(instance: RecordedInstance, position: int, evidence: Json, *, is_booked: bool = True) -> RecordedInstance:
    """The instance as if a person had closed its effect at this position of stage 0."""
    verdict = Verdict(is_booked, evidence, "alice", "seen", 1)
    stage = instance.stages[0]
    rows = tuple(
        replace(row, verdict=verdict, output=None) if row.position == position else row for row in stage.activities
    )
    return replace(instance, stages=(replace(stage, activities=rows), *instance.stages[1:]))


def test_a_true_word_is_booked_and_a_false_one_is_refused(image: bytes) -> None:
    with case_of(image, ACROSS) as found:
        attested = Case((_decided(found.case.root, 1, {"text": "seen in the statement"}),))
        payload = found.certify(attested)
        assert payload["effects"][1]["books"]["standing"] == "booked"
        assert payload["instances"][0]["decisions"][0]["principal"] == "alice"
        (ours,) = [each for each in Books(found.run.sandbox.image()).ours(found.case) if each[0] == "shop"]
        books = Books(found.run.sandbox.image())
        books.query("DELETE FROM transactions WHERE ledger = 'shop' AND id = ?", (ours[1],))
        with pytest.raises(NotCertifiable) as refused:
            cases.certified(attested, books.sandbox.handle)
        assert refused.value.code == "not_in_books"
        books.sandbox.close()


def test_a_booking_that_a_person_has_named_is_compared(image: bytes) -> None:
    with case_of(image, ACROSS) as found:
        books = Books(found.run.sandbox.image())
        (ours,) = [each for each in books.ours(found.case) if each[0] == "shop"]
        books.rewrite("shop", ours[1], {**ours[2], "reference": "by-hand"})
        named = {"ledger": "shop", "transactionID": ours[1]}
        case = Case((_decided(found.case.root, 1, named),))
        payload = cases.certified(case, books.sandbox.handle)
        assert payload["effects"][1]["books"]["transaction"] == ours[1]
        ours[2]["postings"][0]["amount"] += 1
        books.rewrite("shop", ours[1], {**ours[2], "reference": "by-hand"})
        with pytest.raises(NotCertifiable) as refused:
            cases.certified(case, books.sandbox.handle)
        assert refused.value.code == "differs"
        books.sandbox.close()


def test_a_payout_that_only_a_person_has_seen_is_attested(image: bytes) -> None:
    """The service lists more than a look-up reads, and does not filter: it neither shows nor excludes the payout."""
    with case_of(image, PAYING) as found:
        position = found.case.root.stages[0].activities[-1].position
        case = Case((_decided(found.case.root, position, {"text": "line 7 of the statement"}),))

        def handle(request: Request) -> Any:
            response = found.handle(request)
            if request.service != "payments":
                return response
            page = {"pageSize": 1, "hasMore": True, "next": "again", "data": []}
            return replace(response, status=200, body=json.dumps({"cursor": page}).encode())

        payload = cases.certified(case, handle)
        assert payload["effects"][-1]["books"] == {"standing": "attested"}
        pays = {"provider": "stripe", "destination": "acc_1", "amount": 400, "asset": "USD/2"}
        assert payload["effects"][-1]["request"]["pays"] == pays
        sums = payload["assets"]["USD/2"]
        assert (sums["bridge"]["in"], sums["out"], sums["attested"], sums["stranded"]) == (400, 0, 400, 0)
        assert "attested" in {each["kind"] for each in payload["exceptions"]}
        with pytest.raises(NotCertifiable) as refused:
            cases.certified(found.case, handle)  # without a person's word it is not known
        assert refused.value.code == "not_in_books"


def test_the_mutants_of_one_case_are_the_same_for_one_seed() -> None:
    first, second = (mutated(60, first=21)[0] for _ in range(2))
    assert first == second
    assert Random("a").random() == Random("a").random()
